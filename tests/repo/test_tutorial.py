"""The tutorial runs from its first cell to its last, and is kept without outputs."""

import warnings
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


def test_no_output_is_kept():
    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 5
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a kernel of its own, in a folder with the samples and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that drive the kernel
        from nbclient import NotebookClient

        (tmp_path / "samples").symlink_to(ROOT / "samples")
        monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            monkeypatch.setenv(name, str(tmp_path / "jupyter"))
        notebook = nbformat.read(TUTORIAL, as_version=4)
        NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
        ).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [out for cell in cells for out in cell.outputs if "data" in out]
    assert len(shown) >= 8
    assert any("text/html" in out["data"] for out in shown)
    assert any("tutorial" in out["data"].get("text/html", "") for out in shown)
    assert (tmp_path / "runs" / "tutorial" / "metrics.json").is_file()
