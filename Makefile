VENV ?= .venv
BIN := $(VENV)/bin
SIM := $(VENV)/.ready-sim
DEV := $(VENV)/.ready-dev
PEERS := $(VENV)/.ready-bench
PINS := $(wildcard .ci/constraints/*.txt)
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(BIN)/python -m pytest
export VENV PYTHON NEWEST

.PHONY: help setup run test lint types system torture bench pins newest clean
.DEFAULT_GOAL := help

help: ## tell what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(SIM) ## make .venv and install Earshot with its simulator

run: $(SIM) ## hear and locate the quickstart scene; writes report.html
	@$(BIN)/earshot-sim run quickstart --report report.html

test: lint types ## all checks, then the tests that need no installed server or tool (minutes)
	@$(PYTEST) -n 2 --dist loadfile -m "not (torture or system)" $(WITHOUT)

lint: $(DEV) ## ruff: rules and formatting
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet

types: $(DEV) ## mypy, strict
	@$(BIN)/mypy --no-error-summary

system: $(DEV) ## real parts: audio, systemd, brokers, tools, other Pythons (a quarter of an hour)
	@$(PYTEST) -n 2 --dist loadfile -m "system and not torture"
	@.ci/matrix

torture: $(DEV) ## the long trials (hours)
	@$(PYTEST) -m torture

bench: $(PEERS) ## measure, with ratios to peers and floors measured beside it
	@$(ONE_THREAD) $(PYTEST) -s -o python_files="bench_*.py" tests/benchmarks

pins: ## renew .ci/constraints/ with what each Python here gets today
	@.ci/pins

newest: ## `make test` with today's releases instead of the pinned ones
	@$(MAKE) --no-print-directory VENV=.venv-newest NEWEST=yes test

clean: ## remove the virtual environments and everything else made here
	@rm -rf .venv .venv-* build report*.html .*_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SIM): pyproject.toml .ci/setup $(PINS)
	@.ci/setup sim && touch $@

$(DEV): pyproject.toml .ci/setup $(PINS)
	@.ci/setup sim,dev && touch $(SIM) $@

$(PEERS): pyproject.toml .ci/setup $(PINS)
	@.ci/setup sim,dev,bench && touch $(SIM) $(DEV) $@
