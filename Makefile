# Everything starts from nothing: the first target to run makes the virtual environment.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ECOSYSTEM ?= .venv-ecosystem
READY = $(VENV)/.steplens-installed

.PHONY: install demo test lint browser screenshots cases bench bench-neighbours bench-device ecosystem versions docs soak package clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'
	touch $@

demo: $(READY)
	$(BIN)/steplens run examples/reference_notebook.ipynb

lint: $(READY)
	$(BIN)/ruff check src tests docs
	$(BIN)/pyright
	$(BIN)/lint-imports

# a Chromium for the tests of the page: the system's, else by apt, else playwright's own
browser: $(READY)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	|| $(BIN)/playwright install chromium

# two workers on two cores: with a thread of torch's for each core in each they wait for each other
test: lint browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

screenshots: browser
	$(BIN)/python docs/make_screenshots.py

docs: $(READY)
	$(BIN)/python docs/sync_output.py
	$(BIN)/python docs/make_rules.py
	$(BIN)/python docs/make_lab.py
	$(BIN)/sphinx-build -q -W -n -b html docs build/docs

cases: $(READY)
	$(BIN)/python bench/cases.py

# other tools on the same steps, in environments of their own under build/
bench-neighbours: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python bench/neighbours.py

# on a machine with a GPU, with its own torch: make bench-device BIN=/path/to/bin
DEVICE_PARTS = times waits bits programs idioms
bench-device:
	mkdir -p build/device
	for part in $(DEVICE_PARTS); do PYTHONPATH=src:$(PYTHONPATH) $(BIN)/python bench/device.py $$part build/device/$$part.json || exit; done
	PYTHONPATH=src:$(PYTHONPATH) $(BIN)/python bench/device_page.py build/device

bench: $(READY)
	$(BIN)/python bench/overhead.py --starts 10 --write

# Programs of other libraries, each group in an environment of its own (the vision one is large).
ecosystem: $(READY) ecosystem-trainers ecosystem-hf ecosystem-vision

ecosystem-%:
	test -x $(ECOSYSTEM)-$*/bin/python || $(PYTHON) -m venv $(ECOSYSTEM)-$*
	$(ECOSYSTEM)-$*/bin/python -m pip install --quiet -r tests/ecosystem/requirements-$*.txt \
		msgspec click rich ipython nbformat
	$(ECOSYSTEM)-$*/bin/python tests/ecosystem/check_programs.py $*

# Another torch, another Python: make versions TORCH=2.4.0 PYTHON=python3.11. Left out are two programs that
# do not run before torch 2.8, and a test that asks a tensor for what it holds, which 2.8 does not tell.
TORCH ?= 2.4.0
ANOTHER = .venv-torch-$(TORCH)
versions:
	test -x $(ANOTHER)/bin/python || $(PYTHON) -m venv $(ANOTHER)
	$(ANOTHER)/bin/python -m pip install --quiet -e '.[dev]' torch==$(TORCH)
	OMP_NUM_THREADS=1 $(ANOTHER)/bin/python -m pytest -n 2 tests/test_rules.py tests/test_idioms.py tests/test_lines.py \
		tests/test_ledger.py tests/test_no_trace.py tests/test_overheard.py tests/test_works_while_watching.py \
		--deselect 'tests/test_idioms.py::test_an_idiom_of_several_processes_is_silent[sharded_world_of_one]' \
		--deselect 'tests/test_idioms.py::test_an_idiom_is_silent_and_keeps_its_bits[bilevel]' \
		--deselect tests/test_no_trace.py::test_what_an_optimizer_steps_is_given_no_dict

# In parts: make soak PART=bits, counted, faults, hostile, ended, bounded or trace; the whole takes hours
PART ?=
SOAK = STEPLENS_SOAK=1 STEPLENS_FIGURES=.soak OMP_NUM_THREADS=1
soak: $(READY)
	$(SOAK) $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/soak tests/test_no_trace.py $(if $(PART),-k $(PART))
	$(BIN)/python docs/make_promises.py .soak

# The wheel, made from the source distribution, installed into an empty environment and used there
PACKAGED = build/packaged
package: $(READY)
	rm -rf dist $(PACKAGED)
	$(BIN)/python -m build --outdir dist .
	$(PYTHON) -m venv $(PACKAGED)
	$(PACKAGED)/bin/python -m pip install --quiet -c constraints.txt "$$(echo dist/*.whl)[notebook]"
	$(BIN)/python tests/check_package.py dist/*.whl $(PACKAGED)/bin/python
	rm -rf $(PACKAGED)

clean:
	rm -rf .steplens .pytest_cache .ruff_cache build dist src/steplens.egg-info
