# make demo: the whole way on real images      make test: everything but the slow tests
# Both work straight after a clone: they need Python >= 3.11 and make, and install the rest in .venv.

PYTHON ?= $(shell .ci/find-python)
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
INSTALLED := .venv/.installed
TOOLS := .venv/.tools
PEERS := .venv/.peers
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# kernels.h and parts.h of runtime/include/fedtiny/, kernel_list.h and avx2_names.h of
# runtime/library/ are generated: tests compare them with their generators.
C_SOURCES = $(filter-out %/fedtiny/kernels.h %/parts.h %/kernel_list.h %/avx2_names.h,$(shell git ls-files --cached --others --exclude-standard \
	'runtime/*.c' 'runtime/*.h' 'fedtiny/training_engine/c/*' 'devices/*.c' 'devices/*.h' 'examples/*.c'))

.PHONY: install demo test test-full check bench tools clean

install: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@.ci/make-venv "$(PYTHON)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,flower,privacy,tensorboard,wasm]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/fedtiny demo

# Debian packages that more checks need: installed once where that is possible, else named.
$(TOOLS): .ci/tools | $(INSTALLED)
	@.ci/tools --install
	@touch $@

$(PEERS): .ci/peers .ci/peers.txt | $(INSTALLED)
	@.ci/peers
	@touch $@

tools: $(TOOLS) $(PEERS)
	@.ci/tools

test: $(INSTALLED) tools
	$(PYTEST) -n $(JOBS) -m 'not slow'

test-full: $(INSTALLED) tools
	$(PYTEST) -n $(JOBS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)
	@.ci/compile-c $(BIN)/python
	$(PYTEST) -n $(JOBS) -m quick

# Each prints the figures that docs/ states; `python -m benchmarks.NAME --help` says more.
bench: $(INSTALLED)
	@for name in kernels cortex_m costs ram sizes compile_time library aarch64 cpu; do \
		echo "== benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf .venv build dist fedtiny.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
