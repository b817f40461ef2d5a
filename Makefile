# One command each; every target sets up .venv by itself when it is not there.
#   make demo    the whole road on a synthetic hospital: data, model, benchmark, report
#   make test    the tests           make lint   style and types
#   make serve   answer over HTTP with the demo's model
#
# A GPU user takes the default wheel; on a laptop without a GPU, TORCH_INDEX=<PyTorch's CPU index> saves gigabytes.
PYTHON ?= python3
TORCH_SPEC ?= torch==2.13.0
VENV ?= .venv
RUNS ?= runs
THREADS ?= 2
BIN := $(VENV)/bin

# uv does not read pip's setting of local wheels by itself.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Without this, OpenMP threads that wait keep the cores busy: a hundredfold on a shared machine.
export OMP_WAIT_POLICY ?= PASSIVE
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test lint format serve clean

setup: $(VENV)/ready

# torch first and by itself: a later resolution then keeps the build that is there.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "P2Med needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH_SPEC)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]'
	$(BIN)/python -c 'import importlib.metadata as m; v = m.version("torch").split("+")[0]; want = "$(TORCH_SPEC)".partition("==")[2]; assert not want or v == want, f"torch {v} replaced {want}"'
	touch $@

demo: setup
	OMP_NUM_THREADS=$(THREADS) $(BIN)/p2med run recipes/demo.yaml --runs $(RUNS) --set train.threads=$(THREADS)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check p2med tests
	$(BIN)/ruff format --check p2med tests

format: setup
	$(BIN)/ruff check --fix p2med tests
	$(BIN)/ruff format p2med tests

serve: setup
	OMP_NUM_THREADS=$(THREADS) $(BIN)/p2med serve recipes/demo.yaml --runs $(RUNS)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
