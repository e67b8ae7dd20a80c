# Two commands do everything: `make sim` plays a whole door, `make test` passes all tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
SCENARIO ?= a_day_at_a_door

.DEFAULT_GOAL := help
.PHONY: help setup sim test soak soak-faults fuzz mutants bench instructions mpy lint fmt check clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

$(STAMP): pyproject.toml requirements.lock tests/bench/requirements.txt tools/fetch_unittest.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -r tests/bench/requirements.txt
	$(BIN)/python tools/fetch_unittest.py
	@touch $(STAMP)

setup: $(STAMP) ## install the pinned tools into .venv

mpy: $(STAMP) ## cross-compile everything that runs on the chip
	$(BIN)/python -m menwei.build

sim: $(STAMP) ## play a day at a simulated door; SCENARIO=a_month_at_a_door, or with your own hands: ARGS=...
	$(BIN)/menwei sim $(if $(ARGS),$(ARGS),--script $(SCENARIO))

test: $(STAMP) ## run all tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

soak: $(STAMP) ## power cuts on random workloads without end; SOAK_SECONDS=..., MENWEI_SEED=..., or ARGS=FILE of a failure
	$(BIN)/python -m tests.soak $(ARGS)

soak-faults: $(STAMP) ## weeks of faults at a door, broker and upstream killed, a bad wire; FAULT_COUNT=..., FAULT_SEEDS=1,2
	FAULT_COUNT=$${FAULT_COUNT:-20} FAULT_STEPS=$${FAULT_STEPS:-40} $(BIN)/pytest -s tests/system/test_faults.py $(ARGS)

fuzz: $(STAMP) ## feed a million generated card answers to each reader of cards, 100,000 messages to door and upstream; FUZZ_COUNT=..., FUZZ_SEED=...
	$(BIN)/python -m tests.fuzz $(ARGS)

mutants: $(STAMP) ## change listed lines one at a time: each must be noticed; ARGS=words chooses some
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(STAMP) ## measure, print beside target and alternative, write build/bench.json
	$(BIN)/python -m tests.bench $(ARGS)

instructions: $(STAMP) ## count the instructions of a look of the reader; needs valgrind
	$(BIN)/python -m tests.bench.instructions

lint: $(STAMP) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: $(STAMP) ## fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint mpy test bench ## everything that must hold before a change lands

clean: ## remove what was built
	rm -rf build $(VENV)
