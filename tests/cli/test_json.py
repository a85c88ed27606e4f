"""Every command with a result prints it as JSON, with the keys of docs/json.md."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, get_origin, get_type_hints

import pytest

from docs import reference
from helpers.app import written_run
from helpers.command import Stc
from helpers.fake_hub import FakeHub, logged_in
from helpers.models.classifiers import replying
from helpers.models.tiny import saved_tiny
from helpers.runs.fake_recipe import stand_in
from stc_core.installation import diagnosis
from stc_core.interpret.interventions import effects
from stc_core.paths import models_folder, runs_folder
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.processes import queue
from stc_core.runs.run import Run

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
NO_RESULT = {"stc serve"}
TRAIN = ("TABLE", "--text", "text", "--label", "kind", "--out", "NEW")
EXAMPLES: dict[str, tuple[tuple[object, ...], ...]] = {
    "stc train": (TRAIN,),
    "stc sweep": (("TABLE", "--text", "text", "--label", "kind", "--seed", "0..1"),),
    "stc rank": (("TABLE", "--label", "kind", "--backbone", "MODEL", "--rows", 20),),
    "stc shrink": (("RUN", "--tolerance", 0.5, "--out", "NEW"),),
    "stc resume": (("FAILED",),),
    "stc report": (("RUN",),),
    "stc runs": ((),),
    "stc rename": (("MINE", "another"),),
    "stc cancel": (("MINE",),),
    "stc delete": (("MINE",),),
    "stc import": (("BUNDLE",),),
    "stc predict": (("RUN", "MESSAGES", "--out", "NEW.csv", "--label", "topic"),),
    "stc explain": (
        ("RUN", "--text", "a parcel", "--gradients"),
        ("RUN", "--row", 3),
        ("RUN", "--text", "a parcel", "--leave-out"),
    ),
    "stc ablate": (("RUN", "--top", 3, "--random", 1, "--texts", 6),),
    "stc patch": (("RUN", "--text", "a parcel", "--donor", "a refund", "--top", 3),),
    "stc faithfulness": (("COPY", "--texts", 2),),
    "stc activations": (
        ("TABLE", "--out", "NEW.safetensors", "--site", "resid.1"),
        ("TABLE", "--out", "NEW.safetensors", "--site", "resid.1", "--tokens"),
    ),
    "stc push": (("RUN", "someone/run", "--yes"),),
    "stc pull": (("someone/run",),),
    "stc generate": (("MINE", "--text", "a film"),),
    "stc export": (("RUN", "NEW.zip"),),
    "stc data check": (("MESSAGES", "--label", "topic"),),
    "stc data sample": (("replies.csv", "--out", "NEW.csv"),),
    "stc variability": (("TABLE", "--text", "text", "--label", "kind"),),
    "stc cache": ((), ("--clean",)),
    "stc doctor": ((),),
    "stc models list": ((),),
    "stc models add": (("MODEL", "--name", "someone/new"),),
    "stc models remove": (("kept",),),
}


NEW = ("NEW", "NEW.csv", "NEW.zip", "NEW.safetensors")
"""What the examples write."""


class Shape(NamedTuple):
    """What the page says that a command prints."""

    is_list: bool
    always: set[str]
    sometimes: set[str]


def shapes() -> dict[str, Shape]:
    """The shape of each command of the page, by the command."""
    found = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        always, sometimes = set[str](), set[str]()
        for line in re.findall(r"^\| (`.+?) \|", text, re.M):
            is_rare = re.search(r", (with|of) ", line) is not None
            keys = re.findall(r"`([^`]+)`", re.split(r", (?:with|of) ", line)[0])
            (sometimes if is_rare else always).update(keys)
        shape = Shape(text.lstrip().startswith("A list"), always, sometimes)
        found |= {command.strip(): shape for command in title.split(",")}
    return found


def has(value: Any, path: str) -> bool:
    """Whether a record has a key at a path such as `neurons[].site`."""
    first, _, rest = path.partition(".")
    name = first.removesuffix("[]")
    if not isinstance(value, dict) or name not in value:
        return False
    inner = value[name] if first.endswith("[]") else [value[name]]
    return all(has(one, rest) for one in inner) if rest else True


def check(value: Any, shape: Shape) -> None:
    """Whether a record has the keys that the page tells, and no others."""
    assert [path for path in sorted(shape.always) if not has(value, path)] == []
    told = {re.split(r"[.\[]", path)[0] for path in shape.always | shape.sometimes}
    assert set(value) <= told


@pytest.fixture
def places(
    tmp_path: Path, own_home: Path, run_folder: Path, messages: Path, table: Path
) -> dict[str, object]:
    """What the capital words of the examples stand for."""
    mine = written_run(runs_folder() / "mine", "mine")
    failed = written_run(runs_folder() / "failed", "failed", state="failed")
    failed.folder.joinpath("config.json").write_text(
        failed.config.changed(data={"path": str(table)}).model_dump_json(), "utf-8"
    )
    return {
        "RUN": run_folder,
        "COPY": shutil.copytree(run_folder, tmp_path / "copy"),
        "MINE": mine.folder.name,
        "FAILED": failed.folder,
        "MESSAGES": messages,
        "TABLE": table,
        "MODEL": saved_tiny(tmp_path / "model"),
        "KEPT": shutil.copytree(tmp_path / "model", models_folder() / "kept"),
        **{name: tmp_path / name for name in NEW},
    }


@pytest.fixture
def hub(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with logged_in(monkeypatch) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "MOST_REFERENCE", 20)
    monkeypatch.setattr(queue, "spawn", lambda *_, **__: None)
    monkeypatch.setattr(diagnosis, "hub_state", lambda: "offline")


def test_the_page_tells_of_every_command():
    commands = {" ".join(("stc", *words)) for words in reference.commands()}
    assert shapes().keys() == EXAMPLES.keys() == commands - NO_RESULT


# huggingface_hub uploads in a way that httpx2 no longer likes.
@pytest.mark.filterwarnings("ignore:Use 'content=")
@pytest.mark.parametrize("command", EXAMPLES)
def test_a_command_prints_the_keys_that_the_page_tells(
    command: str,
    stc: Stc,
    places: dict[str, object],
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
):
    if command in ("stc train", "stc sweep", "stc shrink", "stc resume"):
        stand_in(monkeypatch)
    if command == "stc generate":
        monkeypatch.setattr(Run, "classifier", lambda self: replying(3))
    if command == "stc import":
        bundle = places["NEW.zip"]
        assert stc("export", places["RUN"], bundle).code == 0
        places["BUNDLE"] = bundle
    if command == "stc pull":
        assert stc("push", places["RUN"], "someone/run", "--yes").code == 0
    shape = shapes()[command]
    for example in EXAMPLES[command]:
        words = [places.get(str(word), word) for word in example]
        said = stc(*command.split()[1:], *words, "--json")
        assert said.code == 0, said.err
        value = json.loads(said.out)
        assert isinstance(value, list) == shape.is_list
        for record in value if shape.is_list else [value]:
            check(record, shape)
        assert value != []


def test_the_keys_of_a_report_are_those_of_its_type():
    hints = get_type_hints(RunMetrics, include_extras=True)
    rare = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    shape = shapes()["stc report"]
    assert {path.partition(".")[0] for path in shape.always} == hints.keys() - rare
    assert shape.sometimes == rare


def test_usage_has_keys_of_its_own(stc: Stc, run_folder: Path, tmp_path: Path):
    own = shutil.copytree(run_folder, tmp_path / "own")
    text = PAGE.read_text("utf-8").partition("With `--usage`")[2].partition("\n")[0]
    told = set(re.findall(r"`(\w+)`", text))
    found = json.loads(stc("ablate", own, "--usage", "--texts", 6, "--json").out)
    assert told == found.keys() | found["neurons"][0].keys()


def test_the_score_of_a_file_has_the_keys_of_the_page(
    stc: Stc, run_folder: Path, messages: Path, tmp_path: Path
):
    """None of its rows is new, so the labels of another table are taken."""
    few = tmp_path / "few.csv"
    few.write_text("text,topic\nmy parcel is lost,delivery\nhello,what\nwho,delivery\n")
    options = ("--out", tmp_path / "x.csv", "--label", "topic", "--json")
    score = json.loads(stc("predict", run_folder, few, *options).out)["score"]
    row = PAGE.read_text("utf-8").partition("null without `--label`")[2].partition("\n")
    told = set(re.findall(r"`(\w+)`", row[0]))
    of_errors = {"label", "predicted", "share"}
    assert told - of_errors == score.keys()
    assert score["n"] == 2 and score["unknown"] == {"what": 1}
    said = stc("predict", run_folder, few, "--out", "-", "--json")
    assert said.code == 2 and "expected a file as --out" in said.err


def test_an_error_prints_no_json(stc: Stc, tmp_path: Path):
    said = stc("report", tmp_path, "--json")
    assert said.code == 2 and said.out == "" and said.err.startswith("Error: ")


def test_a_report_in_html_tells_its_size(stc: Stc, run_folder: Path, tmp_path: Path):
    path = tmp_path / "run.html"
    told = json.loads(stc("report", run_folder, "--html", path, "--json").out)
    assert told == {"file": str(path), "bytes": path.stat().st_size}
