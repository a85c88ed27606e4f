"""The command line: exit codes, what is said, and what is left behind.

The recipe is not the subject in most tests; there one of a few lines stands in.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import stc_core
from stc_core import cli, terminal
from stc_core.axes import PooledSite
from stc_core.config import DataConfig, RunConfig
from stc_core.data import read_corpus
from stc_core.errors import StcError
from stc_core.run import Run
from stc_core.status import Status, new_status
from stc_core.store import open_writer
from stc_core.table import read_table
from stc_core.writer import RunWriter

ROOT = Path(__file__).parents[1]


class Said:
    """How a command ended: its exit code, stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Stc = Callable[..., Said]


@pytest.fixture
def stc(monkeypatch, capsys, tmp_path: Path) -> Stc:
    """Runs a command in this process, in a home of its own."""
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["stc", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as end:
                cli.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        code = end.value.code
        assert code is None or isinstance(code, int), code
        return Said(code or 0, *capsys.readouterr())

    return run


def metrics() -> dict[str, Any]:
    scores = {"accuracy": 0.5, "accuracy_interval": [0.4, 0.6], "macro_f1": 0.45}
    names = ("majority", "tfidf", "last_layer", "best_site", "all_sites")
    return {
        "classes": ["ham", "spam"],
        "test": {
            "accuracy": 0.875,
            "accuracy_interval": [0.8, 0.92],
            "macro_f1": 0.86,
            "n": 40,
            "levels": [
                {"column": "topic", "accuracy": 0.9, "macro_f1": 0.89},
                {"column": "subtopic", "accuracy": 0.875, "macro_f1": 0.86},
            ],
        },
        "neurons": {"selected": 57, "total": 27648, "unique": 50},
        "layers": {"used": 5, "total": 6},
        "seconds": {"extract": 3.0, "probe": 2.0, "select": 1, "head": 1, "total": 7.0},
        "baselines": {name: {**scores, "detail": None} for name in names},
    }


def train(config: RunConfig, writer: RunWriter) -> Run:
    writer.phase("read")
    corpus = read_corpus(config.data, seed=config.train.seed)
    writer.write_text("report.json", corpus.report.to_json())
    writer.phase("load")
    if config.train.backbone == "missing":
        raise StcError("backbone 'missing'", remedy="Choose another.")
    writer.phase("extract", total=3)
    writer.note("one note")
    for done in range(4):
        writer.progress(done, 3)
    if config.name == "late":
        raise StcError("the disk is full")
    if config.name == "bug":
        _ = {}["a bug"]
    if config.name == "interrupt":
        # A shell makes those that it starts in the background deaf to it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    if config.name == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    writer.write_json("metrics.json", metrics())
    return writer.finish()


@pytest.fixture
def recipe(monkeypatch) -> None:
    recipes = types.ModuleType("stc_core.recipes")
    vars(recipes)["train"] = train
    monkeypatch.setitem(sys.modules, "stc_core.recipes", recipes)
    monkeypatch.setattr(stc_core, "recipes", recipes, raising=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"message {n},{'spam' if n % 3 else 'ham'}" for n in range(60)]
    path = tmp_path / "messages.csv"
    path.write_text("\n".join(["text,kind", *rows]))
    return path


def test_help_names_every_command(stc: Stc):
    said = stc("--help")
    assert said.code == 0
    for name in ("train", "predict", "explain", "report", "runs", "cache", "data"):
        assert f" {name} " in said.out
    assert " work " not in said.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "x.csv", "--preset", "best"],
        ["train", "x.csv", "--seed", "many"],
        ["explode"],
        ["predict", "run", "data.csv"],
    ],
)
def test_wrong_usage_is_2(stc: Stc, arguments: list[str]):
    assert stc(*arguments).code == 2


@pytest.mark.usefixtures("recipe")
def test_train_says_what_it_found_and_what_comes_next(stc: Stc, table: Path):
    out = table.parent / "my run"
    columns = ["--text", "text", "--label", "kind"]
    said = stc("train", table, *columns, "--name", "[red] one", "--out", out)
    assert said.code == 0, said.err
    assert "[red] one" in said.out  # what looks like markup is shown as it is
    for words in ("87.5 %", "80.0 to 92.0 %", "86.0 %", "57 of 27,648", "5 of 6"):
        assert words in said.out
    for key in ("majority", "tfidf", "last_layer", "best_site", "all_sites"):
        assert terminal.BASELINES[key] in said.out
    assert "topic: accuracy 90.0 %" in said.out and "extract 3.0 s" in said.out
    assert f"stc explain '{out}' --text" in said.err
    assert "Read the activations" in said.err and "one note" in said.err
    assert "Traceback" not in said.err
    assert Run.open(out).done


@pytest.mark.usefixtures("recipe")
def test_every_option_is_in_the_settings(stc: Stc, table: Path):
    options = {
        "--text": "text",
        "--label": "kind",
        "--test": table,
        "--name": "mine",
        "--backbone": "some/model",
        "--preset": "spin",
        "--device": "cpu",
        "--dtype": "float32",
        "--max-length": 64,
        "--penalty": "group",
        "--class-weight": "balanced",
        "--eta": 0.5,
        "--budget": 50,
        "--max-layer": 4,
        "--store-dtype": "float32",
        "--validation-share": 0.2,
        "--test-share": 0.25,
        "--seed": 7,
    }
    flat = [word for pair in options.items() for word in pair]
    flat += ["--pooling", "mean", "--pooling", "max", "--kind", "mlp"]
    out = table.parent / "run"
    said = stc("train", table, *flat, "--out", out)
    assert said.code == 0, said.err
    config = Run.open(out).config
    assert config.name == "mine" and config.data.labels == ("kind",)
    assert config.data.path == config.data.test_path == str(table)
    train = config.train.model_dump()
    for option, value in list(options.items())[4:]:
        assert train[option[2:].replace("-", "_")] == value, option
    assert train["poolings"] == ("mean", "max") and train["kinds"] == ("mlp",)


@pytest.mark.usefixtures("recipe")
def test_columns_and_folder_are_found_when_not_given(stc: Stc, table: Path):
    said = stc("train", table)
    assert said.code == 0, said.err
    (folder,) = (table.parent / "home" / "runs").iterdir()
    assert folder.name.endswith("-messages") and str(folder) in said.err
    said = stc("runs")
    assert "87.5 %" in said.out and folder.name in said.out
    said = stc("runs", "--json")
    assert json.loads(said.out)[0]["accuracy"] == 0.875
    assert "57 of 27,648" in stc("report", folder.name).out  # by its name alone


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(
    ("option", "value"), [("--budget", 0), ("--kind", "attn"), ("--test-share", 0.9)]
)
def test_a_wrong_setting_is_named_and_nothing_is_left(
    stc: Stc, table: Path, option: str, value: object
):
    said = stc("train", table, "--out", table.parent / "run", option, value)
    assert said.code == 2 and f"option {option}" in said.err
    assert not (table.parent / "run").exists()


BAD = {
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 40, ()),
    "empty": (b"", ()),
    "header": (b"text,label\n", ()),
    "one_column": (b"text\nhello\nyou\nthere\n", ()),
    "one_class": (b"text,label\n" + b"".join(b"t%d,a\n" % n for n in range(30)), ()),
    "nan_labels": (b"text,label\n" + b"".join(b"t%d,\n" % n for n in range(30)), ()),
    "headers_twice": (b"text,text\na,b\nc,d\n", ()),
    "wrong_column": (b"text,label\na,b\nc,d\n", ("--text", "txt")),
    "long_line": (b"x" * 10_000_000, ()),
}


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("out", ["run", None])
def test_bad_input_is_said_and_nothing_is_left(
    stc: Stc, tmp_path: Path, kind: str, out: str | None
):
    content, options = BAD[kind]
    (tmp_path / "bad.csv").write_bytes(content)
    place = ["--out", tmp_path / out] if out else []
    said = stc("train", tmp_path / "bad.csv", *options, *place)
    assert said.code == 2
    assert said.err.count("Error: ") == 1 and "Traceback" not in said.err
    assert len(said.err) < 2000
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "home").glob("runs/*"))


@pytest.mark.usefixtures("recipe")
def test_a_file_or_backbone_that_is_not_there(stc: Stc, table: Path):
    out = table.parent / "run"
    said = stc("train", table.parent / "none.csv", "--out", out)
    assert said.code == 2 and "none.csv" in said.err and not out.exists()
    said = stc("train", table, "--backbone", "missing", "--out", out)
    assert said.code == 2 and "Choose another." in said.err and not out.exists()


@pytest.mark.usefixtures("recipe")
def test_a_finished_run_is_not_replaced_unasked(stc: Stc, table: Path):
    out = table.parent / "run"
    assert stc("train", table, "--out", out, "--name", "first").code == 0
    said = stc("train", table, "--out", out, "--name", "second")
    assert said.code == 2 and "--overwrite" in said.err
    assert Run.open(out).name == "first"
    said = stc("train", table, "--out", out, "--overwrite", "--text", "nothing")
    assert said.code == 2 and Run.open(out).name == "first"
    said = stc("train", table, "--out", out, "--overwrite", "--name", "second")
    assert said.code == 0 and Run.open(out).name == "second"
    assert [path.name for path in table.parent.iterdir() if "run" in path.name] == [
        "run"
    ]


@pytest.mark.usefixtures("recipe")
def test_other_folders_are_never_written_to(stc: Stc, table: Path):
    said = stc("train", table, "--out", table.parent, "--overwrite")
    assert said.code == 2 and "other files" in said.err
    assert [path.name for path in table.parent.iterdir()] == [table.name]


@pytest.mark.usefixtures("recipe")
def test_a_run_that_fails_late_stays_with_its_log(stc: Stc, table: Path):
    out = table.parent / "run"
    said = stc("train", table, "--out", out, "--name", "late")
    assert said.code == 2 and "the disk is full" in said.err and "log.txt" in said.err
    run = Run.open(out)
    assert run.status["state"] == "failed" and "disk is full" in run.log_tail()
    said = stc("report", out)
    assert said.code == 2 and "failed" in said.err
    assert stc("train", table, "--out", out).code == 0  # a failed run makes way


@pytest.mark.usefixtures("recipe")
def test_a_bug_escapes_with_a_note_and_is_in_the_log(stc: Stc, table: Path):
    out = table.parent / "run"
    with pytest.raises(KeyError) as error:
        stc("train", table, "--out", out, "--name", "bug")
    assert cli.BUG in error.value.__notes__
    run = Run.open(out)
    assert run.status["state"] == "failed" and "KeyError" in run.log_tail()


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize("name", ["interrupt", "terminate"])
def test_an_interrupt_is_130_and_cancelled(stc: Stc, table: Path, name: str):
    out = table.parent / "run"
    assert stc("train", table, "--out", out, "--name", name).code == 130
    assert Run.open(out).status["state"] == "cancelled"


def test_a_bug_is_exit_code_1_with_its_traceback(tmp_path: Path):
    code = (
        "import sys; from stc_core import cli, run\n"
        "def broken(): raise KeyError('x')\n"
        "run.list_runs = broken\n"
        "sys.argv = ['stc', 'runs']\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and done.stderr.rstrip().endswith(cli.BUG)


def test_the_module_is_the_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "stc_core", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and "`stc runs`" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_no_runs_is_not_an_error(stc: Stc):
    said = stc("runs")
    assert said.code == 0 and "no runs yet" in said.err
    assert json.loads(stc("runs", "--json").out) == []


def test_work_takes_only_a_queued_run(stc: Stc, tmp_path: Path):
    config = RunConfig(data=DataConfig(path="x"))
    RunWriter(tmp_path / "run", config).finish()
    said = stc("work", tmp_path / "run")
    assert said.code == 2 and "queued" in said.err


def test_data_check_says_how_many_texts_would_be_cut(stc: Stc, tmp_path: Path):
    rows = [f"{'word ' * (400 if i < 9 else 4)}{i},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows), "utf-8")
    found = json.loads(stc("data", "check", tmp_path / "t.csv", "--json").out)
    (cut,) = (f for f in found["findings"] if f["kind"] == "truncated")
    assert cut["count"] == 9 and "9 of 60 texts (15.0%)" in cut["message"]


def test_data_check_reports_and_exits_2_on_errors(stc: Stc, table: Path):
    said = stc("data", "check", table)
    assert said.code == 0, said.err
    assert "60 of 60 rows" in said.out and "'kind'" in said.out and "spam" in said.out
    found = json.loads(stc("data", "check", table, "--json").out)
    assert found["n_used"] == 60 and found["columns"][0] == "text"

    with table.open("a") as file:
        file.write("\nmessage 1,ham\n ,spam\nlonely,once\n")
    said = stc("data", "check", table)
    assert said.code == 2 and "error:" in said.out and "No text" in said.out
    said = stc("data", "check", table, "--json")
    assert said.code == 2 and json.loads(said.out)["n_rows"] == 63
    assert stc("data", "check", table.parent / "none.csv").code == 2


EXPLANATION = {
    "label": "spam",
    "probabilities": {"ham": 0.25, "spam": 0.75},
    "logits": {"ham": 0.0, "spam": 1.1},
    "bias": {"ham": 0.0, "spam": 0.1},
    "neurons": [
        {
            "site": "mlp.5",
            "layer": 5,
            "index": n,
            "pooling": "max",
            "activation": 1.0,
            "contribution": {"ham": 0.0, "spam": value},
        }
        for n, value in enumerate([0.2, 1.5, -0.7] + [0.0] * 10)
    ],
    "tokens": [
        {"start": 0, "end": 0, "token": "[CLS]", "contribution": {"spam": 0.1}},
        {"start": 0, "end": 3, "token": "win", "contribution": {"spam": 1.0}},
        {"start": 4, "end": 8, "token": "mum", "contribution": {"spam": -0.4}},
    ],
}


class ByWord:
    classes_ = np.array(["ham", "spam"])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        spam = np.array(["win" in text for text in texts], dtype=float)
        return np.stack([1 - spam, spam], axis=1)

    def explain(self, text: str) -> dict[str, Any]:
        return EXPLANATION


@pytest.fixture
def run(table: Path, monkeypatch) -> Path:
    """A finished run whose classifier knows one word."""
    folder = table.parent / "run"
    config = RunConfig(data=DataConfig(path=str(table)))
    with RunWriter(folder, config) as writer:
        train(config, writer)
    monkeypatch.setattr(Run, "classifier", lambda self: ByWord())
    return folder


def test_explain_shows_the_decision(stc: Stc, run: Path):
    said = stc("explain", run, "--text", "win [red]")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "spam  75.0 %" and "ham 25.0 %" in lines[1]
    assert "win [red]" in said.out  # what looks like markup is shown as it is
    neurons = [line for line in lines if "mlp.5 #" in line]
    assert "mlp.5 #1 · max" in neurons[0] and "+1.50" in neurons[0]
    assert "mlp.5 #2 · max" in neurons[1] and "-0.70" in neurons[1]
    assert "3 more" in said.out and "+1.10" in said.out


def test_explain_as_json_is_only_json(stc: Stc, run: Path):
    said = stc("explain", run, "--text", "win", "--json")
    assert json.loads(said.out) == EXPLANATION


def test_report_names_the_layer_and_what_is_missing(stc: Stc, run: Path):
    """Layer 3 of 6 is not the last layer, and a baseline can have failed."""
    told = metrics()
    told["baselines"]["last_layer"] |= {"layer": 3}
    del told["baselines"]["all_sites"]
    told["missing"] = {"all_sites": "MemoryError: no room"}
    before = (run / "metrics.json").read_text("utf-8")
    (run / "metrics.json").write_text(json.dumps(told), "utf-8")
    said = stc("report", run)
    (run / "metrics.json").write_text(before, "utf-8")
    assert said.code == 0 and "layer 3, the last that was read" in said.out
    assert "all sites, no selection is missing: MemoryError: no room" in said.out


def test_report_as_json_is_metrics_json(stc: Stc, run: Path):
    assert json.loads(stc("report", run, "--json").out) == metrics()


def test_predict_labels_a_table(stc: Stc, run: Path, tmp_path: Path):
    table = tmp_path / "new.tsv"
    table.write_text("id\ttext\n007\tyou win\n008\t\n009\thello\n")
    said = stc("predict", run, table, "--out", tmp_path / "out.csv")
    assert said.code == 0 and "3 rows labelled" in said.err and said.out == ""
    back = read_table(tmp_path / "out.csv")
    assert list(back.columns) == ["id", "text", "predicted_label", "p:ham", "p:spam"]
    assert back["id"].tolist() == ["007", "008", "009"]
    assert back["predicted_label"].tolist() == ["spam", "", "ham"]

    said = stc("predict", run, table, "--out", "-")
    assert pd.read_csv(io.StringIO(said.out), dtype=str).shape == (3, 5)
    said = stc("predict", run, table, "--out", tmp_path / "x.csv", "--text", "txt")
    assert said.code == 2 and "Did you mean 'text'" in said.err
    assert not (tmp_path / "x.csv").exists()


def test_cache_lists_and_cleans(stc: Stc, tmp_path: Path):
    assert "0 stores" in stc("cache").out
    folder = tmp_path / "home" / "cached_features"
    folder.mkdir(parents=True)
    widths, about = {PooledSite.parse("mlp.1.max"): 4}, {"backbone": "tiny"}
    open_writer(folder / "a-b", widths, np.arange(5), dtype="float16", about=about)
    said = stc("cache")
    assert said.code == 0 and "tiny" in said.out and "1 stores" in said.out
    assert "1 deleted" in stc("cache", "--clean").err
    assert not (folder / "a-b").exists()


def status(**changes: Any) -> Status:
    return Status(**{**new_status("running"), **changes})


def test_without_a_terminal_a_phase_is_a_line(capsys, monkeypatch):
    with terminal.PhaseBar() as bar:
        for done in range(50):
            bar.show(status(phase="extract", done=done, total=50))
        bar.show(status(phase="probe", message="warm start"))
        bar.show(status(phase="probe", message="warm start"))
        bar.said_at -= 60
        bar.show(status(phase="probe", done=5, total=9, eta_s=75.0))
        bar.show(status(phase="probe", state="failed", message="no"))
    assert capsys.readouterr().err.splitlines() == [
        "Read the activations",
        "Probe every layer",
        "  warm start",
        "Probe every layer: 5/9, 1 min 15 s left",
    ]


def test_on_a_terminal_a_bar_moves(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with terminal.PhaseBar() as bar:
        assert bar.live
        bar.show(status(phase="extract", done=3, total=4, eta_s=2.0))
        bar.progress.refresh()
    with terminal.CountBar("rows") as count:
        count.show(1234, 0)
        count.progress.refresh()
    err = capsys.readouterr().err
    assert "Read the activations" in err and "3/4, 2.0 s left" in err
    assert "1,234 rows" in err
