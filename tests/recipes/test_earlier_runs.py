"""Runs of an earlier version open: what reads one answers, or refuses in a sentence.

`earlier/` holds tiny finished runs of the version before checkpoints and stages were
listed in files of their own (commit 57efd4c), with their models and tables. In their
JSON files `@FOLDER@` stands for the folder that they are unpacked to.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers.app import at_home, said, visit
from helpers.command import Stc
from helpers.once import once
from stc_core.runs.run import Run

EARLIER = Path(__file__).parent / "earlier"
MODELS = ("encoder", "decoders")
RUNS = sorted(path.stem for path in EARLIER.glob("*.zip") if path.stem not in MODELS)
TEXT = "good price very slow"
PAGES = ("Layers", "Neurons", "Examples", "Predict", "Adapt", "Hierarchy", "Errors")
NUMBERS: dict[str, int] = dict(zip(PAGES, (3, 4, 5, 6, 7, 8, 9), strict=True))


@pytest.fixture
def earlier(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of the runs, which is the working folder: they name models in it."""
    folder = once(tmp_path_factory, "earlier", unpack)
    monkeypatch.chdir(folder)
    return folder


def unpack(folder: Path) -> None:
    for path in EARLIER.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    for path in folder.rglob("*.json"):
        told = path.read_text("utf-8")
        path.write_text(told.replace("@FOLDER@", str(folder)), "utf-8")


def test_there_is_a_run_of_every_recipe_of_that_version():
    recipes = {"attention", "classes", "replies", "spin", "stc", "variability", "words"}
    assert set(RUNS) == recipes


@pytest.mark.parametrize("name", RUNS)
def test_a_classifier_answers_as_it_did(name: str, earlier: Path):
    """`answers.json` has what the earlier version answered to the test texts."""
    kept = json.loads((EARLIER / "answers.json").read_text("utf-8"))[name]
    classifier = Run.open(earlier / name).classifier(device="cpu")
    assert list(classifier.predict(kept["texts"])) == kept["labels"]
    found = classifier.predict_proba(kept["texts"]).max(axis=1)
    np.testing.assert_allclose(found, kept["probability"], atol=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_every_table_of_a_run_is_read(name: str, earlier: Path):
    run = Run.open(earlier / name)
    for frame in (run.corpus, run.probes, run.predictions, run.scores):
        assert len(frame) > 0
    assert run.metrics["test"]["n"] > 0
    assert run.summary().state == "done"


@pytest.mark.parametrize("name", RUNS)
def test_every_command_answers_or_refuses(
    name: str, earlier: Path, tmp_path: Path, stc: Stc
):
    """Exit 2 is a refusal, which is a sentence; anything else that fails is a fault."""
    run = earlier / name
    table = tmp_path / "texts.csv"
    table.write_text(f"text\n{TEXT}\n", "utf-8")
    out = tmp_path / "out"
    out.mkdir()
    answered = {
        words[0]: checked(stc(*words))
        for words in (
            ("report", run, "--json"),
            ("predict", run, table, "--out", out / "p.csv", "--text", "text"),
            ("explain", run, "--text", TEXT),
            ("generate", run, "--text", TEXT),
            ("export", run, out / "run.stc"),
            ("shrink", run, "--out", out / "less", "--max-neurons", "2"),
            ("resume", run),
        )
    }
    assert [answered[word] for word in ("report", "predict", "export")] == [0, 0, 0]
    assert (answered["explain"] == 0) is (name not in ("words", "replies"))
    assert (answered["generate"] == 0) is (name == "replies")


def checked(ended: tuple[int, str, str]) -> int:
    code, out, err = ended
    assert code in (0, 2), err
    assert "Traceback" not in out + err
    assert code == 0 or len(err.strip()) > 20
    return code


@pytest.fixture
def at_earlier(
    earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    folders = {name: earlier / name for name in RUNS}
    yield at_home(tmp_path, monkeypatch, **folders)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_a_run_or_says_why_not(
    name: str, page: str, at_earlier: Path, tmp_path: Path
):
    app = visit(f"pages/{NUMBERS[page]}_{page}.py", run=name)
    assert not app.exception, app.exception[0].message
    assert said(app)


@pytest.mark.parametrize("page", ["app.py", "pages/11_Runs.py", "pages/10_Compare.py"])
def test_lists_of_runs_have_them(page: str, at_earlier: Path):
    app = visit(page)
    assert not app.exception, app.exception[0].message


@pytest.mark.parametrize("name", ["stc", "variability"])
def test_a_later_format_is_refused_in_a_sentence(
    name: str, earlier: Path, tmp_path: Path, stc: Stc
):
    """A run of a version that is not known yet; no number of it is shown."""
    copy = tmp_path / name
    copy.mkdir()
    config = json.loads((earlier / name / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"format": 99}), "utf-8")
    told = stc("report", copy)
    assert told.code == 2
    assert "format 1" in told.err and "99" in told.err
