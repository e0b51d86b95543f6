# Four images of one source:
#   docker build --target flstore --tag kind.local/flstore:0.1.0 .                   gateway, placement controller, shard
#   docker build --target flstore-console --tag kind.local/flstore-console:0.1.0 .   console
#   docker build --target flstore-torch --tag kind.local/flstore-torch:0.1.0 .       predictor
#   docker build --target flstore-torch-cuda --tag kind.local/flstore-torch-cuda:0.1.0 .   predictor with a GPU
# Everything that is downloaded has its hash here or in manifests/images: docs/security.md says what that is good for.
ARG PYTHON=3.12-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579

FROM python:${PYTHON} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY manifests/images manifests/images
# Wheels only: nothing that is downloaded runs code of its own while it is installed.
RUN python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/build.txt --wheel-dir /tools

FROM tools AS source
COPY pyproject.toml README.md LICENSE ./
COPY flstore_core flstore_core
COPY services services
COPY loadgen loadgen
RUN SOURCE_DATE_EPOCH=315532800 python -m pip wheel --only-binary :all: --no-index --find-links /tools --no-deps --wheel-dir /ours . ./services

FROM tools AS wheels
RUN python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/flstore.txt --wheel-dir /wheels

# Bytecode that names no time of a source's last change is the same in every build, and is read without asking for it.
FROM wheels AS installed
RUN python -m venv --without-pip /opt/flstore
COPY --from=source /ours /ours
RUN python -m pip --python /opt/flstore/bin/python install --no-compile --no-index --find-links /wheels --find-links /ours 'flstore-server[kubernetes,otel]' && python -m compileall -q --invalidation-mode unchecked-hash /opt/flstore/lib

FROM tools AS console-wheels
RUN python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/flstore-console.txt --wheel-dir /wheels

FROM console-wheels AS console-installed
RUN python -m venv --without-pip /opt/flstore
COPY --from=source /ours /ours
RUN python -m pip --python /opt/flstore/bin/python install --no-compile --no-index --find-links /wheels --find-links /ours 'flstore-server[console]' && python -m compileall -q --invalidation-mode unchecked-hash /opt/flstore/lib

FROM tools AS torch-wheels
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/torch-cpu.txt --no-deps --index-url ${TORCH_INDEX} --wheel-dir /wheels \
    && python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/flstore-torch.txt --wheel-dir /wheels

FROM torch-wheels AS torch-installed
RUN python -m venv --without-pip /opt/flstore
COPY --from=source /ours /ours
RUN python -m pip --python /opt/flstore/bin/python install --no-compile --no-index --find-links /wheels --find-links /ours 'flstore-server[otel,torch]' && python -m compileall -q --invalidation-mode unchecked-hash /opt/flstore/lib

FROM tools AS torch-cuda-wheels
RUN python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/torch-cuda.txt --no-deps --wheel-dir /wheels \
    && python -m pip wheel --only-binary :all: --require-hashes --requirement manifests/images/flstore-torch.txt --wheel-dir /wheels

FROM torch-cuda-wheels AS torch-cuda-installed
RUN python -m venv --without-pip /opt/flstore
COPY --from=source /ours /ours
RUN python -m pip --python /opt/flstore/bin/python install --no-compile --no-index --find-links /wheels --find-links /ours 'flstore-server[otel,torch]' && python -m compileall -q --invalidation-mode unchecked-hash /opt/flstore/lib

# No shell, no writable file, no root: the commands are exec'd, and /tmp is an emptyDir of the pod.
FROM python:${PYTHON} AS base
ENV PATH=/opt/flstore/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# The Python images come without a compiled standard library: each cold start would compile it again, for a second.
RUN python -m compileall -q --invalidation-mode unchecked-hash -x '/(site-packages|idlelib|lib2to3|turtledemo)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080

FROM base AS flstore-console
COPY --from=console-installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.console"]

FROM base AS flstore-torch
COPY --from=torch-installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.predictor"]

# The driver, and its libraries that CUDA needs, come from the node.
FROM base AS flstore-torch-cuda
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=torch-cuda-installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.predictor"]

FROM base AS flstore
COPY --from=installed /opt/flstore /opt/flstore
CMD ["python", "-m", "services.gateway"]
