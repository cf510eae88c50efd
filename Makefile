# Everything goes through these targets; `make help` lists them.
VENV ?= .venv
PY := $(VENV)/bin/python

.PHONY: check
check:
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
