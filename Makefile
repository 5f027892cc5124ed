PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WEIGHTS ?= general

.PHONY: setup demo test lint clean

$(STAMP): pyproject.toml constraints.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
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

clean:
	rm -rf $(VENV) demo runs dist
