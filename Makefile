# Every target works in the same .venv, made from the hashed lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JUDGES ?= 5
THRESHOLD ?= 3
DIR ?= demo-registry
FILE ?=
DURATION ?= 60
OUT ?=
# The S3 server of demo-cluster: seaweedfs, or minio, which is built from source and needs Go.
S3 ?= seaweedfs
# One test process a processor; the tests of a file stay together, and tests/conftest.py says which files go first.
# WORKERS=0 runs all in one process.
WORKERS ?= auto
SHARED := -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
UPGRADE ?= --upgrade
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster test test-minio check vectors bench hammer sbom wheel lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): ops/requirements.lock tests/foreign/aics.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"muniment needs Python 3.11 or newer, and {sys.executable} is {v[0]}.{v[1]}; name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r ops/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --ignore-requires-python -r tests/foreign/aics.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the whole main job on this machine (FILE="a.pdf b.mp4" DIR=folder)
	$(BIN)/muniment demo $(FILE) --dir "$(DIR)" --judges $(JUDGES) --threshold $(THRESHOLD)

demo-cluster: $(READY) ## the same on MongoDB's protocol and S3, two replicas, one killed on the way (FILE= DIR= S3=minio)
	@if [ "$(S3)" = minio ]; then PYTHON=$(BIN)/python ops/minio-from-source; fi
	$(BIN)/python -m ops.cluster --s3 $(S3) $(FILE) --dir "$(DIR)" --judges $(JUDGES) --threshold $(THRESHOLD)

test: $(READY) ## all tests (PYTEST_ARGS for more)
	$(BIN)/python -m pytest $(SHARED) $(PYTEST_ARGS)

test-minio: $(READY) ## MinIO built from its Go module (needs Go), the tests of S3 and the demonstration on it
	@PYTHON=$(BIN)/python ops/minio-from-source
	$(BIN)/python -m pytest $(SHARED) -m minio tests $(PYTEST_ARGS)

check: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check app ledger storage tests ops
	$(BIN)/ruff check app ledger storage tests ops
	$(BIN)/mypy
	$(BIN)/lint-imports

vectors: $(READY) ## the threshold vector suite on another file: FILE=PATH
	MUNIMENT_PANEL_VECTORS="$(abspath $(FILE))" $(BIN)/python -m pytest tests/app/panels/test_vectors.py

bench: $(READY) ## measurements, as ratios in one run
	$(BIN)/python -m ops.bench

hammer: $(READY) ## writers on two replicas that are killed at random, then every promise checked: DURATION=seconds
	$(BIN)/python -m ops.hammer --seconds $(DURATION)

sbom: ## the list of all packages at run time, CycloneDX 1.6: OUT=file (dist/muniment.cdx.json)
	@$(PYTHON) -m ops.sbom "$(or $(OUT),dist/muniment.cdx.json)"

wheel: $(READY) ## the wheel, the same bytes wherever it is built: OUT=folder (dist)
	@$(BIN)/python -m ops.wheel "$(or $(OUT),dist)"

lock: ## write ops/requirements.lock and ops/runtime.lock anew (needs uv; UPGRADE= keeps what is pinned)
	uv pip compile pyproject.toml --all-extras $(COMPILE) $(UPGRADE) -o ops/requirements.lock
	echo 'hatchling>=1.27' | uv pip compile pyproject.toml - $(COMPILE) -c ops/requirements.lock -o ops/runtime.lock

clean: ## remove what the targets made
	rm -rf $(VENV) demo-registry .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
