# The verbs of this project, the same for people and for CI. `make demo` is the place to start.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo demo-models test coverage lint format docs bench load study experiments pictures truth console-check cases frameworks chart dashboards-check generate lock lock-torch lock-cuda sbom kind kind-down e2e e2e-chaos clean

help:  ## list the verbs
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.dev  ## install everything into .venv

$(VENV)/.%: pyproject.toml services/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --editable './services[$*]'
	test $* != dev || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt flwr nvflare
	$(BIN)/python -m compileall -q flstore_core services  # services start in half the time, also where no bytecode is written
	touch $@

COMPILED := build/compiled/.done

# With the build go the study's finished cells: older code measured them.
$(COMPILED): setup.py $(VENV)/.dev $(shell find flstore_core services loadgen -name '*.py')
	rm -rf build/compiled build/lib* build/study.jsonl
	FLSTORE_COMPILE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --target build/compiled .
	touch $@

demo: $(VENV)/.demo  ## train on real data, run the workloads hot, from zero and as an aggregator would
	$(BIN)/flstore demo

demo-models: setup  ## train models in PyTorch and run the workloads that need one
	$(BIN)/flstore demo-models

test: setup  ## run all tests, real servers included
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

coverage: setup  ## run all tests and hold the branches they cover to the floor in pyproject.toml
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=
	$(BIN)/coverage report --skip-covered

lint: setup  ## check form, types, import contracts and the workflow; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github

format: setup  ## rewrite the sources in the house form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup  ## build the documentation site into build/docs; every warning is an error
	rm -rf build/docs docs/reference/api
	$(BIN)/python -m sphinx -b html -q -W --keep-going docs build/docs

bench: $(COMPILED)  ## measure against peers in the same run; writes build/bench.json; needs a C compiler
	$(BIN)/python -m tests.bench

load: setup  ## put a compressed hour of load on FLStore and both baselines; needs redis-server
	$(BIN)/python -m loadgen compare

console-check: setup  ## look at the console in a real browser; writes the pictures of docs/console.md; needs chromium
	$(BIN)/python -m pytest tests/console_browser

experiments: setup  ## run the experiments, going on where they were stopped; writes docs/results
	$(BIN)/python -m loadgen experiments

pictures: setup  ## draw the pictures of docs/ anew, from the data beside them
	$(BIN)/python -m loadgen pictures

study: $(COMPILED)  ## compare the caching policies over mixes, budgets and seeds; writes docs/policies.md; needs a C compiler
	PYTHONPATH=$(CURDIR)/build/compiled $(BIN)/python -P -m loadgen study

truth: setup  ## ask workloads about real trainings with planted attackers and groups; writes docs/workloads.md
	$(BIN)/python -m tests.truth

cases: setup  ## run the programs in ../shared/cases, if there are any, against a fresh FLStore
	$(BIN)/python -m tests.cases

frameworks: $(VENV)/.demo,loadgen  ## run frameworks with attackers and with large models, recorded in FLStore; writes docs/frameworks.md; builds their environments
	$(BIN)/python -m tests.frameworks

chart: setup  ## lint and render the Helm chart under many values, and validate every object
	$(BIN)/python -m tests.chart

dashboards-check: setup  ## ask a real Prometheus every question of the dashboards and alerts
	$(BIN)/python -m tests.dashboards

generate: setup  ## rewrite what is generated: dashboards, alerts, rendered samples, the chart's README and the policies in its schema
	$(BIN)/python -m manifests

IMAGES := manifests/images
TORCH_INDEX := https://download.pytorch.org/whl/cpu
HASHED := $(BIN)/uv pip compile --quiet --project services --universal --python-version 3.11 --generate-hashes --no-annotate \
	--constraint constraints.txt --no-emit-package flstore

lock: setup  ## write what the images install, as constraints.txt has it, with the hash of every file
	$(HASHED) --custom-compile-command 'make lock' --extra kubernetes --extra otel services/pyproject.toml --output-file $(IMAGES)/flstore.txt
	$(HASHED) --custom-compile-command 'make lock' --extra otel --extra torch --no-emit-package torch services/pyproject.toml \
		--output-file $(IMAGES)/flstore-torch.txt
	$(HASHED) --custom-compile-command 'make lock' --extra console services/pyproject.toml --output-file $(IMAGES)/flstore-console.txt
	echo setuptools | $(HASHED) --custom-compile-command 'make lock' - --output-file $(IMAGES)/build.txt

lock-torch: setup  ## the same for PyTorch's build for CPUs, which is not on PyPI
	sed -n 's/^torch==.*/&+cpu/p' constraints.txt | $(HASHED) --custom-compile-command 'make lock-torch' --no-deps \
		--default-index $(TORCH_INDEX) - --output-file $(IMAGES)/torch-cpu.txt

lock-cuda: setup  ## the same for PyTorch's build for GPUs: it and NVIDIA's packages, beside flstore-torch.txt
	sed -n '/^torch==/p' constraints.txt | $(HASHED) --custom-compile-command 'make lock-cuda' --no-config \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(IMAGES)/flstore-torch.txt) - --output-file $(IMAGES)/torch-cuda.txt

SBOM := build/sbom
CYCLONEDX := $(BIN)/cyclonedx-py requirements --output-reproducible --pyproject services/pyproject.toml

sbom: setup  ## what the images install as CycloneDX, into build/sbom
	mkdir -p $(SBOM)
	$(CYCLONEDX) --output-file $(SBOM)/flstore.cdx.json $(IMAGES)/flstore.txt
	$(CYCLONEDX) --output-file $(SBOM)/flstore-console.cdx.json $(IMAGES)/flstore-console.txt
	cat $(IMAGES)/flstore-torch.txt $(IMAGES)/torch-cpu.txt | $(CYCLONEDX) --output-file $(SBOM)/flstore-torch.cdx.json -
	cat $(IMAGES)/flstore-torch.txt $(IMAGES)/torch-cuda.txt | $(CYCLONEDX) --output-file $(SBOM)/flstore-torch-cuda.cdx.json -

KIND := flstore
KUBECTL := kubectl --context kind-$(KIND)
VERSION := $(shell sed -n 's/^appVersion: //p' charts/flstore/Chart.yaml)
AVAILABLE := wait --for=condition=Available deployment --all --timeout=300s

kind:  ## a kind cluster with Knative and FLStore; needs docker, kind, kubectl and helm
	kind get clusters | grep -qx $(KIND) || kind create cluster --config manifests/kind/cluster.yaml
	docker build --target flstore --tag kind.local/flstore:$(VERSION) .
	docker build --target flstore-console --tag kind.local/flstore-console:$(VERSION) .
	kind load docker-image kind.local/flstore:$(VERSION) kind.local/flstore-console:$(VERSION) --name $(KIND)
	$(KUBECTL) apply -k manifests/knative/crds
	$(KUBECTL) wait --for=condition=Established crd --all --timeout=120s
	$(KUBECTL) apply -k manifests/kind/knative
	$(KUBECTL) --namespace knative-serving $(AVAILABLE)
	$(KUBECTL) --namespace kourier-system $(AVAILABLE)
	$(KUBECTL) apply -f manifests/namespace/namespace.yaml
	helm upgrade --install flstore charts/flstore --kube-context kind-$(KIND) --namespace flstore \
		--values manifests/kind/values.yaml --wait --timeout 10m
	helm test flstore --kube-context kind-$(KIND) --namespace flstore
	curl --fail --silent --show-error http://127.0.0.1:8080/readyz
	@printf '\nGateway http://127.0.0.1:8080  Console http://127.0.0.1:8090  Grafana http://127.0.0.1:3000  (make kind-down removes it all)\n'

kind-down:  ## remove the kind cluster and everything in it
	kind delete cluster --name $(KIND)

e2e: setup  ## against the cluster that FLSTORE_E2E_KUBECONFIG names: install, use, break, upgrade, uninstall
	$(BIN)/python -m tests.e2e

e2e-chaos: setup  ## against the same: flood it, break each of its parts under load, and see that nothing acknowledged is lost
	$(BIN)/python -m tests.e2e.chaos

clean:  ## remove what was built and installed
	rm -rf $(VENV) build services/build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
