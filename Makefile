# One way to do each thing, for people and for CI. Everything sets itself up from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GPU ?= 0
TORCH_INDEX ?=
CONSTRAINTS := constraints/$(if $(filter 1,$(GPU)),gpu,cpu).txt
EXTRAS := dev
STAMP := $(VENV)/.installed-$(if $(filter 1,$(GPU)),gpu,cpu)
EDGE := $(VENV)/.installed-edge
OUT ?= runs/quickstart

# Token authentication for every Ray cluster started from here; no usage statistics.
export RAY_AUTH_MODE := token
export RAY_USAGE_STATS_ENABLED := 0
export MEDRAY_ROOT := $(CURDIR)

.PHONY: setup quickstart test check serve format clean

setup: $(STAMP)
	@$(BIN)/medray models pull smollm2-135m

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"expected Python 3.11 or newer, got {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[$(EXTRAS)]'
	@touch $@

# llama.cpp, built from source (some minutes, once): its tests must not be skipped.
$(EDGE): $(STAMP)
	@command -v c++ >/dev/null || { echo 'expected a C++ compiler to build llama.cpp, found none: install g++ or clang' >&2; exit 2; }
	@echo 'building llama.cpp for its tests: some minutes, once'
	CMAKE_ARGS="-DLLAVA_BUILD=OFF" CMAKE_BUILD_PARALLEL_LEVEL=2 $(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[$(EXTRAS),edge]'
	@touch $@

quickstart: setup
	@$(BIN)/python -m jobs.quickstart --out $(OUT)

test: setup $(EDGE)
	@$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: setup
	@$(BIN)/serve run serve_configs/local.yaml

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build .mypy_cache .ruff_cache .pytest_cache
