# Every target makes the environment it needs, from Python 3.11 or newer and make alone.
#
#   make demo       walk one manifest through its whole life
#   make run        start a daemon for development in this terminal
#   make test       style, types, layers, then the tests with coverage: under 4 minutes on two cores
#   make test-all   the same, and the tests marked `long`
#   make torture    crashes, faults, fuzzing and simulation for MINUTES=60, with totals at the end,
#                   also in the file JSON=…
#   make check      style, types and layers alone
#   make bench      the benchmark and its upper bounds
#
# PYTEST_ARGS goes to pytest, three workers by default: make test PYTEST_ARGS="-x -k journal".

PYTHON ?= python3
PYTEST_ARGS ?= -n 3 --dist worksteal
MINUTES ?= 60
BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST := $(BIN)/pytest --cov --cov-report=term $(PYTEST_ARGS)

# Compiled once, not by each of the hundreds of processes that the tests start, whatever the caller says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := test
.PHONY: demo run test test-all torture check bench lock clean

demo: $(INSTALLED)
	$(BIN)/python docs/examples/registration_demo.py

run: $(INSTALLED)
	$(BIN)/manifestd --dev

test: check
	$(PYTEST)

# A long test may run for a while: its hang is the caller's to notice.
test-all: check
	$(PYTEST) -m "long or not long" -o faulthandler_timeout=1800

torture: $(INSTALLED)
	$(BIN)/python -m tests.torture --minutes $(MINUTES) $(if $(JSON),--json $(JSON))

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m bench

# Two stamps: a change of settings in pyproject.toml costs a second, a new lock a new environment.
$(INSTALLED): .venv/.locked pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "manifestd needs Python 3.11 or newer, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name one that is: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "'$(PYTHON)' cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@# --no-deps: the lock is complete, and pip before 23.3 takes an extra (`coverage[toml]`) for a
	@# requirement of its own and looks for its newest release.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@touch $@

# Anew from pyproject.toml, for every platform and Python it allows. uv.lock is not used: it would
# name the host that this machine loads its packages from.
lock: .venv-lock/.installed
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-config \
	  --custom-compile-command "make lock" \
	  --group build --group dev pyproject.toml --output-file requirements.lock

.venv-lock/.installed:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check "uv>=0.13.9"
	@touch $@

clean:
	rm -rf .venv .venv-lock build dist .coverage .coverage.* .hypothesis .import_linter_cache \
	  .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -exec rm -rf {} +
