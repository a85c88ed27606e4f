"""README is true: its code runs, its commands parse, its tables are complete."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from helpers.runs.serving import serving
from stc_core.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^stc .+$", README, re.M)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_python_runs(tmp_path, monkeypatch):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python"))
    known: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), known)
    assert (tmp_path / "my_model" / "classifier.json").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one(command: str):
    """Each is parsed to its end with the options it names; none is run."""
    found, words = get_command(app), shlex.split(command)[1:]
    while words and (part := getattr(found, "commands", {}).get(words[0])):
        found, words = part, words[1:]
    assert found.make_context("stc", words).params


def test_the_service_answers_as_told(run_folder: Path):
    (ask,) = [block for block in blocks("sh") if block.startswith("curl ")]
    assert "http://127.0.0.1:8000/" in ask  # the address without options
    with serving(run_folder, "--device", "cpu") as (address, _):
        ask = ask.replace("http://127.0.0.1:8000", address)
        done = subprocess.run(["sh", "-c", ask], capture_output=True, check=True)
    found = json.loads(done.stdout)["predictions"]
    assert [one["label"] for one in found] == ["delivery", "billing_payment"]


def test_every_command_has_an_example():
    names = {command.split()[1] for command in COMMANDS}
    top = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    assert names == {name for name, one in top.items() if not one.hidden}


def test_every_file_of_a_run_is_told_of(run_folder: Path):
    part = README.split("## A run is a folder")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([^`]+)`", " ".join(first)))
    there = {one.name + "/" * one.is_dir() for one in run_folder.iterdir()}
    assert told == there


def test_the_pictures_are_there_and_small():
    pictures = [ROOT / name for name in re.findall(r"\]\((docs/.+?)\)", README)]
    assert len(pictures) == 3
    assert all(picture.stat().st_size < 250_000 for picture in pictures)


def test_it_is_short():
    assert README.count("\n") < 285
