# The verbs of this project, the same for people and for CI. `make demo` is the place to start.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test lint format bench study clean

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## install everything into .venv

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup  ## train on real data, run every workload hot, from zero and as an aggregator would
	$(BIN)/flstore demo

test: setup  ## run all tests, real servers included
	$(BIN)/python -m pytest

lint: setup  ## check form, types and import contracts; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## rewrite the sources in the house form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## measure against peers in the same run; writes build/bench.json
	$(BIN)/python -m tests.bench

study: setup  ## compare the caching policies over mixes, budgets and seeds; writes docs/policies.md
	$(BIN)/python -m loadgen study

clean:  ## remove what was built and installed
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
