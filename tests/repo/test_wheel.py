"""The wheel holds all that it needs, and works where neither checkout nor app is."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from stc_core.installation.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PARTS = ("stc_core", "samples", "pyproject.toml", "setup.py", "README.md")
OF_EXTRAS = {name for extra in EXTRAS.values() for name in extra.packages}


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


@pytest.fixture(scope="module")
def about(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with ZipFile(wheel) as inside:
        (name,) = (n for n in inside.namelist() if n.endswith(".dist-info/METADATA"))
        return message_from_bytes(inside.read(name))


class Installed(NamedTuple):
    """An environment with the wheel, and a folder that is not the checkout."""

    bin: Path
    folder: Path

    def stc(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
        """How the command ended there, with a home of its own."""
        unset = ("PYTHONPATH", "STC_HOME")
        known = {k: v for k, v in os.environ.items() if k not in unset}
        ended = subprocess.run(
            [str(self.bin / "stc"), *map(str, arguments)],
            cwd=self.folder,
            env=known | {"HOME": str(self.folder), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == code, ended.stderr
        return ended


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Its dependencies, a gigabyte of them, are lent to it, but those of no extra."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    there = folder / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", there / "python", "install")
    run(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (folder / "lent").mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        name = path.name.partition("-")[0].partition(".")[0]
        if name not in OF_EXTRAS | {"stc_studio"} and "__editable__" not in path.name:
            (folder / "lent" / path.name).symlink_to(path)
    (site / "lent.pth").write_text(str(folder / "lent"), "utf-8")
    return Installed(there, folder)


def test_every_file_of_the_package_is_in_it(wheel: Path):
    inside = {
        name for name in ZipFile(wheel).namelist() if name.startswith("stc_core/")
    }
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "stc_core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The example run is for the app, which is no part of the wheel.
    samples = {
        f"stc_core/samples/{path.name}"
        for path in (ROOT / "samples").iterdir()
        if path.suffix != ".zip"
    }
    assert inside == here | samples
    assert "stc_core/py.typed" in inside


def test_each_extra_brings_what_it_is_asked_for(about: Message):
    assert set(about.get_all("Provides-Extra", [])) == EXTRAS.keys()
    needed = [Requirement(line) for line in about.get_all("Requires-Dist", [])]
    for name, extra in EXTRAS.items():
        brought = {
            one.name
            for one in needed
            if one.marker is not None and one.marker.evaluate({"extra": name})
        }
        assert brought == set(extra.packages), name
    core = {one.name for one in needed if one.marker is None}
    assert "torch" in core and not core & OF_EXTRAS


def test_the_command_starts_in_an_empty_environment(installed: Installed):
    code = "import stc_core.cli.app as app; print(app.__file__)"
    told = run(installed.bin / "python", "-c", code, cwd=installed.folder)
    assert told.startswith(str(installed.folder))
    assert "--label" in installed.stc("train", "--help").stdout


def test_it_trains_and_predicts_without_any_extra(installed: Installed):
    told = json.loads(installed.stc("doctor", "--json").stdout)
    assert told["ok"] and not told["checkout"], told["problems"]
    assert told["home"] == str(installed.folder / "stc-studio")
    for name, extra in EXTRAS.items():
        assert told["extras"][name]["missing"] == list(extra.packages)
    installed.stc("data", "sample", "replies.csv", "--out", "few.csv")
    labels = ("--text", "text", "--label", "topic")
    small = ("--kind", "resid", "--pooling", "mean", "--device", "cpu")
    installed.stc("train", "few.csv", *labels, *small, "--out", "run")
    installed.stc("predict", "run", "few.csv", "--out", "labelled.csv")
    lines = (installed.folder / "labelled.csv").read_text("utf-8").splitlines()
    assert len(lines) == 61 and "predicted_label" in lines[0]
    why = installed.stc("explain", "run", "--text", "my parcel", "--json").stdout
    assert json.loads(why)["neurons"]
    installed.stc("report", "run")
    installed.stc("export", "run", "run.zip")
    models = json.loads(installed.stc("models", "list", "--json").stdout)
    assert [model["embedded"] for model in models] == [True]
    wanted = {"report": ("--html", "run.html"), "serve": ("--port", "0")}
    for command, options in wanted.items():
        said = installed.stc(command, "run", *options, code=2).stderr
        assert f"Run: pip install 'stc-studio[{command}]'" in said
    said = installed.stc("export", "run", "--onnx", "graph", code=2).stderr
    assert "Run: pip install 'stc-studio[onnx]'" in said
