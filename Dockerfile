# syntax=docker/dockerfile:1
# Two images of one source:
#   docker build --target flstore       --tag kind.local/flstore:0.1.0 .         gateway, placement controller, shard
#   docker build --target flstore-torch --tag kind.local/flstore-torch:0.1.0 .   predictor
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY flstore_core flstore_core
COPY services services
COPY loadgen loadgen

# Wheels only: nothing that is downloaded runs code of its own while it is installed.
FROM source AS wheels
RUN python -m pip wheel --only-binary :all: --constraint constraints.txt --wheel-dir /wheels . './services[kubernetes,otel]'

FROM wheels AS installed
RUN python -m venv --without-pip /opt/flstore && python -m pip --python /opt/flstore/bin/python install --no-index --find-links /wheels 'flstore-server[kubernetes,otel]'

FROM source AS torch-wheels
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m pip wheel --only-binary :all: --constraint constraints.txt --extra-index-url ${TORCH_INDEX} --wheel-dir /wheels . './services[otel,torch]'

FROM torch-wheels AS torch-installed
RUN python -m venv --without-pip /opt/flstore && python -m pip --python /opt/flstore/bin/python install --no-index --find-links /wheels 'flstore-server[otel,torch]'

# No shell, no writable file, no root: the commands are exec'd, and /tmp is an emptyDir of the pod.
FROM python:${PYTHON} AS base
ENV PATH=/opt/flstore/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# The Python images come without a compiled standard library: each cold start would compile it again, for a second.
RUN python -m compileall -q -x '/(site-packages|idlelib|lib2to3|turtledemo)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080

FROM base AS flstore-torch
COPY --from=torch-installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.predictor"]

FROM base AS flstore
COPY --from=installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.gateway"]
