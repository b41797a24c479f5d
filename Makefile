# One program, ten targets at most. `make demo` and `make test` need Python 3.11 and make alone.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .uv/bin/uv
RUN := .venv/bin/
ARGS ?=
WITH ?=

.PHONY: help install demo test lint type bench soak ci clean

help: ## What there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tillwatch needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.installed: $(UV) pyproject.toml uv.lock hatch_build.py $(wildcard */*.c */*.h)
	$(UV) sync --frozen --python $(PYTHON) $(WITH)
	@touch $@

install: .venv/.installed ## The environment in .venv, with `tillwatch` in it

demo: install ## Everything here, on this machine: ARGS="--once …" for a bounded run
	@$(RUN)tillwatch demo $(ARGS)

test: install ## All tests that this machine can run
	$(RUN)pytest -n 2 --dist loadfile $(ARGS)

lint: install ## Style, formatting and types
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy

type: install ## Types alone
	$(RUN)mypy

bench: install ## The performance promises, measured beside a baseline
	$(RUN)python -m benchmarks $(ARGS)

soak: install ## Faults on real parts: nothing lost, nothing twice; ARGS="--seed 7 --kills 60 …"
	@$(RUN)python -m local.soak $(ARGS)

ci: ## What continuous integration runs
	bash .ci/run

clean: ## Remove what the demo and the tests left (not the environment)
	rm -rf .tillwatch .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
