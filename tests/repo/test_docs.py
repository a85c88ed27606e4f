"""README and the pages are true: their code runs, their commands and tables are whole.

That every link between pages and every name in them resolves is for Sphinx to say,
which `make check` runs with warnings as errors.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from docs import reference
from helpers.runs.serving import serving
from stc_core import SparsifyThenClassify
from stc_core.activations import saving
from stc_core.classifiers import predict_table
from stc_core.cli.app import app
from stc_core.config import RunConfig

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
NOT_RUN = "# Not run in the tests: "
"""What a block begins with that a test cannot run; the reason follows."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


class Block(NamedTuple):
    """Code in a page: its language, what it says, and the line where it begins."""

    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(found[1], found[2], text[: found.start()].count("\n") + 1)
        for found in re.finditer(r"^```([a-z]+)\n(.*?)^```", text, re.S | re.M)
    ]


def python_of(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def commands() -> Iterator[tuple[str, str]]:
    """Every line of a block that is a command of ours, and its page."""
    for page in PAGES:
        for block in blocks(page):
            for line in block.code.splitlines():
                if line.startswith("stc ") and block.language == "sh":
                    yield str(page.relative_to(ROOT)), line


@pytest.mark.parametrize(
    "page", [page for page in PAGES if python_of(page)], ids=lambda page: page.name
)
def test_the_python_runs(page: Path, tmp_path: Path, run_folder: Path, monkeypatch):
    """All blocks of a page in order, beside the samples and a finished run."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "topic").symlink_to(run_folder)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for block in python_of(page):
        code = compile("\n" * block.line + block.code, page.name, "exec")
        if not block.code.startswith(NOT_RUN):
            exec(code, known)


def test_what_is_said_to_take_progress_does():
    """And what is said not to does not."""
    page = " ".join(text_of("docs/research.md").split())
    told = re.search(r"`progress=` is an argument of (.+?)\. (.+?) take texts", page)
    assert told is not None
    for names, takes in ((told[1], True), (told[2], False)):
        for name in re.findall(r"`(\w+)`", names):
            places = (SparsifyThenClassify, saving, predict_table)
            (found,) = [getattr(one, name) for one in places if hasattr(one, name)]
            assert ("progress" in signature(found).parameters) == takes, name


def test_a_block_that_is_not_run_says_why():
    for page in PAGES:
        for block in python_of(page):
            first = block.code.partition("\n")[0]
            if NOT_RUN.strip() in block.code:
                assert len(first.removeprefix(NOT_RUN)) > 10, (page.name, first)


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_a_command_is_one(page: str, command: str):
    """Each is parsed to its end with the options it names; none is run."""
    found: Any = get_command(app)
    words = shlex.split(command)[1:]
    while words and (part := getattr(found, "commands", {}).get(words[0])):
        found, words = part, words[1:]
    assert found.make_context("stc", words).params


def test_every_command_has_an_example():
    top: Any = get_command(app)
    shown = {command.split()[1] for page, command in commands() if "cli.md" in page}
    assert shown == {name for name, one in top.commands.items() if not one.hidden}


def leaves(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, part in getattr(command, "commands", {}).items():
        if not part.hidden:
            yield from leaves(part, f"{words} {name}")
    if not hasattr(command, "commands"):
        yield words, command


def test_the_page_of_commands_names_every_option():
    assert text_of("docs/cli.md").count(reference.PAGES["cli"][0]) == 1
    parts = reference.commands_page().split("\n## ")
    told = {part.removeprefix("## ").partition("\n")[0]: part for part in parts}
    there = dict(leaves(get_command(app), "stc"))
    assert told.keys() == there.keys()
    for name, command in there.items():
        assert command.help.split("\n")[0] in told[name]
        for parameter in command.params:
            options = [one for one in parameter.opts if one.startswith("-")]
            for one in options or [parameter.metavar or parameter.name.upper()]:
                assert f"`{one}" in told[name], (name, one)


def test_no_option_is_without_a_meaning():
    rows = [line for line in reference.commands_page().splitlines() if "|" in line]
    assert [row for row in rows if re.match(r"\| `.+?` \| +\|", row)] == []


def names_in(record: dict[str, Any], before: str = "") -> Iterator[str]:
    """The names of all settings in what config.json holds."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from names_in(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def test_the_page_of_settings_names_every_setting():
    assert text_of("docs/settings.md").count(reference.PAGES["settings"][0]) == 1
    found = re.split(r"^## (\S+) \(\w+\)$", reference.settings_page(), flags=re.M)[1:]
    told = {
        ("" if part == "run" else f"{part}.") + name
        for part, table in zip(found[::2], found[1::2], strict=True)
        for name in re.findall(r"^\| `(\w+)`", table, re.M)
    }
    record = {"data": {"path": "a.csv"}, "shrink": {"parent": "b"}}
    config = RunConfig.model_validate(record)
    assert told == set(names_in(config.model_dump(mode="json")))


def test_the_service_answers_as_told(run_folder: Path):
    page = ROOT / "docs" / "service.md"
    (ask,) = [block.code for block in blocks(page) if block.code.startswith("curl ")]
    assert "http://127.0.0.1:8000/" in ask  # the address without options
    with serving(run_folder, "--device", "cpu") as (address, _):
        ask = ask.replace("http://127.0.0.1:8000", address)
        done = subprocess.run(["sh", "-c", ask], capture_output=True, check=True)
    found = json.loads(done.stdout)["predictions"]
    assert [one["label"] for one in found] == ["delivery", "billing_payment"]


def test_every_file_of_a_run_is_told_of(run_folder: Path):
    page = text_of("docs/run-folder.md")
    part = page.split("## Files of every run")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([^`]+)`", " ".join(first)))
    there = {one.name + "/" * one.is_dir() for one in run_folder.iterdir()}
    assert told == there


def test_the_scores_are_those_of_the_bench():
    page = text_of("docs/methods/stc.md")
    table = page.split("<!-- bench:accuracy -->\n")[1].split("<!-- /bench")[0]
    assert table in text_of("benches/results/ACCURACY.md")


def test_a_path_that_is_named_is_there():
    """Of the repository; NAME and TOPIC stand for what a newcomer chooses."""
    roots = "stc_core|ui|pages|tests|docs|benches|samples"
    for page in PAGES:
        named = re.findall(rf"`((?:{roots})/[^` *]*)`", page.read_text("utf-8"))
        fixed = [path for path in named if not re.search("NAME|TOPIC|_build", path)]
        assert [path for path in fixed if not (ROOT / path).exists()] == [], page


def test_a_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README.read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []
    pages = {ROOT / link for link in links if link.endswith(".md")}
    index = ROOT / "docs" / "index.md"
    assert pages == {*PAGES, ROOT / "SECURITY.md"} - {README, index}


def test_the_pictures_are_there_and_small():
    names = re.findall(r"!\[.+?\]\((.+?)\)", README.read_text("utf-8"))
    assert len(names) == 3
    assert all((ROOT / name).stat().st_size < 250_000 for name in names)


def test_the_readme_is_one_screen():
    text = README.read_text("utf-8")
    assert len(text.split()) <= 700
    assert max(map(len, text.splitlines())) <= 400


def test_the_coverage_is_that_of_the_bench():
    page = text_of("docs/evaluation.md")
    part = page.split("<!-- bench:coverage -->\n")[1].split("<!-- /bench")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines()]
    heads, rows = lines[0], lines[2:]
    bench = json.loads(text_of("benches/results/results.json"))["bench_coverage"]
    known = {(row["set"], row["case"], row["rows"]): row for row in bench["rows"]}
    for row in rows:
        told = dict(zip(heads, row, strict=True))
        found = known[told["set"], told["case"], int(told["rows"])]
        for name in ("coverage", "width", "given", "before"):
            assert told[name] == str(found.get(name, "–")), (row, name)
    assert len(rows) > 20
