"""The commands that pack a run and make a run again; a bundle in place of a run."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from helpers.command import Stc
from helpers.runs.serving import serving
from stc_core.export import onnx_folder
from stc_core.export.cut_backbone import KeptBlocks
from stc_core.export.onnx_folder import Int8Loss, OnnxFacts
from stc_core.paths import runs_folder
from stc_core.runs.run import Run

TEXT = "the courier lost my parcel"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    from stc_core.export.bundle import write_bundle

    path = tmp_path_factory.mktemp("bundle") / "topic.zip"
    write_bundle(Run(run_folder), path)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))


def test_export_says_what_is_in_the_file(
    stc: Stc, run_folder: Path, bundle: Path, tmp_path: Path
):
    path = tmp_path / "mine.zip"
    said = stc("export", run_folder, path)
    assert said.code == 0 and said.out == ""
    assert "mine.zip: " in said.err and "of 6 layers" in said.err
    assert hashlib.sha256(path.read_bytes()).hexdigest() in said.err
    assert path.read_bytes() == bundle.read_bytes()
    with_texts = stc("export", run_folder, tmp_path / "texts.zip", "--texts")
    assert with_texts.code == 0
    assert (tmp_path / "texts.zip").stat().st_size > path.stat().st_size


def test_a_bundle_answers_like_its_run(
    stc: Stc, run_folder: Path, bundle: Path, messages: Path, tmp_path: Path
):
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    assert stc("predict", run_folder, messages, "--out", ours).code == 0
    assert stc("predict", bundle, messages, "--out", theirs).code == 0
    assert theirs.read_bytes() == ours.read_bytes()
    question = ("--text", TEXT, "--json")
    assert stc("explain", bundle, *question) == stc("explain", run_folder, *question)
    assert stc("report", bundle).out == stc("report", run_folder).out


def test_a_bundle_is_served_under_the_name_of_its_run(bundle: Path, run_folder: Path):
    with serving(bundle) as (address, _):
        body = json.dumps({"texts": [TEXT]}).encode()
        request = Request(
            f"{address}/v1/models/{run_folder.name}/predict",
            body,
            {"content-type": "application/json"},
        )
        with urlopen(request) as answer:
            (prediction,) = json.load(answer)["predictions"]
    expected = Run(run_folder).classifier(device="cpu").predict_proba([TEXT])[0]
    assert list(prediction["probabilities"].values()) == expected.tolist()


def test_import_makes_a_run(stc: Stc, run_folder: Path, bundle: Path):
    said = stc("import", bundle)
    assert said.code == 0 and str(runs_folder() / run_folder.name) in said.err
    (line,) = json.loads(stc("runs", "--json").out)
    assert (line["run"], line["state"]) == (run_folder.name, "done")


@pytest.mark.parametrize("command", ["import", "explain", "report", "predict", "serve"])
def test_a_bad_bundle_is_said_in_a_sentence(
    command: str, stc: Stc, bundle: Path, messages: Path, tmp_path: Path
):
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bad = tmp_path / "bad.zip"
    bad.write_bytes(data)
    more = {
        "explain": ["--text", TEXT],
        "predict": [messages, "--out", tmp_path / "x.csv"],
        "serve": ["--port", "0"],
    }
    said = stc(command, bad, *more.get(command, []))
    assert said.code == 2 and said.out == ""
    assert said.err.startswith(f"Error: bundle '{bad}': expected the files")
    assert said.err.count("\n") == 1
    assert not runs_folder().exists() or not [*runs_folder().iterdir()]


def test_import_and_report_do_not_load_torch(bundle: Path, tmp_path: Path):
    code = (
        "import sys; sys.argv = ['stc', 'import', sys.argv[1]]\n"
        "from stc_core.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, bundle], check=True)


def test_a_graph_is_written_and_its_distance_said(
    stc: Stc, run_folder: Path, tmp_path: Path, monkeypatch
):
    asked: list[Any] = []

    def write(run: Run, folder: str, *, int8: bool) -> OnnxFacts:
        asked.append((run.folder, folder, int8))
        loss = Int8Loss(48, 0.975, 0.75, 0.77, 0.1) if int8 else None
        return OnnxFacts(23_700_000, 24, 1.2e-6, loss, KeptBlocks(4, 6, ""))

    monkeypatch.setattr(onnx_folder, "write_onnx", write)
    said = stc("export", run_folder, "--onnx", tmp_path / "onnx", "--int8")
    assert said.code == 0
    assert asked == [(run_folder, str(tmp_path / "onnx"), True)]
    assert "23.7 MB, 4 of 6 layers" in said.err
    assert "differ from torch by 1e-06 at most (24 texts)" in said.err
    assert "97.5 % of 48 labels are the same" in said.err
    assert "test accuracy 75.0 % instead of 77.0 %" in said.err
    told = json.loads(
        stc("export", run_folder, "--onnx", tmp_path / "onnx", "--int8", "--json").out
    )
    assert told["bundle"] is None
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
    row = page.partition("null without `--onnx`; otherwise ")[2].partition("\n")[0]
    assert set(re.findall(r"`(\w+)`", row)) == told["onnx"].keys()
    assert told["onnx"]["int8"]["same"] == 0.975
    assert told["onnx"]["kept"]["blocks"] == 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "expected a FILE for a bundle, --onnx FOLDER or --backbone FOLDER"),
        (("--onnx", "x", "--texts"), "option --texts: expected a FILE"),
        (("x.zip", "--int8"), "option --int8: expected --onnx FOLDER"),
    ],
)
def test_options_that_do_not_fit_are_said(
    options: tuple[str, ...], reason: str, stc: Stc, run_folder: Path
):
    said = stc("export", run_folder, *options)
    assert said.code == 2 and reason in said.err
