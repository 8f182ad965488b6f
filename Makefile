# One command each. `make run` and `make test` set up what they need themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export BYLEAVE_STORE ?= var/byleave.db

.PHONY: run test check bench setup setup-dev models clean

run: $(VENV)/.run ## your own mail or chats: make run INBOX=path ME=you@example.org
	@$(BIN)/byleave demo $(if $(INBOX),--inbox "$(INBOX)") $(if $(ME),--me "$(ME)") $(if $(ORDER),--date-order $(ORDER))

test: setup-dev ## everything that CI runs
	@scripts/test

check: setup-dev ## format, types, layers, the house: seconds
	@scripts/check

bench: setup-dev
	@$(BIN)/python bench/import.py --quick && $(BIN)/python bench/page.py --quick

setup: $(VENV)/.run

setup-dev: $(VENV)/.dev

$(VENV)/.run: requirements.lock pyproject.toml
	@scripts/setup $(PYTHON) $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	@scripts/setup $(PYTHON) $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/.run

models: setup-dev ## the mention and stance models, from the town alone
	@$(BIN)/python -m byleave.tailoring.models $(if $(wildcard ../shared/samples),--samples ../shared/samples)

clean:
	rm -rf $(VENV) var build dist
