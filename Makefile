# Every command of the project. Each one makes what it needs, in any order, from a fresh clone,
# and writes nothing outside the checkout: the environment is .venv, the caches are under .cache.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/.cache

# Empty when PYTHON does not run. Its stamp in the environment tells that another PYTHON was asked for.
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
CREATED := $(VENV)/.created-$(PYTHON_VERSION)
BOOTSTRAPPED := $(VENV)/.bootstrapped
READY := $(VENV)/.ready

UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --python $(BIN)/python --universal --python-version 3.10 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# The browser example's livekit-client, and the server that it talks to where none is named.
PAGE := examples/browser/node_modules/.package-lock.json
LIVEKIT := $(if $(LIVEKIT_URL),,livekit)
# `make floor` takes Python 3.10 where there is one: the oldest, for which every lowest version has
# a wheel.
FLOOR_PYTHON := $(shell python3.10 -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
ADAPTER_TESTS := tests/test_aio.py tests/test_livekit.py \
	tests/stt tests/llm tests/tts tests/sessions tests/faults
# Pre-releases of LiveKit's packages, and of no other.
LIVEKIT_NEXT := $(addsuffix >=0.dev0,livekit livekit-agents livekit-plugins-silero livekit-protocol)
# How long `make soak` takes.
MINUTES ?= 10
# Emptied (make lock UPGRADE=), every pin that still fits is kept.
UPGRADE ?= --upgrade

export XDG_CACHE_HOME := $(CACHE)
export UV_CACHE_DIR := $(CACHE)/uv
export PIP_CACHE_DIR := $(CACHE)/pip
export MPLCONFIGDIR := $(CACHE)/matplotlib
export npm_config_cache := $(CACHE)/npm
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The interpreter is the one in PYTHON; uv looks for no other and downloads none.
export UV_PYTHON_DOWNLOADS := never
# From 1.29 on, onnxruntime (Silero, piper) reports its use to Microsoft unless told not to.
export ORT_DISABLE_TELEMETRY := 1
# Neither another checkout nor another environment may leak in.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup check lint types build wheel test floor newest faults soak demo bench livekit toxiproxy
.PHONY: load chromium e2e browser format lock clean

help: ## List the commands
	@grep -hE '^[a-z0-9]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9]+):.*## /\1|/' \
		| awk -F'|' '{ printf "  make %-9s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON=python3.12 on any of them picks the interpreter (3.10 or newer; now: $(PYTHON))."

setup: $(READY) ## Make the environment in .venv and install the locked dependencies

check: lint types wheel ## Lint, check the types, build, and try the wheel in an empty environment

lint: $(READY) ## Run ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Run mypy --strict
	$(BIN)/mypy

build: $(READY) ## Build the sdist, and the wheel from it, into dist/
	rm -rf dist
	$(UV) build --quiet --python $(BIN)/python --no-build-isolation --out-dir dist .

wheel: build ## Install the wheel into an empty environment and import it there
	rm -rf build/empty
	$(UV) venv --quiet --python $(BIN)/python build/empty
	$(UV) pip install --quiet --python build/empty/bin/python \
		--constraints requirements/dev.txt dist/*.whl
	build/empty/bin/python -I scripts/check_wheel.py dist/*.whl

test: $(READY) ## Run the tests, and print what they leave uncovered
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term-missing

floor: $(BOOTSTRAPPED) ## Test the adapters on the lowest versions that the package allows
	$(call try_versions,floor,$(FLOOR_PYTHON),--resolution lowest-direct --group test --editable .)

newest: $(BOOTSTRAPPED) ## Test the adapters on the newest versions, LiveKit's pre-releases too
	$(call try_versions,newest,$(PYTHON),--upgrade --group test --editable . $(LIVEKIT_NEXT))

faults: toxiproxy $(READY) ## Try every fault of service and line, and print what becomes of the call
	$(BIN)/python -m pytest -q --numprocesses 3 --dist loadfile --print-faults tests/faults \
		tests/bad_lines

soak: $(READY) ## Hold random calls for MINUTES=10, and fail if anything grows
	$(BIN)/python -m tests.soak.day --minutes $(MINUTES)

demo: $(READY) ## Hold a whole spoken conversation on this machine, without a key
	$(BIN)/python examples/demo.py

load: $(READY) ## Measure how many calls a process takes, beside another plugin (five minutes)
	$(BIN)/python -m benchmarks.load --kind realtime
	$(BIN)/python -m benchmarks.load --kind cascade
	$(BIN)/python -m benchmarks.load --kind streaming

bench: $(READY) ## Measure latency, CPU and memory beside other plugins (six minutes)
	$(BIN)/python -m benchmarks

livekit: ## Build LiveKit's server into .tools (with Go, once, two minutes)
	@$(PYTHON) scripts/build_tool.py livekit

toxiproxy: ## Build Toxiproxy into .tools (with Go, once, one minute)
	@$(PYTHON) scripts/build_tool.py toxiproxy

chromium: ## Find the browser of the tests; in CI, install it
	@$(PYTHON) scripts/find_chromium.py

e2e: livekit chromium $(PAGE) $(READY) ## Hold calls with the agent on a real LiveKit server, and in a browser
	$(BIN)/python -m pytest -v --tb=short -o faulthandler_exit_on_timeout=false tests/e2e

browser: $(LIVEKIT) $(PAGE) $(READY) ## Talk to the agent in your browser (LIVEKIT_URL: on a server of yours)
	$(BIN)/python -m examples.browser

format: $(READY) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(BOOTSTRAPPED) ## Renew the locked dependencies in requirements/
	$(COMPILE) $(UPGRADE) --group pyproject.toml:bootstrap -o requirements/bootstrap.txt >/dev/null
	$(COMPILE) $(UPGRADE) --extra demo --group dev -o requirements/dev.txt pyproject.toml >/dev/null

clean: ## Remove everything that these commands made
	rm -rf $(VENV) .cache .tools .hypothesis bench-output browser-output build dist demo-output \
		e2e-output examples/browser/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Test the adapters in an environment of their own: its name, its Python, and what uv installs.
define try_versions
	$(UV) venv --quiet --clear --python $(2) .cache/$(1)
	$(UV) pip install --quiet --python .cache/$(1)/bin/python $(foreach option,$(3),'$(option)')
	$(UV) pip list --python .cache/$(1)/bin/python
	.cache/$(1)/bin/python -m pytest -q --numprocesses 3 --dist loadfile $(ADAPTER_TESTS)
endef

$(CREATED):
	@if [ -z "$(PYTHON_VERSION)" ]; then \
		echo "$(PYTHON) does not run. Install Python 3.10 or newer, or name one: make PYTHON=python3.12" >&2; \
		exit 1; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$(PYTHON) is Python $(PYTHON_VERSION), and 3.10 or newer is needed. Name one: make PYTHON=python3.12" >&2; \
		exit 1; \
	}
	rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) made no environment. Debian and Ubuntu keep that in a package: python3-venv" >&2; \
		exit 1; \
	}
	@touch $@

$(BOOTSTRAPPED): requirements/bootstrap.txt $(CREATED)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt
	@touch $@

$(READY): requirements/dev.txt pyproject.toml livekit_plugins_speko/version.py $(BOOTSTRAPPED)
	@echo "Installing the locked dependencies into $(VENV) (1 GB on disk) ..."
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(PAGE): examples/browser/package.json examples/browser/package-lock.json
	@command -v npm >/dev/null || { \
		echo "There is no npm to fetch the page's livekit-client with: install Node.js 18 or newer." >&2; \
		exit 1; \
	}
	cd examples/browser && npm ci
	@touch $@
