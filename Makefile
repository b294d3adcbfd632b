# Everything a clone needs: python3 >= 3.11, make and git. uv is brought here if it is absent,
# and uv brings the rest, pinned by uv.lock.
UV := $(or $(shell command -v uv),$(CURDIR)/.cache/uv/bin/uv)
RUN := $(UV) run --locked
export UV_PYTHON_DOWNLOADS ?= never

.PHONY: help demo demo-newest up test test-faults check format types bench bench-queries soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/synced ## a whole call on this machine, then its rows; JSON=file writes them too
	@$(RUN) python -m local demo $(if $(JSON),--json "$(JSON)")

# Not the lock's versions, and the lock stays as it is: what a new release breaks shows here first.
NEWEST := $(CURDIR)/.cache/newest
demo-newest: | $(UV) ## the demo with the newest versions that pyproject.toml allows
	@$(UV) venv -q --clear $(NEWEST)
	@$(UV) pip install -q --upgrade --python $(NEWEST)/bin/python -e . --group worker --group local
	@$(NEWEST)/bin/python -m local demo

up: .venv/synced ## LiveKit, Postgres and models on this machine until Ctrl-C; settings in .env.local
	@$(RUN) python -m local up --env-file .env.local

# Tests in real rooms mostly wait: two processes at a time.
test: .venv/synced ## all tests but the slow ones of the fault list
	@$(RUN) pytest -n 2 --dist loadfile -m "not slow_fault"

test-faults: .venv/synced ## the whole fault list, thousands of random histories among it
	@FAULT_EXAMPLES=3000 $(RUN) pytest tests/faults

check: .venv/synced ## lint, format, types, layers, Dockerfile
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) lint-imports
	@$(RUN) hadolint Dockerfile

format: .venv/synced ## mend what ruff can mend
	@$(RUN) ruff check --fix
	@$(RUN) ruff format

types: .venv/synced ## types/voice-calls.ts from the migrations
	@$(RUN) python -m tests.frontend.generate

bench: .venv/synced ## side-by-side benchmarks
	@$(RUN) python -m bench

bench-queries: .venv/synced ## the named queries with 1,000,000 calls: 10 GB of disk, 15 minutes
	@$(RUN) python -m bench.queries

# It kills its own Postgres, so never the one that DATABASE_URL names.
soak: .venv/synced ## calls under random kills for MINUTES=20, then every turn counted; SEED=n
	@env -u DATABASE_URL $(RUN) python -m bench.soak --minutes $(or $(MINUTES),20) \
		$(if $(SEED),--seed $(SEED))

clean: ## remove what was brought and built
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/synced: uv.lock pyproject.toml | $(UV)
	@$(UV) sync --locked
	@touch $@

# A venv of its own where Python has one, else pip into a folder; one line if neither is there.
$(CURDIR)/.cache/uv/bin/uv:
	@echo "bringing uv"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "python3 is older than 3.11: install a newer one, or uv"; exit 2; }
	@mkdir -p .cache
	@{ python3 -m venv .cache/uv >/dev/null 2>&1 && .cache/uv/bin/python -m pip install uv; } \
		|| { rm -rf .cache/uv; python3 -m pip install --target .cache/uv uv; } \
		|| { echo "python3 has neither venv nor pip: install python3-venv, or uv"; exit 2; }
