# mcast: `make help` lists the targets. Only `test`, `fuzz`, `lint` and `format` need Python packages, in a
# virtual environment of their own (.venv); all others run from the checkout with the system's python3.
# What the system lacks (ffmpeg, iproute2, ...) is installed for root, and named with the command for others.

PYTHON     ?= python3
VENV       := .venv
BIN        := $(VENV)/bin
STAMP      := $(VENV)/.installed
RUN        := PYTHONPATH=src:. $(PYTHON)
FETCH      := $(RUN) -m tools.packages
# Tests wait more than they compute: more workers than cores. None beside the other: WORKERS=0
WORKERS    ?= 6
PYTEST     := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
TOPOLOGY   ?= big_chungus
EXPERIMENTS := clients contents monitoring teardown recovery

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help python venv test fuzz lint format demo demo-play bench bench-quick soak lab lab-clean \
        resilience experiments experiment-contents-made clean

help: ## list the targets
	@echo "mcast: live audio and video over an application-level multicast overlay"
	@echo
	@sed -n 's/^\([a-z%A-Z-]*\):.*## \(.*\)$$/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26
	@echo
	@echo "Variables: PYTHON=$(PYTHON) WORKERS=$(WORKERS) TOPOLOGY=$(TOPOLOGY) PLAN=$(PLAN) ARGS=$(ARGS)"

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
	@$(FETCH) venv
	@echo "making $(VENV) with the development tools"
	@$(PYTHON) -m venv $(VENV)
	@test -t 1 || quiet=--quiet; \
	    $(BIN)/python -m pip install $$quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test: $(STAMP) ## run all tests (ARGS="-k watcher" for some)
	@$(FETCH) tests
	$(PYTEST) $(ARGS)

fuzz: $(STAMP) ## run the tests that invent their input, each with 20,000 examples (ARGS="tests/wire" for some)
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) -m hypothesis --timeout=0 $(ARGS)

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## put the code into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: python ## one video, five overlay nodes, four viewers, every byte checked
	@$(RUN) -m tools.demo $(ARGS)

demo-play: python ## the same in four ffplay windows
	@$(RUN) -m tools.demo --play $(ARGS)

bench: python ## what a relay costs beside the kernel's limit and others: about an hour (needs root)
	@$(RUN) -m bench.relays $(ARGS)

bench-quick: python ## the rows of it that changes most often break (needs root; 2 to 3 minutes)
	@$(RUN) -m bench.relays --quick $(ARGS)

soak: python ## an hour under churn, loss and attack, nothing lost, nothing grown (ARGS="--minutes 5"; needs root)
	@$(FETCH) lab
	@$(RUN) -m tools.soak $(ARGS)

lab: python ## a network of namespaces with a prompt (TOPOLOGY=, PLAN=; needs root)
	@$(FETCH) lab
	@$(RUN) -m tools.lab run --topology $(TOPOLOGY) $(if $(PLAN),--plan $(PLAN)) $(ARGS)

lab-clean: python ## take down what labs that were killed left behind (needs root)
	@$(RUN) -m tools.lab clean $(ARGS)

resilience: python ## whatever fails, no viewer misses a packet: about an hour (needs root; ARGS="relay-killed --runs 20")
	@$(FETCH) experiments
	@$(RUN) -m tools.resilience $(ARGS)

# Each has network namespaces of its own; what they say is shown when they have ended, not mixed.
experiments: experiment-contents-made ## all five experiments, three at a time (needs root)
	@echo "running three at a time, a minute and a half: $(EXPERIMENTS)"
	@$(MAKE) --no-print-directory --keep-going --output-sync=target --jobs=3 $(EXPERIMENTS:%=experiment-%)

experiment-%: python ## one experiment: clients, contents, monitoring, teardown or recovery (needs root)
	@$(FETCH) experiments
	@$(RUN) -m tools.experiments $* $(ARGS)

# Once, before the experiments that all need them.
experiment-contents-made: python
	@$(FETCH) experiments
	@$(RUN) -m tools.experiments --contents

clean: ## remove everything that was made, but not prepared contents outside the checkout
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tools tests bench -name __pycache__ -prune -exec rm -rf {} +
