# Every task of the project; `make` lists them. ARGS goes on to pytest: make benchmark ARGS="-k bert"

PYTHON ?= python3
VENV := .venv
VENVS := .venvs
PYTEST_SERIES ?= 8.4 9.1 9.2
PROVIDERS ?= openvino qnn gpu-wheel ort-1.24 ort-1.26
ARGS ?=
# tests side by side; 0 is one after the other, as --pdb needs it
WORKERS ?= 2
PYTEST_WORKERS = -n $(WORKERS) --dist=worksteal

PIP_INSTALL := -m pip install --quiet -c
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A virtual environment holds absolute paths: one made in another folder, by a Python that is gone,
# or by another Python than `make PYTHON=...` names now, is made anew.
WANTED_PYTHON := $(if $(filter command line,$(origin PYTHON)),$(PYTHON),.*)
VENV_USABLE := $(shell grep -q -x -E '$(WANTED_PYTHON)' '$(VENV)/.made-by' 2>/dev/null \
	&& test "$$(cat '$(VENV)/.made-in')" = '$(CURDIR)' \
	&& '$(VENV)/bin/python' -c '' 2>/dev/null && echo yes)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help benchmark test test-slow coverage lint format docs matrix providers companions readers constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

benchmark: $(VENV)/.has-cpu ## validate and benchmark the models of models.json on this CPU, results in result/
	$(VENV)/bin/python -m pytest --ortperf-mode=both --ortperf-results=result $(ARGS)

test: $(VENV)/.has-dev ## run the tests, without those marked slow
	$(VENV)/bin/python -m pytest -m "not slow" $(PYTEST_WORKERS) $(ARGS)

test-slow: $(VENV)/.has-dev ## run the tests marked slow
	$(VENV)/bin/python -m pytest -m slow $(PYTEST_WORKERS) $(ARGS)

coverage: $(VENV)/.has-dev ## report lines and branches that the fast tests reach, in child processes too
	$(VENV)/bin/coverage erase
	$(VENV)/bin/python -m pytest -q -m "not slow" $(PYTEST_WORKERS) --cov --cov-report=term $(COVERAGE_LEFT_OUT) $(ARGS)

# A full disk is simulated by a limit on file sizes, which the coverage of its process would break too.
COVERAGE_LEFT_OUT := --deselect tests/records/test_pairs_file.py::test_a_full_disk_is_told_and_what_is_whole_stays

lint: $(VENV)/.has-dev ## check style, types and import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.has-dev ## format the code and apply safe fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.has-dev ## build the documentation, warnings are errors
	$(VENV)/bin/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

matrix: ## run the plugin's tests on each supported pytest series

providers: ## run the tests of other distributions of ONNX Runtime: make providers PROVIDERS=openvino

companions: $(VENVS)/companions/.ready ## run the tests beside other pytest plugins, the newest of each
	$(VENVS)/companions/bin/python -m pytest tests/companions -p no:randomly -p no:sugar -p no:html -p no:benchmark -p no:cacheprovider $(ARGS)

readers: $(VENVS)/readers/.ready ## read our results with pytest-benchmark
	$(VENVS)/readers/bin/python -m pytest tests/reports/test_pytest_benchmark.py -p no:benchmark -p no:cacheprovider $(ARGS)

# With the oldest Python, so that each version exists for the newer ones too: make PYTHON=python3.11 constraints
constraints: ## pin the newest versions anew in constraints.txt
	rm -rf $(VENVS)/constraints
	$(PYTHON) -m venv $(VENVS)/constraints
	$(VENVS)/constraints/bin/python -m pip install --quiet 'pytest==9.1.*' '.[cpu,bench,dev,docs]'
	$(VENVS)/constraints/bin/python -m pip freeze --exclude pytest-ortperf > $(VENVS)/pins.txt
	{ head -n 1 constraints.txt; cat $(VENVS)/pins.txt; } > $(VENVS)/constraints.txt
	mv $(VENVS)/constraints.txt constraints.txt

clean: ## remove environments, caches and built files; result/ stays
	rm -rf $(VENV) $(VENVS) build dist docs/_build
	rm -rf .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# One environment for everything; .has-cpu is what a user needs, .has-dev what a developer needs on top.

$(VENV)/.made-by:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than 3.11: $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one, such as: make PYTHON=python3.12 benchmark"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments."; \
		echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@echo '$(CURDIR)' > $(VENV)/.made-in
	@echo '$(PYTHON)' > $@

ifneq ($(VENV_USABLE),yes)
.PHONY: $(VENV)/.made-by
endif

$(VENV)/.has-cpu: $(VENV)/.made-by pyproject.toml constraints.txt
	$(VENV)/bin/python $(PIP_INSTALL) constraints.txt -e '.[cpu]'
	@touch $@

$(VENV)/.has-dev: $(VENV)/.made-by pyproject.toml constraints.txt
	$(VENV)/bin/python $(PIP_INSTALL) constraints.txt -e '.[cpu,dev,docs]'
	@touch $@ $(VENV)/.has-cpu

# The matrix: the same pins, but for pytest; and only what the plugin's tests import.

MATRIX := $(PYTEST_SERIES:%=matrix-%)
.PHONY: $(MATRIX)

matrix: $(MATRIX)

$(MATRIX): matrix-%: $(VENVS)/pytest-%/.ready
	$(VENVS)/pytest-$*/bin/python -m pytest tests/plugin -m "not slow" -p no:cacheprovider $(PYTEST_WORKERS) $(ARGS)
	$(VENVS)/pytest-$*/bin/python -m pytest tests/plugin/test_crashes.py -m slow -p no:cacheprovider $(PYTEST_WORKERS) $(ARGS)

$(VENVS)/pytest-%/.ready: $(VENV)/.made-by pyproject.toml constraints.txt
	rm -rf $(@D)
	$(VENV)/bin/python -m venv $(@D)
	grep -v '^pytest==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python $(PIP_INSTALL) $(@D)/constraints.txt 'pytest==$*.*' -e '.[cpu,history]' hypothesis pytest-randomly
	@touch $@

# An environment of its own: as a plugin, pytest-benchmark would take part in each other test.
$(VENVS)/readers/.ready: $(VENV)/.made-by pyproject.toml constraints.txt
	rm -rf $(@D)
	$(VENV)/bin/python -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) constraints.txt -e '.[cpu,bench]' hypothesis pytest-randomly
	@touch $@

# Providers: the same pins, but for ONNX Runtime, which comes in another distribution or with a plugin; one at a time.

PACKAGES_openvino := onnxruntime-openvino==1.24.1
PACKAGES_qnn := onnxruntime==1.32.0 onnxruntime-qnn==2.7.0
PACKAGES_gpu-wheel := onnxruntime-gpu==1.31.1
PACKAGES_ort-1.24 := onnxruntime==1.24.4
PACKAGES_ort-1.26 := onnxruntime==1.26.0
# what tests an environment is for; its own name unless given
MARKER_ort-1.24 := older_runtime
MARKER_ort-1.26 := older_runtime

PROVIDER_RUNS := $(PROVIDERS:%=provider-%)
.PHONY: $(PROVIDER_RUNS)

providers: $(PROVIDER_RUNS)

$(PROVIDER_RUNS): provider-%: $(VENVS)/%/.ready
	$(VENVS)/$*/bin/python -m pytest tests/providers -m "$(or $(MARKER_$*),$(subst -,_,$*))" -p no:cacheprovider $(ARGS)

$(PROVIDERS:%=$(VENVS)/%/.ready): $(VENVS)/%/.ready: $(VENV)/.made-by pyproject.toml constraints.txt
	rm -rf $(@D)
	$(VENV)/bin/python -m venv $(@D)
	grep -v '^onnxruntime==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python $(PIP_INSTALL) $(@D)/constraints.txt $(PACKAGES_$*) -e . pytest-randomly
	@touch $@

# Other pytest plugins, the newest of each: what users install beside this one.

COMPANIONS := pytest-benchmark pytest-cov pytest-html pytest-randomly pytest-repeat pytest-rerunfailures pytest-sugar pytest-timeout

$(VENVS)/companions/.ready: $(VENV)/.made-by pyproject.toml constraints.txt
	rm -rf $(@D)
	$(VENV)/bin/python -m venv $(@D)
	grep -v -E '^pytest-(benchmark|cov|randomly)==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python $(PIP_INSTALL) $(@D)/constraints.txt -e '.[cpu]' hypothesis $(COMPANIONS)
	@touch $@
