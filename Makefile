# make demo and make test set up what they need; what is already there and unchanged is not made again.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
HOOK := build_backend.py hatch_build.py npm_packages.py pyproject.toml constraints.txt
ECHARTS := src/cryowatch/web/static/vendor/echarts.json

TOOLS := ../shared/tools
SCIPION := .venv-scipion
SCIPION_PACKAGES := scipion-app==3.8.3 scipion-em==3.11.1 scipion-pyworkflow==3.11.7 \
	scipion-em-facilities==3.3.1 scipion-em-motioncorr==4.0.1 scipion-em-cistem==3.10.1
PLUGINS := ./plugin ./tests/plugin/streaming
export SCIPION_HOME := $(CURDIR)/.scipion/home
export SCIPION_USER_DATA := $(CURDIR)/.scipion/data
export SCIPION_VERSION := 3.11
# An installed cryowatch is compiled; without this, every process that is started here may have to compile it anew.
unexport PYTHONDONTWRITEBYTECODE

DEBIAN := bindfs chromium fish fonts-dejavu-core fonts-noto-color-emoji influxdb openssh-client openssh-server systemd zsh
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider
# Most tests wait for a process more than they compute.  Those of a file stay together: they share servers and browsers.
# tests/conftest.py says which files begin.
WORKERS := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# What fails is tried once more, unless much does, and told at the end.
AGAIN := --reruns 1 --max-suite-reruns 10 --rerun-show-tracebacks

.PHONY: help demo test lint test-scipion audit constraints bench docs screenshots faults fuzz fuzz-guided clean packages again

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

demo: $(VENV)/.installed  ## show a simulated live session in a browser; DEMO="--every 1 --port 0" for its options
	$(BIN)/cryowatch demo $(DEMO)

# The two environments are made beside each other.
test: packages  ## set up everything, check style and types, run all tests
	@$(MAKE) --no-print-directory --jobs 2 lint $(if $(wildcard $(TOOLS)),$(SCIPION)/.plugins)
	$(if $(wildcard $(TOOLS)),,@echo "!!! NOT RUN: the tests with genuine Scipion need $(TOOLS), which is not there")
	$(PYTEST) $(WORKERS) $(AGAIN) $(if $(wildcard $(TOOLS)),,-m "not scipion")

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-scipion: $(VENV)/.dev $(SCIPION)/.plugins  ## tests on projects that the genuine Scipion framework writes
	$(PYTEST) $(WORKERS) -m scipion

bench: packages $(VENV)/.dev  ## measure, or SUBJECTS="backlog idle" alone, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks $(SUBJECTS)

faults: packages $(VENV)/.dev  ## attack a running cryowatch, or ATTACKS="killed soak" alone, and write docs/reliability.md
	$(BIN)/python -m faults $(ATTACKS)

fuzz: packages $(VENV)/.dev  ## feed it what nobody should write, TIMES=50 as much of it as the tests do; failures are kept
	FUZZ_TIMES=$(or $(TIMES),20) $(PYTEST) $(WORKERS) tests/fuzz

# atheris has wheels for x86-64 alone, so it is no part of the tests.
fuzz-guided: $(VENV)/.dev  ## the same led by the branches it reaches, SECONDS=600 for each format (60), TARGETS="gain mrc" alone
	$(PIP) install --group fuzz
	@failed=0; \
	for target in $(or $(TARGETS),$$($(BIN)/python -c "from tests.fuzz.targets import TARGETS; print(*TARGETS)")); do \
		echo "== $$target"; $(BIN)/python -m tests.fuzz.guided $$target --seconds $(or $(SECONDS),60) || failed=1; \
	done; \
	exit $$failed

audit: $(VENV)/.dev  ## look for known vulnerabilities in what cryowatch needs; asks PyPI and npm
	$(BIN)/python -m tools.audit

constraints: $(VENV)/.dev  ## pin what cryowatch needs, with hashes, in constraints.txt
	$(BIN)/python -m tools.constraints

screenshots: packages $(VENV)/.dev  ## the pictures of the pages in the documentation, anew, in docs/images
	$(BIN)/python -m tools.screenshots

docs: $(VENV)/.dev  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open site/index.html"

clean:  ## remove environments and everything that was made
	rm -rf $(VENV) $(SCIPION) .scipion .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .axe build dist site \
		src/cryowatch/web/static/vendor
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { python3 build_backend.py; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Without ECharts in its place the editable install has to be made again.
$(VENV)/.installed: $(VENV)/bin/python $(HOOK) $(if $(wildcard $(ECHARTS)),,again)
	@echo "Installing cryowatch and its dependencies into $(VENV); this takes about a minute."
	@$(PIP) install --require-hashes --requirement constraints.txt || \
		echo "!!! Some of constraints.txt cannot be had here; what the index has is installed in its place."
	$(PIP) install --editable .
	touch $@

# pip learned --group in 25.1.
$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --group dev
	@$(BIN)/python -m tests.support.axe
	touch $@

$(SCIPION)/bin/python:
	$(PYTHON) -m venv $(SCIPION)

$(SCIPION)/.installed: Makefile | $(SCIPION)/bin/python
	$(SCIPION)/bin/python -m pip --disable-pip-version-check --quiet install $(SCIPION_PACKAGES)
	mkdir -p $(SCIPION_HOME)/config $(SCIPION_USER_DATA)/projects
	printf '[localhost]\nPARALLEL_COMMAND = mpirun -np %%_(JOB_NODES)d %%_(COMMAND)s\n' > $(SCIPION_HOME)/config/hosts.conf
	touch $@

# Installed as a user does it, and again when something in them has changed.
$(SCIPION)/.plugins: $(SCIPION)/.installed $(shell find $(PLUGINS) -name '*.py' -o -name '*.toml')
	$(SCIPION)/bin/python -m pip --disable-pip-version-check --quiet install --upgrade --force-reinstall --no-deps $(PLUGINS)
	$(SCIPION)/bin/python -m pip --disable-pip-version-check check >/dev/null
	touch $@

again:

# The browser tests drive Debian's chromium, those of InfluxDB its influxd, those of publishing its sshd;
# bindfs is the file system that hangs.
packages:
	@missing=(); \
	for package in $(DEBIAN); do dpkg -s "$$package" >/dev/null 2>&1 || missing+=("$$package"); done; \
	[ $${#missing[@]} -eq 0 ] && exit 0; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	else echo "not installed, and only root can: $${missing[*]} (the browser tests need them)"; fi
