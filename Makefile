# The commands of this project. Each one sets up what it needs and can be the first one run.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The package's tests. Many of them wait, so that two processors have work for ten processes.
SUITE := --forks 10 -m "not documentation and not tools and not programs and not fuzz and not uwsgi"
# What the tools are, to the last digit: `make lock` brings it up to date.
LOCKED := --constraint constraints.txt

# Without it, each test run would compile all tests anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all test-uwsgi test-rest test-newer test-pyodide coverage delays schedules check docs bench soak mutants lock release clean

setup: $(VENV)/.test $(VENV)/.check $(VENV)/.docs  ## all that work on the project needs
	$(BIN)/pre-commit install

demo: $(VENV)/.demo  ## the package at work, in a few lines
	@$(BIN)/python examples/quickstart.py

test: $(VENV)/.test  ## the package's tests: a minute, and nothing but Python is needed
	$(BIN)/python -m pytest $(SUITE)

test-all: $(VENV)/.test  ## the same, and the tests of documentation, benchmarks, examples and tools
	$(BIN)/python -m pytest --forks 4 -m "not programs and not fuzz and not uwsgi"

test-uwsgi: $(VENV)/.test $(VENV)/.uwsgi  ## those with uWSGI; needs a C compiler
	$(BIN)/python -m pytest -m uwsgi

test-rest: $(VENV)/.test  ## what else `make test` leaves out; needs curl, zsh, fish and faketime (`.ci/services`)
	$(BIN)/python -m pytest --forks 4 -m "documentation or tools or programs or fuzz"

test-pyodide: $(BIN)/python  ## the package in Pyodide, Python in WebAssembly; needs node and npm
	PIP_PYTHON=$(BIN)/python .ci/pyodide

coverage: $(VENV)/.test  ## the same, and every branch of the package must have been taken
	rm -f .coverage*
	$(BIN)/coverage run -m pytest $(SUITE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The simulation decides by itself which thread goes on.
delays: $(VENV)/.test  ## the suite while threads hesitate at random, which brings races to light
	PYTHONPATH=tests/support $(BIN)/python -m pytest $(SUITE) -p late_threads --deselect tests/core/test_simulation.py

schedules: $(VENV)/.test  ## the core in 100,000 orders of events, or in SEEDS; the first one is FIRST
	PYTHONPATH=.:tests/support $(BIN)/python -m simulation $(or $(SEEDS),100000) $(or $(FIRST),0)

test-newer:  ## the suite on Python 3.14, 3.15 and a free-threaded 3.13, in a newer Debian; needs root on Debian
	.ci/newer $(PYTHONS)

check: $(VENV)/.test $(VENV)/.check  ## lint, format, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs  ## the documentation, as pages in docs/_build/html
	rm -rf docs/_build
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --builder html docs docs/_build/html

bench: $(VENV)/.bench  ## costs and counts, side by side with other packages
	$(BIN)/python -m benchmarks $(BENCH)

soak: $(VENV)/.test  ## everything at once for ten minutes, or for SECONDS
	$(BIN)/python tests/system/soak.py $(SECONDS)

mutants: $(VENV)/.test $(VENV)/.mutants  ## which changes to the rules no test would notice
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

lock: $(VENV)/.lock  ## constraints.txt, from what pyproject.toml allows and what there is today
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		$(foreach group,test check docs bench mutants release lock uwsgi,--group $(group)) \
		--no-annotate --no-emit-package mediahound-auth \
		--custom-compile-command "make lock" --output-file constraints.txt pyproject.toml

release: $(VENV)/.release  ## build and check what would be published; publishing is left to you
	rm -rf dist build
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python -m venv --without-pip dist/venv
	$(BIN)/python -m pip --python dist/venv/bin/python install --quiet "$$(ls dist/*.whl)[all,httpx2]"
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-file dist/sbom.json dist/venv/bin/python
	$(BIN)/python -m pip --python dist/venv/bin/python freeze --exclude mediahound-auth > dist/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement dist/audited.txt
	rm -rf dist/venv dist/audited.txt
	@echo "dist/ is ready. What is left is yours: tag it, and twine upload dist/*.whl dist/*.tar.gz"

clean:
	rm -rf $(VENV) build dist mutants docs/_build docs/_generated *.egg-info
	rm -rf .coverage* .hypothesis .import_linter_cache .mypy_cache .nox .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[requests,httpx]'
	@touch $@

$(VENV)/.release $(VENV)/.lock $(VENV)/.uwsgi: $(VENV)/.%: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet $(LOCKED) --group $*
	@touch $@

$(VENV)/.test $(VENV)/.check $(VENV)/.docs $(VENV)/.bench $(VENV)/.mutants: $(VENV)/.%: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(LOCKED) --editable '.[all,httpx2]' --group $*
	@touch $@
