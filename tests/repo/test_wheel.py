"""The wheel holds every package, and works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("stc_core", "pyproject.toml", "requirements.txt", "README.md")


def run(*command: object, cwd: Path) -> str:
    """What the command prints; the checkout is on no path of it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools writes beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "-w", folder / "dist", ".", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def test_every_file_of_the_package_is_in_it(wheel: Path):
    inside = {
        name for name in ZipFile(wheel).namelist() if name.startswith("stc_core/")
    }
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "stc_core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == here


def test_the_command_starts_in_an_empty_environment(wheel: Path, tmp_path: Path):
    """Its dependencies, a gigabyte of them, are lent to it; stc_core is not."""
    venv.create(tmp_path / "venv", with_pip=False)
    there = tmp_path / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", there / "python", "install")
    run(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    asked = "import stc_core.cli.app as app; print(app.__file__)"
    assert run(there / "python", "-c", asked, cwd=tmp_path).startswith(str(tmp_path))
    assert "--label" in run(there / "stc", "train", "--help", cwd=tmp_path)
