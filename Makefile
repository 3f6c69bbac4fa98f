# The commands of this project. `make` alone lists them.
# Each sets up what it needs first; the second time that takes no noticeable time.

SHELL := /bin/sh
PY := .venv/bin/python
ARGS ?=
FAULTS = tests/faults tests/integration tests/conformance tests/api

.DEFAULT_GOAL := help
.PHONY: help run test faults check bench css docs constraints clean

help: ## List the commands
	@echo "usage: make COMMAND [ARGS=...]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

run: ## Start everything on the embedded default, run a first job, keep serving (Ctrl-C stops)
	@sh scripts/set-up run
	@$(PY) -m app.dev $(ARGS)

test: ## Run the tests (a part of them: ARGS=tests/api)
	@sh scripts/set-up dev
	@rm -f .pytest_cache/v/cache/lastfailed
	@$(PY) -m pytest -n auto --maxprocesses=4 --dist loadfile $(ARGS) || sh scripts/judge-pytest $$? $(ARGS)

faults: ## Bring about every fault and print what came of it (a long soak: ARGS="--minutes 30")
	@sh scripts/set-up dev
	$(PY) -m pytest -n 2 --dist loadfile -m fault --fault-table $(FAULTS) $(ARGS)

check: ## Formatting, lint, types and the layers' import rules
	@sh scripts/set-up dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: ## Measure: jobs per second, time to start, memory
	@sh scripts/set-up dev
	$(PY) -m benchmarks $(ARGS)

css: ## Build the pages' style sheet and vendored scripts (needs node)
	@cd frontend && npm install --no-save --silent && npm run --silent build

docs: ## Write docs/reference from the code
	@sh scripts/set-up dev
	$(PY) -m docs.generate

constraints: ## Pin the newest versions of everything in constraints.txt
	@sh scripts/pin-versions

clean: ## Remove what was built, not your data in var/
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
