# fastroute: `make help` lists the targets.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q

.PHONY: help setup setup-dev run demo check format test soak bench bench-peers bench-live bench-micro bench-litellm simulate docs schema prices providers lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	echo "Installing the locked requirements ..."
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing the locked development requirements ..."
	$(PIP) install --require-hashes -r requirements-dev.lock
	touch $@

setup: $(VENV)/.runtime ## Create .venv with the locked requirements
setup-dev: $(VENV)/.dev ## The same, with the tools for tests and checks

run: setup ## Serve on 127.0.0.1:4000 over embedded mock providers: no keys, no network
	@exec $(BIN)/fastroute serve --config configs/demo.yaml --mock configs/demo-mock.yaml

demo: setup ## A mixed load with a brownout and an outage; prints cost, saving and p99 against the objective
	@$(BIN)/fastroute demo

check: setup-dev ## Format, lint, types, layers, house numbers, schema freshness
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest tests/arch

format: setup-dev ## Format the code
	@$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup-dev ## All tests, and beside them five minutes of mixed load and faults
	@mkdir -p build
	$(BIN)/python -m bench.soak > build/soak.log 2>&1 & soak=$$!
	trap 'kill $$soak 2>/dev/null || true' EXIT
	tests=0; $(BIN)/python -m pytest || tests=$$?
	echo "Waiting for the soak run beside the tests (build/soak.log) ..."
	held=0; wait $$soak || held=$$?
	cat build/soak.log
	exit $$((tests ? tests : held))

soak: setup ## Mixed load and faults for SOAK_S seconds (300); then no memory, task, socket or timer may be left
	@$(BIN)/python -m bench.soak --seconds $(or $(SOAK_S),300)

bench: setup ## What the router adds: latency and CPU beside a direct call, nginx and an aiohttp proxy (SCENARIO=... for one)
	@$(BIN)/python -m bench $(SCENARIO)

bench-peers: setup ## One scenario against nginx, the aiohttp proxy, and Envoy, LiteLLM, sglang-router, Portkey where installed
	@$(BIN)/python -m bench --peers $(SCENARIO)

bench-live: setup ## The same faults over real sockets and in the simulator: do they agree? Five minutes (TRACE=... RATE=5 LIVE_S=300)
	@$(BIN)/python -m bench.live --trace $(or $(TRACE),poisson) --rate $(or $(RATE),5) --seconds $(or $(LIVE_S),300)

bench-micro: setup ## What choosing, ticking, recording and merging cost, as ratios of one bisect; with limits and verdicts
	@$(BIN)/python -m bench.micro

.venv-litellm/.ready: pyproject.toml
	@test -x .venv-litellm/bin/python || $(PYTHON) -m venv .venv-litellm
	echo "Installing LiteLLM into .venv-litellm ..."
	wanted=$$($(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['dependency-groups']['litellm'], sep='\n')")
	.venv-litellm/bin/pip --disable-pip-version-check -q install -e . $$wanted
	touch $@

bench-litellm: .venv-litellm/.ready ## LiteLLM's own Router in the simulated world, beside fastroute (TRACE=poisson RATE=0.3 WORLD=six-phases)
	@.venv-litellm/bin/python -m bench.baselines.litellm_run --trace $(or $(TRACE),poisson) --rate $(or $(RATE),0.3) --world $(or $(WORLD),six-phases)

simulate: setup ## The real router on virtual time, with faults (TRACE=poisson RATE=2 WORLD=six-phases CONFIG=...); build/simulation.html
	@mkdir -p build
	$(BIN)/fastroute simulate --trace $(or $(TRACE),poisson) --rate $(or $(RATE),2) --world $(or $(WORLD),six-phases) \
	  --config $(or $(CONFIG),fastroute/sim/worlds/five-endpoints.yaml) --html build/simulation.html

schema: setup ## Regenerate the JSON Schema of the configuration and its reference page
	@$(BIN)/fastroute schema > fastroute/config/fastroute.schema.json
	$(BIN)/fastroute schema --markdown > docs/config-reference.md

prices: setup-dev ## Rebuild fastroute/prices/snapshot.json from the pinned data packages
	@$(PIP) install genai-prices==0.2.3
	rm -rf build/prices
	$(PIP) download --no-deps --dest build/prices litellm==1.106.0
	$(BIN)/python -m fastroute.prices.build --models build/prices/litellm-1.106.0-*.whl

providers: setup-dev ## Rewrite docs/providers.md from the presets, the price snapshot and the recorded traffic
	@PYTHONPATH=tests/contract $(BIN)/python tests/contract/providers_page.py

lock: ## Recompile the hash-locked requirements (needs uv)
	uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 -o requirements.lock -q --custom-compile-command "make lock"
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 -o requirements-dev.lock -q --custom-compile-command "make lock"

clean: ## Remove caches and the virtual environment
	rm -rf $(VENV) .venv-litellm .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
