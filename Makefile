# make help lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
REQUIREMENTS := requirements/dev.txt
# Named after what it was made from: a changed lock, Kafka version or Python makes a new one, nothing else does.
STAMP := $(VENV)/setup-$(shell cat $(REQUIREMENTS) pyproject.toml deploy/kafka/pom.xml | cksum | cut -d' ' -f1)
BREW := $(shell [ "$$(uname -s)" = Darwin ] && echo yes)
remedy = $(if $(BREW),brew install $(2),sudo apt-get install -y $(1))

.PHONY: help setup demo up test test-faults soak fuzz check audit sbom fix docs bench bench-load bench-learning bench-peers lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything the project needs, once

# Everything that can be missing is asked for before anything is installed.
$(STAMP):
	@missing() { echo "$$1: $$2" >&2; exit 1; }; \
	command -v $(PYTHON) >/dev/null \
	  || missing "Python 3.11 or newer is not installed" "$(call remedy,python3 python3-venv,python@3.12)"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || missing "Python 3.11 or newer is needed and $(PYTHON) is older" \
	     "$(call remedy,python3.11 python3.11-venv,python@3.12) and run make with PYTHON=python3.11"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || missing "Python's venv module is not installed" "$(call remedy,python3-venv,python@3.12)"; \
	command -v java >/dev/null \
	  || missing "Java 17 or newer is not installed" "$(call remedy,openjdk-17-jre-headless,openjdk@17)"; \
	command -v mvn >/dev/null || missing "Maven is not installed" "$(call remedy,maven,maven)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV), once; this takes some minutes"
	@$(PIP) --require-hashes -r $(REQUIREMENTS)
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m stream.local.prepare
	@rm -f $(VENV)/setup-* && touch $@

demo: setup ## Run the whole loop on a simulated weld line and write demo-report.html
	@$(BIN)/weldstream demo $(ARGS)

up: setup ## Run Kafka, Redis, inference, learner and recaller until stopped; data is kept in .weldstream
	@$(BIN)/weldstream up $(ARGS)

test: setup ## Run all tests, those against the real Kafka and Redis included
	@$(BIN)/python -m pytest $(ARGS)

test-faults: setup ## Break the services on the real broker, thoroughly, and write what came of it
	@$(BIN)/python -m pytest tests/faults --faults-results benchmarks/results/faults.json $(ARGS)

soak: setup ## Break everything in a seeded order under load, for ARGS="--minutes 30 --seed 0"
	@$(BIN)/python -m pytest tests/faults/soak.py --faults-results benchmarks/results/soak.json $(ARGS)

fuzz: setup ## Try inputs on everything that reads bytes from outside, and write how many broke it
	@$(BIN)/python -m benchmarks.fuzz $(ARGS)

check: setup ## Formatter, linter, types, import rules, pins, generated docs; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check --no-fix .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m deploy.supply.locks
	@$(BIN)/python docs/generate.py --check

audit: setup ## Known vulnerabilities, withdrawn files, pins; fails where the net does not tell
	@$(BIN)/python -m deploy.supply.audit

sbom: setup ## Write dist/sbom-inference.json and dist/sbom-learner.json
	@$(BIN)/python -m deploy.supply.sbom

fix: setup ## Let formatter and linter repair what they can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: setup ## Write the generated documents
	@$(BIN)/python docs/generate.py

bench: setup ## Measure the figures; ends non-zero where a bar is missed
	@$(BIN)/python -m benchmarks.ledger
	@$(BIN)/python -m benchmarks $(ARGS)

bench-load: setup ## Overload, a thousand swaps, two processes, sizes on paper: about half an hour
	@$(BIN)/python -m benchmarks.load $(ARGS)

# Peers have environments of their own: they share no dependency with us, and little with each other.
PEERS := .venv-peers
$(PEERS)/%/ready: benchmarks/peers/requirements/%.txt
	@echo "Installing $* into $(@D), once"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(PEERS)/avalanche/ready: benchmarks/learning/requirements.txt $(STAMP)
	@echo "Installing avalanche-lib into $(@D), on top of ours, once"
	@$(BIN)/python -m venv --clear $(@D)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench-learning: setup $(PEERS)/avalanche/ready ## Every table of continual learning, resumable, hours; QUICK=1: a part of it
	@$(PEERS)/avalanche/bin/python -m benchmarks.learning $(if $(QUICK),--quick) $(ARGS)

bench-peers: setup $(PEERS)/mlserver/ready $(PEERS)/ray/ready ## Measure the same against MLServer and Ray Serve
	@$(BIN)/python -m benchmarks.peers $(ARGS)

# Where packages come from is the machine's business: no index is named in the files.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" pyproject.toml
lock: setup ## Pin the newest allowed versions of all dependencies
	@$(LOCK) --upgrade --extra dev -o requirements/dev.txt
	@$(LOCK) -c requirements/dev.txt --extra learner -o requirements/learner.txt
	@$(LOCK) -c requirements/dev.txt -o requirements/core.txt
	@for peer in mlserver ray; do \
	  cat benchmarks/peers/requirements/$$peer.in <(grep -o '^onnxruntime==[^ ]*' requirements/dev.txt) \
	    | $(subst pyproject.toml,-,$(LOCK)) --upgrade -o benchmarks/peers/requirements/$$peer.txt; \
	done
	@$(subst pyproject.toml,benchmarks/learning/requirements.in,$(LOCK)) -c requirements/dev.txt -o benchmarks/learning/requirements.txt

clean: ## Remove the environment, the caches and what the demo wrote
	@rm -rf $(VENV) $(PEERS) .weldstream demo-report.html demo-report.json dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
