# tools/venv.sh sets up .venv and .venv-auto, where that has not been done.

.PHONY: help demo lesson auto test lint bench screenshots clean constraints newest

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18

demo: ## start everything, and show the traces here
	@sh tools/venv.sh demo
	@.venv/bin/python -B -m demo

lesson: ## start the viewer that helps you build it: docs/build.md
	@sh tools/venv.sh demo
	@.venv/bin/python -B -m lesson

auto: ## set up .venv-auto, for the programs in untraced/
	@sh tools/venv.sh auto

test: ## run all tests
	@sh tools/venv.sh test
	@sh tools/venv.sh auto
	.venv/bin/python -m pytest -n 5 --dist worksteal -W error

lint: ## check the style of the code
	@sh tools/venv.sh test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .

bench: ## measure what tracing costs, in two minutes
	@sh tools/venv.sh test
	@sh tools/venv.sh auto
	.venv/bin/python -m benchmarks.cost

screenshots: ## take the README's pictures of the page
	@sh tools/venv.sh test
	.venv/bin/python tools/screenshots.py

clean: ## remove .venv, .venv-auto and what the tools left
	rm -rf .venv .venv-auto .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# With the oldest Python, make clean constraints PYTHON=python3.11: what is the newest there runs on the others too.
constraints: ## pin the newest versions that the requirements allow
	@sh tools/venv.sh
	@sh tools/pin.sh constraints.txt requirements-test.txt nx-27017
	@sh tools/pin.sh untraced/constraints.txt untraced/requirements.txt

# If they pass, commit the pins; if not, git checkout constraints.txt untraced/constraints.txt brings back the old ones.
newest: constraints ## pin the newest versions, and run all tests with them
	@$(MAKE) test
