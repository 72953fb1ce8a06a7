# Everything a developer runs. Each target does its own set-up and can be run again.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest
CACHE := $${XDG_CACHE_HOME:-$$HOME/.cache}/homeserver-operator
ROUNDS ?= 3
# Synapse takes many times longer to compile than to import, and each process would do it anew.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := operator router runtime e2e crds helm docs conftest.py

.PHONY: help demo test check soak bench up down format golden reference clean

help: ## List the targets.
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## A real cluster, the operator, the example, a conversation through the Ingress.
	$(BIN)/python -m e2e.demo

test: check ## Everything that CI runs (takes a while: real API server, real Synapse, real cluster).
	$(PYTEST) -q -n auto --dist worksteal -m "long and not soak"
	$(PYTEST) -n 3 --dist worksteal -m "(apiserver or synapse or haproxy) and not soak"
	$(BIN)/python -m e2e.suite

check: .venv/ready ## The fast part: format, lint, types, layers, unit tests.
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy operator router runtime e2e
	PYTHONPATH=operator:router:runtime $(BIN)/lint-imports --no-cache
	$(PYTEST) -q -n auto --dist worksteal -m "not apiserver and not synapse and not haproxy and not cluster and not long and not soak"

soak: .venv/ready ## What takes hours; on the cluster ROUNDS times. Writes a dated report under docs/measurements/.
	$(BIN)/python -m e2e.suite --soak --rounds $(ROUNDS)

bench: .venv/ready ## The benchmarks, printed.
	$(BIN)/python -m e2e.bench

up: .venv/ready ## Only the cluster.
	$(BIN)/python -m e2e.cluster up

down: ## Take the cluster down; leaves nothing but the cache.
	$(PYTHON) -m e2e.cluster down

format: .venv/ready ## Format the sources and mend what the linter can.
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

golden: .venv/ready ## Write the golden files anew; look at the diff before you commit it.
	$(PYTEST) -q operator/tests/core crds/tests/test_schema.py --update-golden

reference: .venv/ready ## Write docs/reference.md anew from the CRD.
	$(BIN)/python docs/generate_reference.py

clean: ## Remove the virtual environment and tools' caches (not the cache of built binaries).
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: requirements-dev.txt tools/setup
	tools/setup
