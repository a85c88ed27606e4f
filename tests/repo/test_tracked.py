"""Nothing is committed that a checkout makes for itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(),
    reason="not a git checkout",
)
def test_no_ignored_file_is_tracked():
    """A link called .venv once was: no clone could make its environment."""
    asked = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
