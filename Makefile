# tools/venv.sh sets up .venv, where that has not been done.

.PHONY: help demo test lint screenshots clean constraints

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18

demo: ## start everything, and show the traces here
	@sh tools/venv.sh demo
	@.venv/bin/python -B -m demo

test: ## run all tests
	@sh tools/venv.sh test
	.venv/bin/python -m pytest -n 5 --dist worksteal -W error

lint: ## check the style of the code
	@sh tools/venv.sh test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .

screenshots: ## take the README's pictures of the page
	@sh tools/venv.sh test
	.venv/bin/python tools/screenshots.py

clean: ## remove .venv and what the tools left
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# With the oldest Python, make clean constraints PYTHON=python3.11: what is the newest there runs on the others too.
constraints: ## pin the newest versions that the requirements allow
	@sh tools/venv.sh
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && .venv/bin/python -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-test.txt nx-27017 && \
	{ echo "# The versions that the tests ran with, for Python 3.11 to 3.15." && \
	  echo "# Made by \`make constraints\` on $$(date +%F), with $$("$$scratch/bin/python" --version)." && \
	  "$$scratch/bin/python" -m pip freeze; } > "$$scratch/pins" && cp "$$scratch/pins" constraints.txt
