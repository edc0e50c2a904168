BIN := .venv/bin
SIM := .venv/.ready-sim
DEV := .venv/.ready-dev
PEERS := .venv/.ready-bench
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup run test lint types bench torture clean
.DEFAULT_GOAL := help

help: ## tell what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(SIM) ## make .venv and install Earshot with its simulator

run: $(SIM) ## hear and locate the quickstart scene; writes report.html
	@$(BIN)/earshot-sim run quickstart --report report.html

test: lint types ## all checks, then all tests but the long ones
	@$(PYTEST) -n 2 --dist loadfile -m "not torture"

lint: $(DEV) ## ruff: rules and formatting
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet

types: $(DEV) ## mypy, strict
	@$(BIN)/mypy --no-error-summary

bench: $(PEERS) ## measure, with ratios to peers and floors measured beside it
	@$(ONE_THREAD) $(PYTEST) -s -o python_files="bench_*.py" tests/benchmarks

torture: $(DEV) ## the long trials
	@$(PYTEST) -m torture

clean: ## remove the virtual environment and everything else made here
	@rm -rf .venv build report*.html .*_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SIM): pyproject.toml .ci/setup
	@.ci/setup sim && touch $@

$(DEV): pyproject.toml .ci/setup
	@.ci/setup sim,dev && touch $(SIM) $@

$(PEERS): pyproject.toml .ci/setup
	@.ci/setup sim,dev,bench && touch $(SIM) $(DEV) $@
