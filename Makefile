# The two that matter: `make run` and `make test`.
# ARGS goes to the tool: make test ARGS="tests/notes -k move"

PYTHON ?= python3
JOBS ?= auto
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGES = $(shell grep -c == requirements-dev.txt)
BENCH_INSTALLED := $(VENV)/.installed-bench
MUTANTS_INSTALLED := $(VENV)/.installed-mutants
RUFF := $(BIN)/ruff

# Values that production demands and that no check ever connects to.
PRODUCTION := ENVIRONMENT=production DEBUG=false \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFG \
	JWT_SIGNING_KEY=only-for-checks-9876543210-abcdefghijklmnopqrstuvwxyz-ABCDEFG \
	DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing REDIS_URL=redis://127.0.0.1:1/0 \
	ALLOWED_HOSTS=api.example.com CORS_ALLOWED_ORIGINS=https://app.example.com \
	EMAIL_URL=smtp+tls://mail.example.com

.DEFAULT_GOAL := help
.PHONY: help run free-port python test coverage chaos bench mutants contributing-check format schema requirements licenses clean
.PHONY: check check-style check-format check-types check-layers check-migrations check-production check-schema

# UPGRADE="--upgrade" or "--upgrade-package NAME" moves what the .in files do not pin.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --annotation-style line $(UPGRADE)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 28

run: free-port $(INSTALLED) ## the whole product on this machine, until Ctrl-C (PORT=8000)
	@$(BIN)/python -m NoteAssist_AI.embedded.launcher

free-port: python
	@$(PYTHON) NoteAssist_AI/embedded/ports.py

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed and '$(PYTHON)' is not one. Name one: PYTHON=python3.12 make ..." >&2; exit 1; }

test: $(INSTALLED) ## all tests
	$(BIN)/pytest -n $(JOBS) $(ARGS)

coverage: $(INSTALLED) ## run the fast tests and show the lines they miss; fails below the minimum in pyproject.toml
	$(BIN)/pytest -n $(JOBS) -m "not slow" --cov --cov-report=term-missing $(ARGS)

chaos: $(INSTALLED) ## kill everything at random for ten minutes, and check that nothing is lost (ARGS="--seed 1")
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(BENCH_INSTALLED) ## measure the cost, beside other implementations: see docs/performance.md (some minutes)
	$(BIN)/python -m benchmarks quick

contributing-check: $(INSTALLED) ## carry out the examples of CONTRIBUTING.md in a clean clone of HEAD, and test the result
	@$(BIN)/python -m tests.contributing $(ARGS)

mutants: $(MUTANTS_INSTALLED) ## make small mistakes in the code and list those that no test notices: see docs/testing.md
	@$(BIN)/python -m tests.mutants $(ARGS)

# Each part runs, whatever became of those before it, and the last line says how it ended.
CHECKS := style format types layers migrations production schema
check: $(INSTALLED) ## style, types, layers, migrations, production settings, API schema
	@failed=; for part in $(CHECKS); do \
		echo "check-$$part"; $(MAKE) --no-print-directory check-$$part || failed="$$failed $$part"; \
	done; \
	if [ -n "$$failed" ]; then echo "make check: FAILED:$$failed" >&2; exit 1; else echo "make check: passed"; fi

check-style: $(INSTALLED)
	@$(RUFF) check .

check-format: $(INSTALLED)
	@$(RUFF) format --check . || { echo "Run 'make format'." >&2; exit 1; }

check-types: $(INSTALLED)
	@$(BIN)/mypy .

check-layers: $(INSTALLED)
	@$(BIN)/lint-imports

check-migrations: $(INSTALLED)
	@$(BIN)/python manage.py makemigrations --check --dry-run || { \
		echo "The models changed: run '$(BIN)/python manage.py makemigrations' and read what it wrote." >&2; exit 1; }
	@$(BIN)/python manage.py lint_migrations

check-production: $(INSTALLED)
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

check-schema: $(INSTALLED)
	@mkdir -p .local
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file .local/openapi.yaml
	@diff -u docs/openapi.yaml .local/openapi.yaml || { echo "The API changed: look at it, then run 'make schema'." >&2; exit 1; }

format: $(INSTALLED) ## format the code, and list what must be corrected by hand
	@$(RUFF) check --fix-only --quiet .
	@$(RUFF) format .
	@$(RUFF) check .

schema: $(INSTALLED) ## write docs/openapi.yaml from the code
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

requirements: $(INSTALLED) ## pin the packages of the .in files and their dependencies, with hashes: see docs/upgrading.md
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -c requirements.txt -o requirements-dev.txt
	$(COMPILE) benchmarks/requirements.in -o benchmarks/requirements.txt
	for name in llmock litellm mocktopus; do $(COMPILE) tests/gateways/$$name.in -o tests/gateways/$$name.txt; done
	$(COMPILE) tests/mutants/requirements.in -c requirements-dev.txt -o tests/mutants/requirements.txt
	$(COMPILE) tests/requirements-contract.in -o tests/requirements-contract.txt

licenses: $(INSTALLED) ## write docs/licenses.md: the packages of production and their licences
	@{ printf '# Licences\n\nWhat production installs (`requirements.txt`), by the packages'"'"' own word. Written by `make licenses`.\n\n'; \
		$(BIN)/pip-licenses --with-system --from=mixed --format=markdown \
		--packages $$(grep -oE '^[a-z0-9-]+==' requirements.txt | tr -d =) \
		| sed '/^| pyromark /s/UNKNOWN/MIT    /'; } > docs/licenses.md # it says so in a file only

clean: ## remove what make created for this checkout: the venv, the embedded engines and their data, caches
	@if [ -x $(BIN)/python ]; then $(BIN)/python manage.py embedded stop; fi
	rm -rf $(VENV) .local staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt requirements-dev.txt | python
	@echo "Installing Python packages into $(VENV): about two minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --progress-bar off \
		-r requirements-dev.txt > $(VENV)/install.log 2>&1 & pip=$$!; \
	trap 'kill $$pip' INT TERM; \
	while kill -0 $$pip 2>/dev/null; do \
		sleep 5; echo "  $$(grep -cE '^(Collecting|Processing)' $(VENV)/install.log) of $(PACKAGES) packages found"; \
	done; \
	wait $$pip || { tail -n 20 $(VENV)/install.log >&2; exit 1; }
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED) benchmarks/requirements.txt
	$(PIP_INSTALL) -r benchmarks/requirements.txt
	@touch $@

$(MUTANTS_INSTALLED): $(INSTALLED) tests/mutants/requirements.txt
	$(PIP_INSTALL) -r tests/mutants/requirements.txt
	@touch $@
