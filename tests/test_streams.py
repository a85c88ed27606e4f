"""What a command prints arrives whole, or as an escape, on any terminal and pipe."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import stc_core.recipes
from helpers.runs.fake_recipe import train
from stc_core import streams
from stc_core.cli import app
from stc_core.config import DataConfig, RunConfig
from stc_core.data.table import read_table
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

ROOT = Path(__file__).parents[1]
HAM, SPAM = "ham 🍖", "spam › é"
TEXT = "you win 🎉 a žluťoučký café"
Typed = Callable[..., tuple[int, bytes, str]]


class ByWord:
    classes_ = np.array([HAM, SPAM])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        spam = np.array(["win" in text for text in texts], dtype=float)
        return np.stack([1 - spam, spam], axis=1)

    def explain(self, text: str) -> dict[str, Any]:
        both = {HAM: 0.25, SPAM: 0.75}
        neuron = {"site": "mlp.5", "layer": 5, "index": 1, "pooling": "max"}
        return {
            "label": SPAM,
            "probabilities": both,
            "logits": both,
            "bias": both,
            "neurons": [{**neuron, "activation": 1.0, "contribution": both}],
            "tokens": [
                {
                    "start": 0,
                    "end": 3,
                    "text": "🎉",
                    "unknown": False,
                    "contribution": both,
                }
            ],
        }


@pytest.fixture(params=["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def encoding(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def typed(monkeypatch, encoding: str) -> Typed:
    """Types a command in this process, on streams of an encoding that may lack much."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, bytes, str]:
        out, err = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "argv", ["stc", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=encoding))
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as end:
                app.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        # Where a stream says ASCII, typer takes it for UTF-8 that was set up badly.
        shown = err.getvalue().decode("utf-8" if encoding == "ascii" else encoding)
        return int(end.value.code or 0), out.getvalue(), shown

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{TEXT} {n},{(HAM, SPAM)[n % 2]}" for n in range(60)]
    path = tmp_path / "zprávy 🎉.csv"
    path.write_text("\n".join(["text,druh é", *rows]), "utf-8")
    return path


@pytest.fixture
def run(table: Path, own_home: Path, monkeypatch) -> Run:
    """A finished run in a home of its own, all of whose names are beyond ASCII."""
    recipes = types.ModuleType("stc_core.recipes.registry")
    vars(recipes)["train"] = train
    monkeypatch.setitem(sys.modules, "stc_core.recipes.registry", recipes)
    monkeypatch.setattr(stc_core.recipes, "registry", recipes, raising=False)
    monkeypatch.setattr(Run, "classifier", lambda self: ByWord())
    config = RunConfig(name="můj běh 🎉", data=DataConfig(path=str(table)))
    with RunWriter(own_home / "runs" / "bběh", config) as writer:
        train(config, writer)
    return Run(writer.folder)


COMMANDS = {
    "train": ("train", "TABLE", "--name", "🎉 běh", "--out", "OUT"),
    "predict": ("predict", "RUN", "TABLE", "--out", "-"),
    "explain": ("explain", "RUN", "--text", TEXT),
    "explain --json": ("explain", "RUN", "--text", TEXT, "--json"),
    "report": ("report", "RUN"),
    "report --json": ("report", "RUN", "--json"),
    "runs": ("runs",),
    "runs --json": ("runs", "--json"),
    "data check": ("data", "check", "TABLE"),
    "data check --json": ("data", "check", "TABLE", "--json"),
    "rename": ("rename", "RUN", "jiný 🎉"),
    "cancel": ("cancel", "RUN"),
    "delete": ("delete", "RUN"),
    "cache": ("cache",),
    "help": ("train", "--help"),
    "wrong usage": ("train", "--🎉"),
    "wrong column": ("train", "TABLE", "--text", "🎉", "--out", "OUT"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_well(
    typed: Typed, run: Run, table: Path, encoding: str, command: str
):
    words = {"TABLE": table, "RUN": run.folder, "OUT": table.parent / "out"}
    code, out, err = typed(*(words.get(word, word) for word in COMMANDS[command]))
    assert code == (2 if command.startswith("wrong") else 0), err
    assert "Traceback" not in err
    assert "Error" not in err or command.startswith("wrong")
    if command.endswith("json"):
        ways = encoding if encoding == "utf-16" else "utf-8"
        told = json.loads(out.decode(ways))
        if encoding == "utf-8" and command.startswith("explain"):
            assert HAM.encode() in out  # readable where it can be
        if command.startswith("explain"):
            assert told["label"] == SPAM
    elif command == "predict":
        labelled = pd.read_csv(io.BytesIO(out), encoding="utf-8")
        assert labelled["text"].tolist() == read_table(table)["text"].tolist()
        assert set(labelled["predicted_label"]) == {SPAM}
    elif command == "explain":
        said = out.decode(encoding)
        whole = encoding.startswith("utf")
        assert ("🎉" in said) == whole and ("\\U0001f389" in said) != whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a › b – c · d", "a > b - c - d"),
        ("caf\u00e9 🎉", "caf\\xe9 \\U0001f389"),
        ("half \udce9", "half \\udce9"),
    ],
)
def test_signs_that_ascii_lacks(text, said):
    assert text.encode("ascii", streams._ERRORS).decode() == said


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "ascii", "cp1252", None, "none"])
def test_json_is_json_in_any_encoding(name):
    for value in ({"a": "é🎉"}, {"a": "\udce9"}):
        said = streams.printable_json(value, name)
        assert json.loads(said) == value
        assert said.isascii() == (
            name not in ("utf-8", "UTF8") or "\udce9" in said or value["a"] == "\udce9"
        )


class Broken(io.RawIOBase):
    """A pipe whose reader has gone, or a disk that is full."""

    def __init__(self, number: int, after: int = 0) -> None:
        self.number, self.left = number, after

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.left <= 0:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1
        return len(data)


TALKS = ("rename", "cancel", "delete", "help", "wrong usage", "wrong column")
PRINTING = [command for command in COMMANDS if command not in TALKS]


def broken(monkeypatch, name: str, number: int) -> None:
    raw: Any = Broken(number)
    stream = io.TextIOWrapper(io.BufferedWriter(raw, 16), encoding="utf-8")
    monkeypatch.setattr(sys, name, stream)


@pytest.mark.parametrize("command", PRINTING)
def test_whoever_stops_reading_ends_no_command_badly(
    monkeypatch, capsys, run: Run, table: Path, command: str
):
    words = {"TABLE": table, "RUN": run.folder, "OUT": table.parent / "out"}
    given = [str(words.get(word, word)) for word in COMMANDS[command]]
    monkeypatch.setattr(sys, "argv", ["stc", *given])
    broken(monkeypatch, "stdout", errno.EPIPE)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        app.main()
    signal.signal(signal.SIGTERM, handler)
    assert not end.value.code
    assert "Error" not in capsys.readouterr().err
    if command == "train":
        assert Run(table.parent / "out").done


def test_a_training_goes_on_when_nobody_reads_its_progress(
    monkeypatch, run: Run, table: Path
):
    out = table.parent / "out"
    monkeypatch.setattr(sys, "argv", ["stc", "train", str(table), "--out", str(out)])
    for name in ("stdout", "stderr"):
        broken(monkeypatch, name, errno.EPIPE)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        app.main()
    signal.signal(signal.SIGTERM, handler)
    assert not end.value.code and Run(out).done


@pytest.mark.parametrize("command", ["predict", "report", "report --json"])
def test_a_full_disk_is_said(monkeypatch, capsys, run: Run, table: Path, command: str):
    words = {"TABLE": table, "RUN": run.folder}
    given = [str(words.get(word, word)) for word in COMMANDS[command]]
    monkeypatch.setattr(sys, "argv", ["stc", *given])
    broken(monkeypatch, "stdout", errno.ENOSPC)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 2
    assert "standard output: got No space left on device" in capsys.readouterr().err


def test_a_closed_output_is_said_or_nothing(monkeypatch, run: Run, table: Path):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(StcError, match="got a closed one"), streams.table_output():
        pass
    monkeypatch.setattr(sys, "argv", ["stc", "report", str(run.folder)])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert not end.value.code


def test_an_argument_in_another_encoding_is_named(stc, run: Run):
    said = stc("explain", run.folder, "--text", "caf\udce9")
    assert said.code == 2 and r"argument 'caf\udce9': expected" in said.err
    assert "Traceback" not in said.err


def test_a_real_pipe_that_is_cut_and_a_real_ascii_terminal(run: Run, own_home: Path):
    """In processes of their own, as a shell starts them."""
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    environment = {**os.environ, **ascii_only, "STC_HOME": str(own_home)}
    environment.pop("PYTHONIOENCODING", None)
    command = [sys.executable, "-m", "stc_core", "runs"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0 and b"\\U0001f389" in done.stdout, done.stderr
    assert done.stderr == b""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [*command, "--json"], cwd=ROOT, env=environment, stdout=pipe, stderr=-1
        )
    assert done.returncode == 0 and done.stderr == b""
