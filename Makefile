# A clone needs python3, make and git. uv is installed into .cache if there is none or an old one,
# and uv installs the rest, pinned by uv.lock.
OUR_UV := $(CURDIR)/.cache/uv/bin/uv
# The oldest uv that reads our uv.lock and dependency groups, and has `uv pip install --group`.
OLDEST_UV := 0.7
IS_NEW := set -- $$(uv --version) && printf '%s\n' $(OLDEST_UV) "$$2" | sort -CV && command -v uv
UV := $(or $(shell { $(IS_NEW); } 2>/dev/null),$(OUR_UV))
RUN := $(UV) run --locked
UV_PYTHON_DOWNLOADS ?= never
export UV_PYTHON_DOWNLOADS

# PYTHON=3.13, or the path of one: any target with another Python, in an environment of its own.
ifdef PYTHON
export UV_PYTHON := $(PYTHON)
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.cache/python/$(subst /,_,$(PYTHON))
endif
SYNCED := $(or $(UV_PROJECT_ENVIRONMENT),.venv)/synced

.PHONY: help demo demo-newest up test test-fast test-python python test-faults check format types bench \
	bench-queries soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SYNCED) ## a whole call on this machine, then its rows; JSON=file writes them too
	@$(RUN) python -m local demo $(if $(JSON),--json "$(JSON)")

# Not the lock's versions, and the lock stays as it is: what a new release breaks shows here first.
NEWEST := $(CURDIR)/.cache/newest
demo-newest: | $(UV) ## the demo with the newest versions that pyproject.toml allows
	@$(UV) venv -q --clear $(NEWEST)
	@$(UV) pip install -q --upgrade --python $(NEWEST)/bin/python -e . --group worker --group local
	@$(NEWEST)/bin/python -m local demo

up: $(SYNCED) ## LiveKit, Postgres and models on this machine until Ctrl-C; settings in .env.local
	@$(RUN) python -m local up --env-file .env.local

# Tests in real rooms begin, since a long file that begins last is waited for by all; the order is that
# of tests/conftest.py. A third process would make speech in real time late on two cores.
test: $(SYNCED) ## all tests but the slow ones of the fault list
	@$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow_fault" $(PYTEST)

test-fast: $(SYNCED) ## what needs no room, on the newest Postgres only
	@$(RUN) pytest -n 2 --dist loadfile -m "not oldest_postgres" tests/unit tests/postgres $(PYTEST)

# What runs on every Postgres is about SQL, which no Python changes.
test-python: $(SYNCED) ## of those what a Python may change; PYTHON=3.13
	@$(RUN) pytest -n 2 --dist loadfile -m "not every_postgres" tests/unit tests/postgres $(PYTEST)

python: | $(UV) ## the path of the Python that is used
	@$(UV) python find

test-faults: $(SYNCED) ## the whole fault list, thousands of random histories among it
	@FAULT_EXAMPLES=3000 $(RUN) pytest tests/faults

check: $(SYNCED) ## lint, format, types, layers, Dockerfile, dependencies
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) lint-imports
	@$(RUN) hadolint Dockerfile
	@$(RUN) deptry callrecord db --ignore DEP002
	@$(RUN) deptry agent --ignore DEP002 --non-dev-dependency-groups worker
	@$(RUN) deptry . --non-dev-dependency-groups worker,local,dev

format: $(SYNCED) ## mend what ruff can mend
	@$(RUN) ruff check --fix
	@$(RUN) ruff format

types: $(SYNCED) ## types/voice-calls.ts from the migrations
	@$(RUN) python -m tests.frontend.generate

bench: $(SYNCED) ## side-by-side benchmarks
	@$(RUN) python -m bench

bench-queries: $(SYNCED) ## the named queries with 1,000,000 calls: 10 GB of disk, 15 minutes
	@$(RUN) python -m bench.queries

# It kills its own Postgres, so never the one that DATABASE_URL names.
soak: $(SYNCED) ## calls under random kills for MINUTES=20, then every turn counted; SEED=n
	@env -u DATABASE_URL $(RUN) python -m bench.soak --minutes $(or $(MINUTES),20) \
		$(if $(SEED),--seed $(SEED))

clean: ## remove what was brought and built
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(SYNCED): uv.lock pyproject.toml | $(UV)
	@$(UV) python find -q >/dev/null 2>&1 || { echo "$(NO_PYTHON)"; exit 2; }
	@$(UV) sync --locked
	@touch $@

NO_PYTHON = no Python 3.11 to 3.14 found (python3 is $(shell python3 --version 2>&1)): \
	install one; 3.10 is past its end of life

# In an environment of its own where Python has venv, else by pip into a folder.
$(OUR_UV):
	@echo "installing uv $(OLDEST_UV) or newer into .cache/uv"
	@command -v python3 >/dev/null \
		|| { echo "there is no python3: install Python 3.11 or newer, or uv"; exit 2; }
	@mkdir -p .cache
	@{ python3 -m venv .cache/uv && .cache/uv/bin/python -m pip install "uv>=$(OLDEST_UV)"; } \
			>.cache/uv.log 2>&1 \
		|| { rm -rf .cache/uv; python3 -m pip install --target .cache/uv "uv>=$(OLDEST_UV)"; } \
			>>.cache/uv.log 2>&1 \
		|| { rm -rf .cache/uv; tail -n 3 .cache/uv.log; echo "$(NO_UV)"; exit 2; }

NO_UV = uv could not be installed: install the packages python3-venv and python3-pip, or uv itself; \
	the whole output is in .cache/uv.log
