# Two commands do everything: `make demo` climbs the ladder on examples/mall, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
# Test processes share two cores: one thread each is many times faster than two.
TESTS := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

.PHONY: setup demo quick test test-all check bench-evidence bench-real bench-training bench-generation bench-ingestion bench-retrieval bench-retrieval-scale bench-safety bench-serving bench-tools clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sadari needs Python 3.11 or later; say make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/sadari climb examples/mall
	$(BIN)/sadari ask examples/mall "제주도로 보내면 배송비가 더 드나요?"
	$(BIN)/sadari ask examples/mall "상품권 유효기간이 얼마나 되나요?"
	$(BIN)/sadari ask examples/mall "매장에 주차할 수 있나요?"

quick: setup
	$(BIN)/sadari climb examples/mall --quick

test: setup
	$(TESTS) -n 2 --dist loadfile

test-all: setup
	$(TESTS) -m ''

check: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench-evidence: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evidence/run.py

bench-real: setup
	$(BIN)/python benchmarks/real/run.py

# QUICK=1: 8 rows a step, under 10 minutes. Needs trl and datasets beside the rest; without them only sadari is timed.
bench-training: setup
	$(BIN)/python benchmarks/training/run.py $(if $(QUICK),--quick)

# QUICK=1: fewer requests and a cut model, under 6 minutes. llama.cpp's side needs llama-cpp-python and gguf.
bench-generation: setup
	$(BIN)/python benchmarks/generation/run.py $(if $(QUICK),--quick)

bench-ingestion: setup
	$(BIN)/python benchmarks/ingestion/run.py

bench-retrieval: setup
	$(BIN)/python benchmarks/retrieval/run.py $(if $(QUICK),--quick)

bench-retrieval-scale: setup
	$(BIN)/python benchmarks/retrieval_scale/run.py

# QUICK=1: all attacks, a tenth of the rest.
bench-safety: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/safety/run.py $(if $(QUICK),--quick)

# 64 clients for five minutes, then too many, then kills; QUICK=1 takes under three minutes.
bench-serving: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/serving/run.py $(if $(QUICK),--quick)

bench-tools: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tools/run.py

clean:
	rm -rf .venv examples/*/runs benchmarks/real/*/runs
