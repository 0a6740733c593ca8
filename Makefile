# mcast: `make help` lists the targets. Only `test`, `lint` and `format` need Python packages, in a
# virtual environment of their own (.venv); all others run from the checkout with the system's python3.

PYTHON     ?= python3
VENV       := .venv
BIN        := $(VENV)/bin
STAMP      := $(VENV)/.installed
TOPOLOGY   ?= big_chungus
EXPERIMENTS := clients contents monitoring teardown

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help python venv test lint format demo demo-play lab lab-clean experiments clean

help: ## list the targets
	@echo "mcast: live audio and video over an application-level multicast overlay"
	@echo
	@sed -n 's/^\([a-z%A-Z-]*\):.*## \(.*\)$$/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26
	@echo
	@echo "Variables: PYTHON=$(PYTHON) TOPOLOGY=$(TOPOLOGY) PLAN=$(PLAN) ARGS=$(ARGS)"

# A Python that is too old or missing gets a line that says so, instead of a syntax error.
python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: error: $(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: error: Python 3.11 or newer is needed, $$($(PYTHON) --version) is too old:" \
	         "try make PYTHON=python3.11" >&2; exit 2; }

venv: $(STAMP) ## make the virtual environment with the development tools

# Made again only when pyproject.toml, which lists the tools, has changed.
$(STAMP): pyproject.toml | python
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "make: error: Python's venv is missing: sudo apt-get install python3-venv" >&2; exit 2; }
	@echo "making $(VENV) with the development tools"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test: $(STAMP) ## run all tests (ARGS="-k watcher" for some)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## put the code into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: python ## one video, five overlay nodes, four viewers, every byte checked
	@PYTHONPATH=src:. $(PYTHON) -m tools.demo $(ARGS)

demo-play: python ## the same in four ffplay windows
	@PYTHONPATH=src:. $(PYTHON) -m tools.demo --play $(ARGS)

lab: python ## a network of namespaces with a prompt (TOPOLOGY=, PLAN=; needs root)
	@PYTHONPATH=src:. $(PYTHON) -m tools.lab run --topology $(TOPOLOGY) $(if $(PLAN),--plan $(PLAN)) $(ARGS)

lab-clean: python ## take down what labs that were killed left behind (needs root)
	@PYTHONPATH=src:. $(PYTHON) -m tools.lab clean $(ARGS)

experiments: $(EXPERIMENTS:%=experiment-%) ## all experiments, one after the other (needs root)

experiment-%: python ## one experiment: clients, contents, monitoring or teardown (needs root)
	@PYTHONPATH=src:. $(PYTHON) -m tools.experiments $* $(ARGS)

clean: ## remove everything that was made, but not prepared contents outside the checkout
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +
