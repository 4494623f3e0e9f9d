# The house rules in five words: setup, lab, test, check, and lint, its fast part; for teachers: course, slides; for whoever serves it: audit.
# A second call does nothing again that is done.
# WORKERS says how many tests run side by side: each worker has a server, a browser and kernels of its own.
# TORCH=cpu takes PyTorch's CPU build (200 MB instead of 5 GB) where its index can be reached.

PYTHON ?= python3
TORCH ?=
PORT ?= 8866
WORKERS ?= 3
BIN := .venv/bin
READY := .venv/.ready

# Where the environment forbids it, every process of the tests would compile torch's thousand modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: lab setup test check lint audit course slides browser beside clean

lab: setup
	$(BIN)/gradlab serve --port $(PORT)

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt \
		$(if $(TORCH),--torch-backend $(TORCH)) --editable ".[test]"
	$(BIN)/python binder/set_up_voila.py .venv
	touch $(READY)

course: setup
	$(BIN)/python -m notebooks.course --out course

slides: setup
	$(BIN)/jupyter nbconvert --to slides --embed-images --output-dir course \
		--template gradlab-slides --TemplateExporter.extra_template_basedirs=notebooks/teachers/slides/template \
		notebooks/teachers/slides/slides.ipynb

browser: setup
	$(BIN)/python -m tests.chromium

beside: setup
	$(BIN)/python -m tests.beside

test: setup browser beside
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: setup
	$(MAKE) lint
	$(MAKE) test

# What pre-commit runs before each commit. It sets nothing up, so that a commit never waits for a network.
lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# Asks PyPI's service for known vulnerabilities of every pinned package; fails, too, where it gets no answer.
audit: setup
	$(BIN)/uv tool run pip-audit==2.10.1 --strict --disable-pip --no-deps --requirement constraints.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info
