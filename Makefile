# make demo   set up and show the dashboard on recorded traffic; needs no root
# make test   set up and run the tests; with root also those that capture
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check install bench screenshots record clean

demo: $(VENV)/.run
	@$(BIN)/netwatch demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests benchmarks fuzz
	MYPYPATH=scripts $(BIN)/mypy --explicit-package-bases scripts

install: $(VENV)/.run

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev
	$(BIN)/python screenshots/make.py

# the capture that the demo plays; needs root and the programs that the script names
record:
	$(PYTHON) scripts/record_demo.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# ensurepip is what Debian packs apart: without it `python3 -m venv` leaves half an environment behind
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "netwatch: needs Python 3.11 or newer: apt-get install python3, or make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "netwatch: needs Python's venv module: apt-get install python3-venv" >&2; exit 1; }
	@echo "netwatch: setting up $(VENV) (once) …" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/pip
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml | $(BIN)/pip
	@$(PIP) --editable '.[bench]'
	@touch $@ $(VENV)/.run
