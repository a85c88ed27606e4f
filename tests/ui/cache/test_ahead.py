"""The first page of a server is drawn before torch is imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
VIEWS = (
    "home",
    "adapt",
    "compare.view",
    "data.view",
    "errors.view",
    "examples.view",
    "hierarchy.view",
    "layers.view",
    "neurons.view",
    "predict.view",
    "runs.view",
    "train.view",
)
CODE = """
import sys
from importlib import import_module
from importlib.util import find_spec
for name in sys.argv[1:]:
    import_module(f"ui.{name}")
    assert not {"torch", "transformers"} & set(sys.modules), name
from ui.cache.ahead import _MODULES
assert all(find_spec(name) for name in _MODULES)
"""


def test_no_page_imports_torch_and_what_needs_it_is_known():
    command = [sys.executable, "-c", CODE, *VIEWS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
