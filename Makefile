# Everything runs in .venv, made on first use with the tested versions of constraints.txt.

PYTHON ?= python3.11
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip install --quiet --prefer-binary -c constraints.txt
TORCH_CPU := https://download.pytorch.org/whl/cpu
STAMP  := .venv/.installed
ONE    := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1     # thread of each of the two test processes

.PHONY: demo install test test-slow check bench reports clean help

help:
	@echo "make demo       the whole chain on a simulated log: synthetic log, audit, report (about 3 minutes)"
	@echo "make test       the test suite (about 8 minutes on 2 idle cores)"
	@echo "make test-slow  the long tests"
	@echo "make check      ruff (rules and format) and mypy --strict over the package"
	@echo "make bench      the figures of benchmarks/README.md: runs missing cells, rewrites the tables (BENCH=--quick: under 20 minutes)"
	@echo "make reports    privacy_reports/: reference releases that are missing, then pages and index (REPORTS='--only ml-100k-eps8')"
	@echo "make docs       the pages of docs/ as a site, in site/"
	@echo "make clean      remove .venv, caches and the demo's output"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@if command -v nvidia-smi >/dev/null; then echo "Downloading torch with CUDA (about 3 GB) ..."; \
	else echo "No GPU here: downloading torch for CPUs (about 200 MB instead of 3 GB) ..."; \
	  $(PIP) --retries 0 --timeout 15 --index-url $(TORCH_CPU) --no-deps torch 2>/dev/null \
	  || echo "$(TORCH_CPU) does not answer: torch comes from the usual index, as large as that has it."; fi
	@echo "Downloading everything else (about 300 MB) ..."
	$(PIP) -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/synthrec demo

test: $(STAMP)
	$(ONE) $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pip install --quiet --prefer-binary -c constraints.txt -e '.[notebook]'
	$(ONE) $(BIN)/python -m pytest -q -n 2 --dist load -m slow

check: $(STAMP)
	$(BIN)/ruff check synthrec tests benchmarks privacy_reports examples docs
	$(BIN)/ruff format --check synthrec tests benchmarks privacy_reports examples docs
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(BENCH)

reports: $(STAMP)
	$(BIN)/python -m privacy_reports $(REPORTS)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build site synthrec-demo

.PHONY: docs
docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict
