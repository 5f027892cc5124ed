PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WEIGHTS ?= general

# Every file that is installed has a hash in requirements/, so it is the one that was tested here.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED = $(INSTALL) --require-hashes --requirement
# PyPI's torch for Linux is the CUDA build and asks for NVIDIA's libraries; PyTorch's CPU build does not.
WANTS_CUDA = from importlib.metadata import requires; \
    raise SystemExit(not any("nvidia" in each or "cuda" in each for each in requires("torch")))

.PHONY: setup demo test lint lock sbom clean

$(STAMP): pyproject.toml $(wildcard requirements/*.txt)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(LOCKED) requirements/torch-cpu.txt 2>/dev/null || echo "no CPU build of torch here: PyPI's is taken"
	$(LOCKED) requirements/locked.txt
	if $(BIN)/python -c '$(WANTS_CUDA)'; then $(LOCKED) requirements/cuda.txt; fi
	$(INSTALL) --no-build-isolation --editable .
	touch $@

setup: $(STAMP)

# From shipped weights to a verified bundle, then frames through it. Synthetic frames: nothing is downloaded.
demo: $(STAMP)
	$(BIN)/microaunet-export --weights $(WEIGHTS) --int8 --out demo/bundle
	$(BIN)/python -c "from pathlib import Path; from microaunet_runtime.images.synthetic import write_set; \
	    write_set(Path('demo/frames'), 12, seed=100)"
	$(BIN)/microaunet-run --bundle demo/bundle --source demo/frames/images --out demo/result
	@echo
	@echo "bundle    demo/bundle              copy this folder to the device"
	@echo "report    demo/bundle/report.html  what was built, how well it agrees, how fast it is"
	@echo "overlays  demo/result/overlays     the polyps it found, drawn on the sample frames"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP)
	$(BIN)/python -m pytest -m "slow or not slow"

# After a change of pyproject.toml or constraints.txt. Needs uv: pip install uv
lock:
	$(PYTHON) requirements/lock.py

# What is installed, as CycloneDX; the tool has an environment of its own, to be no part of it.
sbom: $(STAMP)
	$(PYTHON) -m venv --clear $(VENV)-sbom
	$(VENV)-sbom/bin/python -m pip install --quiet --require-hashes --no-deps --requirement requirements/sbom.txt
	$(VENV)-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	    --output-file sbom.cdx.json $(BIN)/python

clean:
	rm -rf $(VENV) $(VENV)-sbom demo runs dist sbom.cdx.json
