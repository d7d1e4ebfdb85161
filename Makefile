# Everything a developer runs. `make` alone shows the targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
TESTS ?= tests/integration
KILLS ?= 50

.PHONY: help setup dev test lint unit crashes integration conformance faults demo-hybrid bench demo-pivot requirements crds clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

setup: $(VENV)/.installed ## Make the environment with exactly the pinned packages

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make setup PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

dev: setup ## Run everything in one process, without any cluster
	$(BIN)/metal3-workloads dev $(ARGS)

lint: setup ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup ## Unit tests with coverage
	$(BIN)/pytest --cov --cov-report=term

test: lint unit ## What has to pass before every commit: lint and unit

crashes: setup ## Controllers killed at every call, and random histories, on clusters in memory (minutes)
	$(BIN)/pytest tests/crashes

integration: setup ## Tests on a real kube-apiserver and etcd (built once, minutes)
	$(BIN)/pytest $(TESTS)

conformance: setup ## Every answer beside kube-apiserver's; the report is .cache/conformance/report.txt
	$(BIN)/pytest tests/conformance

faults: setup ## Never losing a write: kill -9, power cuts, full disks, damaged files, every fault of etcd (minutes; KILLS=5 for less)
	$(BIN)/pytest tests/faults --kills $(KILLS)

demo-hybrid: setup ## Servers and virtual machines in one cluster, told on real control planes (a minute)
	hack/demo-hybrid $(ARGS)

bench: setup ## This server beside kube-apiserver: CPU per request, as table and plot in docs/benchmarks.md (ten minutes)
	$(BIN)/python -m tests.bench --out docs/benchmarks.md --plot docs/images/benchmarks.svg

demo-pivot: setup ## The story of a pivot on real control planes, step by step (two minutes; ARGS='--outage 3600' cuts the link for an hour)
	hack/demo-pivot $(ARGS)

requirements: ## Pin what pyproject.toml asks for; UPGRADE=--upgrade takes newer versions of everything
	test -x .cache/pin/bin/uv || { $(PYTHON) -m venv .cache/pin && .cache/pin/bin/pip install --quiet --disable-pip-version-check uv; }
	.cache/pin/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --universal \
	  --custom-compile-command "make requirements" --extra dev $(UPGRADE) --output-file requirements.txt pyproject.toml

crds: setup ## Write anew the definition of the simulated hardware's kind
	$(BIN)/python -m hack.realcluster.crd

clean: ## Delete what was made here (not the tools in ~/.cache)
	rm -rf $(VENV) .cache .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
