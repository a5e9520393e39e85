# Everything is set up in .venv by bootstrap.py (standard library only); a set-up that is done is skipped at once.
# PYTHON=/path/to/python3.12 chooses the Python; ARGS="…" is handed to demo, test and soak.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check soak wheel wheelhouse docs reference assets lock format clean

FIND := for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done
PYTHON ?= $(shell $(FIND))
ifeq ($(strip $(PYTHON)),)
$(error Wuzha needs Python 3.11 or newer, and none is on PATH ($(shell python3 --version 2>&1)). Install one, or name it: make PYTHON=/path/to/python3.12)
endif

# An ordinary user's PostgreSQL programs stand in .venv too; root's stand where the server's own user can enter.
ifneq ($(shell id -u),0)
export WUZHA_CACHE ?= $(CURDIR)/.venv/.cache/wuzha
endif

SETUP := "$(PYTHON)" bootstrap.py
PY := .venv/bin/python
# Hashes, no host names; what is already locked stays as it is (ARGS=--upgrade for newer versions).
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile -q --generate-hashes \
  --universal --python-version 3.11 --no-emit-index-url $(ARGS)

help:  ## This list
	@sed -n 's/^\([a-z]*\):  *## /  make \1\t/p' Makefile | expand -t 20

demo:  ## A living city on this machine: sets up what is missing, starts, prints the address
	@$(SETUP) run
	@$(PY) -m wuzha demo $(ARGS)

test:  ## All tests; sets up what is missing
	@$(SETUP) test
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15 -rs $(ARGS)

check:  ## Format, lint, strict types, the import rule
	@$(SETUP) dev
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@$(PY) -m pytest tests/test_house.py

soak:  ## Slow proofs, one of them an hour long (WUZHA_SOAK_S=600: ten minutes)
	@$(SETUP) test
	@$(PY) -m pytest -m soak --durations 15 $(ARGS)

wheel:  ## dist/wuzha-….whl, with the pages' files in it
	@$(SETUP) dev
	@$(PY) -m build --wheel --no-isolation

wheelhouse:  ## dist/wuzha-…-offline.tar: everything that a machine without a network needs
	@$(SETUP) dev
	@$(PY) packaging/wheelhouse.py

docs:  ## The documentation site, in site/
	@$(SETUP) dev
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "The site is in site/index.html; with its search: $(PY) -m http.server --directory site 8001"

reference:  ## Write docs/reference/ anew from the code
	@$(SETUP) dev
	@$(PY) -m wuzha.events.reference docs/reference/tables.md
	@$(PY) -m wuzha.cli.reference docs/reference/commands.md

assets:  ## The pages' style sheets and scripts
	@$(SETUP) run

lock:  ## Write requirements/*.txt anew from pyproject.toml
	@$(SETUP) lock
	@$(COMPILE) --all-extras pyproject.toml requirements/build.in -o requirements/dev.txt
	@$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	@$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt

format:  ## Put every file in shape
	@$(SETUP) dev
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

clean:  ## Remove .venv and everything that was built (the demo's data in .demo stays)
	rm -rf .venv dist site build frontend/node_modules src/wuzha/web/static/vendor .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
