# The two that matter: `make run` and `make test`.
# ARGS goes to the tool: make test ARGS="tests/notes -k move"

PYTHON ?= python3
JOBS ?= auto
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.installed-bench
RUFF := $(BIN)/ruff

# Values that production demands and that no check ever connects to.
PRODUCTION := ENVIRONMENT=production DEBUG=false \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFG \
	JWT_SIGNING_KEY=only-for-checks-9876543210-abcdefghijklmnopqrstuvwxyz-ABCDEFG \
	DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing REDIS_URL=redis://127.0.0.1:1/0 \
	ALLOWED_HOSTS=api.example.com CORS_ALLOWED_ORIGINS=https://app.example.com \
	EMAIL_URL=smtp+tls://mail.example.com

.DEFAULT_GOAL := help
.PHONY: help run test chaos bench check format schema clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(INSTALLED) ## the whole product on this machine, until Ctrl-C (PORT=8000)
	@$(BIN)/python -m NoteAssist_AI.launcher

test: $(INSTALLED) ## all tests
	$(BIN)/pytest -n $(JOBS) $(ARGS)

chaos: $(INSTALLED) ## kill everything at random for ten minutes, and check that nothing is lost (ARGS="--seed 1")
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(BENCH_INSTALLED) ## what it costs, beside other ways to write the same: see docs/performance.md (some minutes)
	$(BIN)/python -m benchmarks quick

check: $(INSTALLED) ## style, types, layers, migrations, production settings, API schema
	$(RUFF) check .
	$(RUFF) format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@mkdir -p .local
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file .local/openapi.yaml
	@diff -u docs/openapi.yaml .local/openapi.yaml || { echo "The API changed: look at it, then run 'make schema'." >&2; exit 1; }

format: $(INSTALLED) ## put the code into the project's style
	$(RUFF) check --fix .
	$(RUFF) format .

schema: $(INSTALLED) ## write docs/openapi.yaml from the code
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

clean: ## remove everything that was made here: the venv, the embedded engines' data, caches
	@if [ -x $(BIN)/python ]; then $(BIN)/python manage.py embedded stop; fi
	rm -rf $(VENV) .local staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed and '$(PYTHON)' is not one. Name one: PYTHON=python3.12 make ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED) benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
