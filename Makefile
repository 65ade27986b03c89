PYTHON ?= python3
BIN := .venv/bin

.PHONY: run setup worker test check fmt lint bench

run: .venv/.installed
	@exec $(BIN)/python -m amda.run

setup: .venv/.installed-dev

worker: .venv/.installed
	@exec $(BIN)/python manage.py work

test: .venv/.installed-dev
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile

check: lint
	$(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python -m pytest -q tests/amda/test_completeness.py

fmt: .venv/.installed-dev
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lint: .venv/.installed-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: .venv/.installed-dev
	@exec $(BIN)/python -m tests.bench

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "AMDA needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1): install one, then run make with PYTHON=python3.11 (or its name)." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed: requirements.txt | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
