# `make` prints what there is. Needs GNU make and a Python 3.11 to 3.13; everything else goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LLM_STAMP := $(VENV)/.installed-local-llm
# arq needs a Redis client older than ours: the benchmarks' peers have an environment of their own.
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
# Of `make bench`: pieces (all when empty), and whether it only tries that every program works.
ONLY ?=
QUICK ?=
LLM ?= none
# Further options of `codeforge up`: make up ARGS='--port 0 --workers each'
ARGS ?=
# The interpreter for .venv; by default the newest supported one that really runs.
PYTHON ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

.PHONY: up
up: $(STAMP) $(if $(filter local,$(LLM)),$(LLM_STAMP)) ## Run the whole stack on this machine (LLM=local adds a small model)
	@exec $(BIN)/codeforge up --llm $(LLM) $(ARGS)

.PHONY: venv
venv: $(STAMP) ## Make .venv with all development dependencies
	@echo "$(VENV) is ready"

.PHONY: test
test: $(STAMP) ## Run the test suite (ARGS are pytest's)
	$(BIN)/python -m pytest tests/unit tests/contract tests/deploy tests/acceptance $(ARGS)

.PHONY: check
check: $(STAMP) ## Lint, formatting, types, import layers, house rules, manifests, rules, dashboards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold style Dockerfile.api Dockerfile.worker
	$(BIN)/python -m pytest -q tests/unit/test_house_rules.py tests/deploy/test_manifests.py \
	  tests/deploy/test_monitoring.py tests/deploy/test_dashboards.py

.PHONY: faults
faults: $(STAMP) ## Run the fault suite (ARGS=--short for a few minutes of it)
	$(BIN)/python -m tests.faults $(ARGS)

.PHONY: bench
bench: $(STAMP) $(BENCH_STAMP) ## Run the benchmarks beside their peers (ONLY=frontdoor: one piece; QUICK=1: does all work?)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS) $(ONLY)

LOCKS := api worker dev local-llm bench
# The local model shares .venv with the rest, so its lock may contradict no version of dev's.
COMPILE_api := --extra api
COMPILE_worker := --extra worker
COMPILE_dev := --extra dev
COMPILE_local-llm := --extra local-llm --constraints requirements/dev.txt

.PHONY: lock
lock: $(STAMP) ## Choose and lock the newest allowed versions of all dependencies
	@for name in $(LOCKS); do $(MAKE) --no-print-directory lock-$$name; done

.PHONY: $(LOCKS:%=lock-%)
# The peers share the drivers and the embeddings with the product, in the same versions; only the Redis client is older.
lock-bench: SOURCE := requirements/bench.in
COMPILE_bench = --constraints <(sed '/^redis==/,/[^\\]$$/d' requirements/dev.txt)
SOURCE := pyproject.toml

$(LOCKS:%=lock-%): lock-%:
	@echo "locking requirements/$*.txt"
	@$(BIN)/uv pip compile $(SOURCE) $(COMPILE_$*) --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements/$*.txt

# A stamp is as new as its lock: an unchanged .venv costs nothing, a changed lock installs again.
$(STAMP): requirements/dev.txt pyproject.toml
	@PYTHON='$(PYTHON)' bash tools/make_venv.sh $(VENV)
	@echo "installing requirements/dev.txt (a few minutes on a fresh machine)"
	@$(PIP) install --progress-bar on --require-hashes -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(BENCH_STAMP): requirements/bench.txt
	@PYTHON='$(PYTHON)' bash tools/make_venv.sh $(BENCH_VENV)
	@echo "installing requirements/bench.txt"
	@$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/bench.txt
	@touch $@

$(LLM_STAMP): requirements/local-llm.txt $(STAMP)
	@echo "installing requirements/local-llm.txt: llama-cpp-python compiles now, which takes some minutes (about 4"
	@echo "on two cores, once). Its build says what it does; a C++ compiler must be here."
	@$(PIP) install --verbose --progress-bar on --require-hashes -r requirements/local-llm.txt \
	  | { grep --line-buffered -E '^(Collecting|Building|Installing|Successfully|ERROR)|\[[0-9]+/[0-9]+\]' || true; }
	@touch $@
