# Everything a developer runs. `make` alone shows the targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export ENGINE IMAGE ARCHS BASE BUILD_BASE
TESTS ?= tests/integration
KILLS ?= 50
OUT ?= dist
SECONDS ?= 20
COMPILE = .cache/pin/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --universal \
	  --custom-compile-command "make requirements" $(UPGRADE)

.PHONY: help setup runtime dev test imports reference pictures lint unit coverage crashes integration hostile fuzz conformance faults demo-hybrid demo-one-cluster demo-batch demo-usage bench demo-pivot requirements crds image release clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

# Nothing is resolved at install time: these files list every package, with hashes, and --no-deps takes just these.
# A package without a wheel is built with the pinned setuptools, not with one that pip fetches for itself.
# With its resolver, pip would meet extras such as coverage[toml] and prefer a release newer than the pin.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

setup: $(VENV)/.installed ## Make the environment for development with exactly the pinned packages

runtime: $(VENV)/.runtime ## Make the environment that runs the product: no tests, no tools

$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --only-binary :all: -r requirements.txt -r requirements-build.txt
	$(INSTALL) --no-build-isolation -e .
	touch $@

$(VENV)/.installed: $(VENV)/.runtime requirements-dev.txt
	$(INSTALL) --no-build-isolation --require-hashes -r requirements-dev.txt
	touch $@

dev: runtime ## Run everything in one process, without any cluster
	$(BIN)/metal3-workloads dev $(ARGS)

imports: setup ## Draw the imports between packages into CONTRIBUTING.md
	$(BIN)/python -m hack.imports --write

reference: setup ## Write the tables of docs/api.md from the models
	$(BIN)/python -m hack.apireference --write

pictures: setup ## Draw the diagrams of the documentation, docs/images
	$(BIN)/python -m hack.pictures
	$(BIN)/python -m hack.pictures.terminal

lint: setup ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup ## Unit tests
	$(BIN)/pytest

coverage: setup ## Unit tests, and the lines and branches that none of them runs (half as much CPU again)
	$(BIN)/pytest --cov --cov-report=term-missing

test: lint unit ## What has to pass before every commit: lint and unit

crashes: setup ## Controllers killed at every call, and random histories, on clusters in memory (minutes)
	$(BIN)/pytest tests/crashes

integration: setup ## Tests on a real kube-apiserver and etcd (built once, minutes)
	$(BIN)/pytest $(TESTS)

hostile: setup ## Requests and secrets that grow in every dimension: none may hold the event loop, cost more than linearly, or leave memory behind (minutes)
	$(BIN)/pytest tests/hostile --timeout 300

fuzz: setup ## Fuzz the code that reads tenants' bytes, guided by coverage: SECONDS each, from tests/hostile/corpus (Linux on x86-64)
	$(BIN)/python -m tests.hostile.fuzz $(SECONDS)

conformance: setup ## Compare every answer with kube-apiserver's; the report is .cache/conformance/report.txt
	$(BIN)/pytest tests/conformance

faults: setup ## Check that no write is lost: kill -9, power cuts, full disks, damaged files, every fault of etcd (minutes; KILLS=5 for less)
	$(BIN)/pytest tests/faults --kills $(KILLS)

demo-hybrid: setup ## Servers and virtual machines in one cluster, shown on real control planes (a minute)
	hack/demo-hybrid $(ARGS)

demo-one-cluster: setup ## CAPM3-like tenants in the cluster in which the Baremetal Operator runs, through the gateway (a minute)
	hack/demo-one-cluster $(ARGS)

demo-batch: setup ## A batch of machines that starts together, is updated one by one, and is adopted (a minute)
	hack/demo-batch $(ARGS)

demo-usage: setup ## Metered machines: who had them, and for how long, while programs are killed (a minute)
	hack/demo-usage $(ARGS)

bench: setup ## This server beside kube-apiserver: CPU per request, as table and plot in docs/benchmarks.md (ten minutes)
	$(BIN)/python -m tests.bench --out docs/benchmarks.md --plot docs/images/benchmarks.svg

demo-pivot: setup ## A pivot on real control planes, step by step (two minutes; ARGS='--outage 3600' cuts the link for an hour)
	hack/demo-pivot $(ARGS)

requirements: ## Pin the packages that pyproject.toml requires; UPGRADE=--upgrade takes newer versions of everything
	test -x .cache/pin/bin/uv || { $(PYTHON) -m venv .cache/pin && .cache/pin/bin/pip install --quiet --disable-pip-version-check uv; }
	$(COMPILE) --group build --extra dev --extra otel --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --constraint requirements-dev.txt --output-file requirements.txt pyproject.toml
	$(COMPILE) --group build --constraint requirements-dev.txt --output-file requirements-build.txt

image: ## Build the container image with docker, podman or buildah; hack/image/build lists its settings (BASE, ARCHS, IMAGE, ENGINE)
	@hack/image/build

release: setup ## Write the files of a release to OUT (dist): IMAGE=NAME and DIGEST=sha256:... of the pushed image; DOCS=URL of its pages
	$(BIN)/python -m hack.release.make --image "$(IMAGE)" --digest "$(DIGEST)" --docs "$(DOCS)" --out "$(OUT)"

crds: setup ## Write the definition of the simulated hardware's kind
	$(BIN)/python -m hack.realcluster.crd

clean: ## Delete what the other targets made (not the tools in ~/.cache)
	rm -rf $(VENV) .cache .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
