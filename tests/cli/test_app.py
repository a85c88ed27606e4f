"""The command line: exit codes, what is said, and what is left behind.

The recipe is not the subject in most tests; there one of a few lines stands in.
"""

import gzip
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from helpers.command import Stc
from helpers.runs.fake_recipe import stand_in
from stc_core.cli import app, console
from stc_core.config import DataConfig, RunConfig
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def recipe(monkeypatch) -> None:
    stand_in(monkeypatch)


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
        assert console.MAY_BE_MISSING[key] in said.out
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


def test_a_budget_beyond_the_most_neurons_is_a_contradiction(stc: Stc, table: Path):
    asked = ("--budget", "100", "--max-neurons", "50")
    said = stc("train", table, "--out", table.parent / "run", *asked)
    assert said.code == 2
    assert "option --max-neurons: expected none, or 100 or more" in said.err
    assert "got 50" in said.err and not (table.parent / "run").exists()


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
    "nul": (b"text,label\na\0b,c\nd,e\n", ()),
    "quote": (b'text,label\n"a,b\n' + b"c,d\n" * 30, ()),
    "gz": (gzip.compress(b"text,label\na,b\nc,d\n" * 30)[:-12], ()),
    "classes": (
        b"text,label\n" + b"".join(b"t%d,c%d\n" % (n, n // 2) for n in range(2400)),
        (),
    ),
}
ODD = {
    "numbers": b"text,label\n" + b"".join(b"t%d,%d\n" % (n, n % 3) for n in range(30)),
    "missing": b"text,label\n"
    + b"".join(b"t%d,%s\n" % (n, (b"a", b"b", b"")[n % 3]) for n in range(45)),
    "utf16": (
        "text,label\n" + "".join(f"t{n},{'ab'[n % 2]}\n" for n in range(30))
    ).encode("utf-16"),
    "long_cell": b"text,label\n"
    + b"w " * 5_000_000
    + b",a\n"
    + b"".join(b"t%d,%s\n" % (n, (b"a", b"b")[n % 2]) for n in range(30)),
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


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_said_before_training_too(stc: Stc, tmp_path: Path, kind: str):
    content, options = BAD[kind]
    (tmp_path / "bad.csv").write_bytes(content)
    said = stc("data", "check", tmp_path / "bad.csv", *options)
    assert said.code == 2 and "Traceback" not in said.out + said.err
    assert "error:" in said.out.lower() or said.err.count("Error: ") == 1


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize("kind", ODD)
def test_odd_input_is_taken_as_it_is(stc: Stc, tmp_path: Path, kind: str):
    (tmp_path / "odd.csv").write_bytes(ODD[kind])
    said = stc("train", tmp_path / "odd.csv", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert stc("data", "check", tmp_path / "odd.csv").code == 0


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
    assert app.BUG in error.value.__notes__
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
        "import sys; from stc_core.cli import app; from stc_core.runs import run\n"
        "def broken(): raise KeyError('x')\n"
        "run.list_runs = broken\n"
        "sys.argv = ['stc', 'runs']\n"
        "app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and done.stderr.rstrip().endswith(app.BUG)


def test_the_module_is_the_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "stc_core", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and "`stc runs`" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_what_only_shows_runs_loads_no_torch(run_folder: Path):
    """It takes longer than all else that these commands do."""
    code = (
        "import sys; from stc_core.cli import app\n"
        f"for words in (['runs'], ['report', {str(run_folder)!r}], ['cache']):\n"
        "    sys.argv = ['stc', *words]\n"
        "    try: app.main()\n"
        "    except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_it_says_its_version(stc: Stc):
    assert stc("--version").out.strip() == version("stc-studio")


def test_work_takes_only_a_queued_run(stc: Stc, tmp_path: Path):
    config = RunConfig(data=DataConfig(path="x"))
    RunWriter(tmp_path / "run", config).finish()
    said = stc("work", tmp_path / "run")
    assert said.code == 2 and "queued" in said.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, tmp_path: Path):
    """The script calls the command again, which then offers names and options."""

    def ask(instruction: str, **more: str) -> str:
        code = (
            "import sys; sys.argv = ['stc']; from stc_core.cli import app; app.main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "_STC_COMPLETE": f"{instruction}_{shell}", **more},
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"_STC_COMPLETE=complete_{shell}" in ask("source")
    for typed, offered in (("stc va", "variability"), ("stc models rem", "remove")):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        words |= {
            "_TYPER_COMPLETE_ARGS": typed,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        assert offered in ask("complete", **words)
