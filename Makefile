# Each target sets up what it needs; a second run finds it there.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
unexport PYTHONDONTWRITEBYTECODE  # every process of a test would compile everything anew

.DEFAULT_GOAL := help
.PHONY: help demo test test-proofs test-slow check fix schema docs lock check-node check-browser check-budget bench clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/installed ## Run everything on this machine (ARGS="--port 9000 --reset …")
	@$(BIN)/tiktok-accounts demo $(ARGS)

test: check ## Check the code and run all tests (ARGS="-k name …")
	$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

test-proofs: .venv/installed-dev ## Kills, races, outages, crowds, what was built: from outside, a small round each
	@scripts/need.sh pgbouncer || true  # without it, tests/cli/test_pooler.py is left out
	$(BIN)/pytest -n 3 --dist loadfile -m proof $(ARGS)
	TEST_OPERATIONS=2000 $(BIN)/pytest tests/execution/test_differential.py

test-slow: .venv/installed-dev ## The long proofs: races, kills, outages, the quota (some 45 minutes; see docs/reliability.md)
	TEST_ROUNDS=1000 TEST_KILLS=50 $(BIN)/pytest -n 2 --dist loadfile -m proof --durations=5 \
	  tests/connecting/test_renewal_races.py tests/connecting/test_crashes.py
	TEST_AWAY_ROUNDS=50 $(BIN)/pytest -n 2 -m proof -rA tests/connecting/test_database_away.py
	TEST_OPERATIONS=20000 $(BIN)/pytest tests/execution/test_differential.py
	TEST_HELD_SECONDS=3 TEST_SOON_SECONDS=0.1 TEST_MIX_SECONDS=60 TEST_SEARCH_SECONDS=600 $(BIN)/pytest -n 2 -m "proof or not proof" -rA tests/abuse
	TEST_CLOSING_ROUNDS=20 $(BIN)/pytest -m "proof or not proof" tests/jobs/test_cancellation.py
	$(SLOW_JOBS) $(BIN)/pytest -n 2 --dist load -m proof -rA --durations=5 tests/jobs/test_job_crashes.py tests/jobs/test_database_restarts.py \
	  tests/jobs/test_quota.py tests/jobs/test_fairness.py tests/jobs/test_outages.py
	$(SLOW_ABUSE) $(BIN)/pytest -m "proof or not proof" -rA --durations=5 tests/abuse tests/cli/test_stop.py

SLOW_JOBS := TEST_JOB_KILLS=50 TEST_JOB_BATCH=300 TEST_RESTARTS=10 TEST_QUOTA_SECONDS=180 TEST_FAIR_BATCH=5000 \
  TEST_DOWN_SECONDS=120 TEST_FAULT_BATCH=300

SLOW_ABUSE := TEST_HEAD_MEGABYTES=64 TEST_SILENT=1500 TEST_CROWD=1000 TEST_CROWD_SECONDS=8 TEST_STOPS=10 TEST_STILL_MS=100 \
  TEST_COSTLY_SECONDS=30 TEST_CONNECTIONS=1500

check: .venv/installed-dev ## Types, style, layers
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/installed-dev ## Format, and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: .venv/installed ## Write schema.graphql from the code
	$(BIN)/tiktok-accounts schema print > schema.graphql

docs: .venv/installed ## Write the reference pages from the code
	$(BIN)/tiktok-accounts docs configuration > docs/configuration.md
	$(BIN)/tiktok-accounts docs errors > docs/errors.md

check-node: .venv/installed ## HTTP audits, Relay's compiler and GraphQL's linter (needs Node)
	scripts/check_node.sh

check-browser: .venv/installed ## GraphiQL in headless Chromium (needs Node)
	scripts/check_browser.sh

check-budget: .venv/installed-dev ## Instructions per request beside bench/budget.json (ARGS=--write records them)
	@scripts/need.sh valgrind
	$(BIN)/python -m bench.budget $(ARGS)

bench: .venv/installed-dev .venv-bench/installed bench/node_modules/.package-lock.json ## Ours beside the peers, and as data grows (see bench/README.md)
	@scripts/need.sh wrk
	$(BIN)/python -m bench $(ARGS)

lock: .venv/installed-dev ## Pin every version anew
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --upgrade $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) --group bench -o requirements-bench.lock

LOCK := --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

.venv-bench/installed: requirements-bench.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock
	@touch $@

bench/node_modules/.package-lock.json: bench/package-lock.json
	cd bench && npm ci --loglevel=error
	@touch $@

clean: ## Remove what was installed and what the demo left
	rm -rf .venv .venv-bench .data .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage* dist node/node_modules bench/node_modules
