# Everything goes through these targets. Nothing has to be installed beforehand but python3 (3.11 to 3.13) and make.

VENV ?= .venv
PY := $(VENV)/bin/python
BOOTSTRAP := scripts/bootstrap --venv $(VENV)

# What each target needs beyond the daemon's own dependencies (extras of pyproject.toml).
DEMO_EXTRAS := embedded plot
TEST_EXTRAS := dev embedded elevenlabs mcp plot recording sip

# Certificates for machines that have none; written by the bootstrap where it found that.
-include $(VENV)/environment.mk

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-conversation install fmt clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## hold a real spoken call on this machine; SMALL=1 for the receptionist instead of the language model
	@$(BOOTSTRAP) $(DEMO_EXTRAS)
	@$(PY) -m sovereign_pbx demo $(if $(SMALL),--small) $(DEMO)

test: ## install what the tests need and run them: all on this Python, the unit tests on every other one found
	@$(BOOTSTRAP) $(TEST_EXTRAS)
	@$(PY) scripts/run_tests.py $(TEST)

check: ## style, types, sizes, import arrows, licences
	@$(BOOTSTRAP) $(TEST_EXTRAS)
	@$(PY) scripts/run_checks.py

bench: ## place calls with scripted providers and print the vital signs; BENCH='--calls 100' and the like
	@$(BOOTSTRAP)
	@$(PY) -m sovereign_pbx bench $(BENCH)

bench-conversation: ## when turns end, on human speech, ours and others' policies; CONVERSATION='--quick' and the like
	@$(BOOTSTRAP) $(DEMO_EXTRAS)
	@$(PY) -m scripts.bench_conversation $(CONVERSATION)

install: ## the daemon into a virtual environment (VENV=/opt/sovereign-pbx), with EXTRAS='embedded elevenlabs'
	@$(BOOTSTRAP) $(EXTRAS)
	@echo "$(abspath $(VENV))/bin/sovereign-pbx is ready"

fmt: ## format and tidy the sources
	@$(BOOTSTRAP) $(TEST_EXTRAS)
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

clean: ## remove what was made in the checkout: environments, caches, demo folders
	@rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-[0-9]*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
