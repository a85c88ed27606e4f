# `make app` and `make test` do everything on a machine with Python 3.11, make and pip.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Two cores halve the time; each worker holds a model of its own in memory. The order
# is another one each time: the seed is printed, --randomly-seed=N repeats it.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 \
  --dist loadfile --no-loadscope-reorder
# In its usual 4 GB it forgets what it knows of types again and again: twice the time.
PYRIGHT = NODE_OPTIONS=--max-old-space-size=8192 $(BIN)/pyright
AUDIT := $(VENV)/audit
SPHINX := $(BIN)/sphinx-build -W --keep-going -q docs docs/_build
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: app test check audit bandit pins docs bench browser format clean

app: $(VENV)/.app
	$(BIN)/streamlit run app.py

test: $(VENV)/.dev
	$(PYTEST)

check: $(VENV)/.dev bandit pins
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(PYRIGHT)
	$(SPHINX)
	$(PYTEST)

# Without a network both are left out, and said: the tests must pass anywhere.
# A weakness that is found in a pinned package tomorrow is told, but is no fault of the
# change that is checked: it fails `make audit` alone, not `make check`.
audit: bandit pins
	@! grep -q "^Found" $(AUDIT)/found.txt 2>/dev/null

bandit: $(AUDIT)/.done
	@if [ -x $(AUDIT)/bin/bandit ]; then \
	  $(AUDIT)/bin/bandit --quiet --recursive -ll -c pyproject.toml stc_core ui pages app.py; \
	else echo "bandit could not be installed and is left out."; fi

pins: $(AUDIT)/.done
	@if [ -x $(AUDIT)/bin/pip-audit ]; then \
	  timeout 120 $(AUDIT)/bin/pip-audit --disable-pip --no-deps -r requirements.txt \
	    > $(AUDIT)/found.txt 2>&1 || true; \
	  if grep -q "^Found" $(AUDIT)/found.txt; then cat $(AUDIT)/found.txt; \
	  else tail -n 1 $(AUDIT)/found.txt; fi; \
	else echo "pip-audit could not be installed and is left out."; fi

$(AUDIT)/.done: requirements-audit.txt | $(VENV)/.dev
	@{ $(BIN)/python -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet \
	  --disable-pip-version-check --retries 0 --timeout 10 -r requirements-audit.txt \
	  && touch $@; } || true

# The pages are then in docs/_build/index.html; a warning is an error.
docs: $(VENV)/.dev
	$(SPHINX)

bench: $(VENV)/.dev
	$(PIP) -r requirements-bench.txt
	$(BIN)/python -m benches

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.app: requirements.txt pyproject.toml setup.py | $(BIN)/python
	@echo "Installing into $(VENV); PyTorch alone is large, so this can take minutes."
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt tests/helpers/browser/chromium.py $(VENV)/.app
	$(PIP) -r requirements-dev.txt
	$(BIN)/python tests/helpers/browser/chromium.py
	@touch $@

# Look for a browser again, and try to get one.
browser: $(VENV)/.dev
	$(BIN)/python tests/helpers/browser/chromium.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache docs/_build
