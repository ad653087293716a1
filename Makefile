# make demo    the whole chain on this machine: scan -> Tiled -> enhanced maps -> volume, with a picture at the end
# make test    all tests             make lint    ruff, mypy strict, import-linter
# make system  what takes minutes: the whole topology (PostgreSQL, Redis, two of everything) under faults, load and time
# make bench   the timed comparisons of tests/benchmarks       make constraints    refresh the locked versions
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test system lint bench constraints clean

# Torch first and alone: with its locked version installed, nothing else on the list asks for another build of it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "subprobe needs Python 3.11 or newer; this is %s: run make PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --progress-bar off $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/subprobe demo

# Two processes of one thread each; a file's tests stay together, with the servers that they share.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

system: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -m long --timeout 3600 -s

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/pytest tests/benchmarks --override-ini addopts="-ra -s --import-mode=importlib" --timeout 1800

# A clean environment from the ranges of pyproject.toml, frozen. Torch stays at the version named here on purpose.
constraints:
	rm -rf .constraints-venv
	$(PYTHON) -m venv .constraints-venv
	.constraints-venv/bin/pip install --quiet torch==2.13.0
	.constraints-venv/bin/pip install --quiet '.[dev]'
	.constraints-venv/bin/pip freeze --exclude subprobe | sed -e 's/^\(torch==[0-9.]*\).*/\1/' -e '/ @ /d' > constraints.txt
	rm -rf .constraints-venv

clean:
	rm -rf $(VENV) .constraints-venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
