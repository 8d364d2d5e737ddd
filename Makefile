# RTX needs Python 3.11 to 3.13 and make; everything else is installed into .venv from hashed lock files.

PYTHON_CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11 python
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
ONLY ?=
ARGS ?=
WORKERS ?= 2

# Compiled modules are kept: compiling them anew is most of a process's start, and there are dozens of them.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env run test lint e2e bench soak verify clean lock

help: ## Show the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile | expand -t 10

env: $(STAMP) ## Create or update .venv

# The interpreter is tried out, not only looked up: launchers and shims may exist for versions that are not installed.
$(STAMP): requirements.lock requirements-bootstrap.lock
	@set -e; \
	found=""; \
	for candidate in $(PYTHON_CANDIDATES); do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then \
	    found="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "RTX needs Python 3.11, 3.12 or 3.13; none was found. Install one, or say: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then \
	  echo "creating $(VENV) with $$($$found --version)"; \
	  rm -rf $(VENV); \
	  if ! "$$found" -m venv $(VENV); then \
	    echo "This Python cannot create environments; on Debian and Ubuntu install the package python3-venv" >&2; \
	    rm -rf $(VENV); \
	    exit 1; \
	  fi; \
	fi; \
	echo "installing what requirements.lock names"; \
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock; \
	sync="pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock"; \
	if ! $(BIN)/uv $$sync && ! $(BIN)/uv --system-certs $$sync; then \
	  echo "uv could not install; trying pip, which knows this machine's own package settings"; \
	  $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock; \
	fi; \
	touch $(STAMP)

run: $(STAMP) ## Run the demo broker: embedded servers, all processes
	@exec $(BIN)/python -m rtx.local run

test: $(STAMP) ## Run unit, architecture and integration tests against embedded servers
	$(BIN)/python -m pytest tests/unit tests/architecture tests/integration -m "not serial" -n $(WORKERS) $(ARGS)
	$(BIN)/python -m pytest tests/integration -m serial $(ARGS)

lint: $(STAMP) ## Check style, types, imports and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=rtx.settings.test $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

e2e: $(STAMP) ## Run the tests in a real browser (needs Chromium)
	$(BIN)/python -m pytest tests/e2e $(ARGS)

bench: $(STAMP) ## Measure; ONLY=name measures one figure
	$(BIN)/python -m tests.perf $(if $(ONLY),--only $(ONLY))

soak: $(STAMP) ## Replay a recorded day at 100x with 200 accounts trading and check everything; ARGS="--minutes 60 --seed 7"
	$(BIN)/python -m tests.soak $(ARGS)

verify: $(STAMP) ## Derive every balance and position again from the journal of the running demo broker
	$(BIN)/python -m rtx.local manage verify_books $(ARGS)

clean: ## Delete the demo broker's data, the environment and caches
	@if [ -x $(BIN)/python ] && [ -d .rtx ]; then $(BIN)/python -m rtx.local clean; fi
	rm -rf $(VENV) .rtx staticfiles bench.json .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(STAMP) ## Resolve the dependencies of pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --group dev pyproject.toml -o requirements.lock
	sed -n '/^uv==/,/^ *# via/p' requirements.lock | grep -v '# via' > requirements-bootstrap.lock
