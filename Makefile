# Everything a newcomer needs: `make train`, then `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup train reproduce test real slow lint types check bench wheel clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  \1\t/' | expand -t 12

setup: $(VENV)/.installed ## make the virtual environment with pinned dependencies

# torch goes first and alone, so that nothing else decides which build of it is taken.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dagrec needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[comfyui]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

train: setup ## train GRU4Rec on the built-in data; more settings: make train ARGS="model=popularity"
	$(BIN)/dagrec train $(ARGS)

reproduce: setup ## run the paper's summary table; others: make reproduce ARGS="table=honest"
	$(BIN)/dagrec reproduce $(ARGS)

test: $(VENV)/.installed-dev ## run the tests; some of them: make test ARGS="tests/data -k trie"
	$(PYTEST) -m "not slow" $(ARGS)

real: $(VENV)/.installed-dev ## run the tests on real data, which lie in $DAGREC_DATA_DIR
	$(PYTEST) -m "real and not slow" $(or $(ARGS),$$(grep -rl mark.real tests --include="test_*.py"))

slow: $(VENV)/.installed-dev ## run the tests that take minutes: whole trainings, kills, the wheel
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/.installed-dev ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## check types
	$(BIN)/mypy

check: lint types test ## all of the above

bench: setup ## measure the fast ways against plain ones
	$(BIN)/dagrec bench $(ARGS)

wheel: $(VENV)/.installed-dev ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove what the targets above made; outputs/ stays
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
