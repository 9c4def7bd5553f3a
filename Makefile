# Each set-up is done once: again only when a list of requirements has changed.

PYTHON ?= python3
IN_VENV := .venv/bin/python
INSTALL := $(IN_VENV) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Two makes in one clone take turns at .venv. (Where there is no flock, as on macOS, run one at a time.)
TURN := $(shell command -v flock > /dev/null && echo flock Makefile)

.PHONY: help demo test lint screenshots clean constraints

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18

demo: ## start everything, and show the traces here
	@$(TURN) $(MAKE) --silent .venv/demo
	@$(IN_VENV) -B -m demo

test: ## run all tests
	@$(TURN) $(MAKE) --silent .venv/test
	$(IN_VENV) -m pytest -n 5 --dist worksteal -W error

lint: ## check the style of the code
	@$(TURN) $(MAKE) --silent .venv/test
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .

screenshots: ## take the README's pictures of the page
	@$(TURN) $(MAKE) --silent .venv/test
	$(IN_VENV) tools/screenshots.py

clean: ## remove .venv and what the tools left
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

constraints: ## pin in constraints.txt the newest versions that the requirements allow
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && "$(PYTHON)" -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-test.txt && \
	{ echo "# The versions that the tests ran with, for Python 3.11 to 3.15." && \
	  echo "# Made by \`make constraints\` on $$(date +%F), with $$("$(PYTHON)" --version)." && \
	  "$$scratch/bin/python" -m pip freeze; } > "$$scratch/pins" && cp "$$scratch/pins" constraints.txt

.venv/made:
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "This needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is: $$("$(PYTHON)" --version 2>&1)." >&2; \
		echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv; from ensurepip import bootstrap' 2> /dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv (once; it takes a minute)"
	@$(IN_VENV) -c 'import pip' 2> /dev/null || "$(PYTHON)" -m venv --clear .venv || { rm -rf .venv; exit 1; }
	@touch $@

# nx-27017 is not said to run on Python 3.15, but does. All else is pinned, to what runs on each Python.
.venv/demo .venv/test: .venv/%: requirements-%.txt requirements-demo.txt requirements.txt constraints.txt .venv/made
	@$(INSTALL) --ignore-requires-python --requirement $< nx-27017
	@touch $@
