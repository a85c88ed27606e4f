"""The first page of a server is drawn before torch is imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIGHT = (
    "home",
    "adapt",
    "compare.view",
    "data.view",
    "errors.view",
    "examples.view",
    "layers.view",
    "neurons.view",
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


def test_pages_import_no_torch_and_know_what_does():
    """Predict, Hierarchy and Runs import it; what most people see first does not."""
    command = [sys.executable, "-c", CODE, *LIGHT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
