"""The main job as a user does it: a CSV, the command, and what can be done with it.

Nothing stands in here: the embedded backbone, few texts, two layers.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.command import Stc
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.corpus import inspect_corpus, read_corpus
from stc_core.data.table import read_table
from stc_core.data.uploads import keep_upload, write_choice
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from ui.cache.tables import choice, corpus_of
from ui.data.findings import with_mend

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "customer_messages.csv"
SMALL = ["--kind", "resid", "--pooling", "mean", "--max-layer", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def table(home: Path) -> Path:
    """120 messages of four topics, and the first of them again."""
    frame = read_table(SAMPLE)
    chosen = sorted(set(frame["topic"]))[:4]
    part = frame[frame["topic"].isin(chosen)].groupby("topic").head(30)
    part = pd.concat([part, part.head(1)])
    part.to_csv(home / "messages.csv", index=False)
    return home / "messages.csv"


def process(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stc_core", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "STC_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(home: Path, table: Path) -> Path:
    out = home / "run"
    said = process(
        home,
        *("train", table, "--text", "text", "--label", "topic", "--out", out),
        *("--repair", "leave-out:repeats", *SMALL),
    )
    assert said.returncode == 0, said.stderr
    assert "Traceback" not in said.stderr and "Warning" not in said.stderr
    assert "this classifier" in said.stdout
    return out


def test_repairs_are_done_alike_by_command_and_app(
    trained: Path, table: Path, monkeypatch
):
    monkeypatch.setenv("STC_HOME", str(table.parent))
    with table.open("rb") as stream:
        upload = keep_upload("messages.csv", stream)
    chosen = choice(upload.key).changed(labels=("topic",))
    report = inspect_corpus(chosen).report
    (mend,) = (one.mends[0] for one in report.findings if one.kind == "duplicate")
    write_choice(upload.key, with_mend(chosen, mend))
    in_app = corpus_of(choice(upload.key))
    run = Run.open(trained)
    assert run.config.data.repairs == choice(upload.key).repairs
    (done,) = run.report.repairs
    assert done.count == 1 and run.report.n_rows == 121
    assert run.corpus["row"].tolist() == in_app.frame["row"].tolist()
    assert run.corpus["text"].tolist() == list(in_app.texts)
    again = read_corpus(run.config.data)  # what resume reads
    assert again.frame["row"].tolist() == run.corpus["row"].tolist()
    assert again.frame["split"].tolist() == run.corpus["split"].tolist()


def test_the_run_holds_what_was_promised(trained: Path):
    run = Run.open(trained)
    metrics = run.metrics
    assert run.done
    n_test = metrics["test"]["n"]
    assert 0.3 < metrics["test"]["accuracy"] <= 1 and n_test > 10
    assert 0 < metrics["neurons"]["selected"] <= metrics["neurons"]["total"]
    assert metrics["layers"]["used"] <= 2 and metrics["layers"]["total"] == 6
    assert {"extract", "probe", "select", "head", "total"} <= metrics["seconds"].keys()
    for name in ("majority", "tfidf", "last_layer", "best_site", "all_sites"):
        low, high = metrics["baselines"][name]["accuracy_interval"]
        assert low <= metrics["baselines"][name]["accuracy"] <= high

    n, n_neurons = len(run.corpus), metrics["neurons"]["selected"]
    assert run.activations.shape == (n, n_neurons) and len(run.neurons) == n_neurons
    assert len(run.predictions) == n == run.report.n_used
    shares = run.predictions[[f"p:{name}" for name in metrics["classes"]]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    test = run.predictions["split"].to_numpy() == "test"
    right = run.predictions["correct"].to_numpy()[test].mean()
    assert right == pytest.approx(metrics["test"]["accuracy"])
    assert {"accuracy", "macro_f1", "nonzeros", "gap", "C"} <= set(run.probes.columns)
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_predict_labels_as_the_run_did(
    home: Path, table: Path, trained: Path, stc: Stc
):
    out = home / "labelled.parquet"
    said = stc("predict", trained, table, "--out", out)
    assert said.code == 0, said.err
    labelled, run = pd.read_parquet(out).iloc[:-1], Run.open(trained)
    assert labelled["text"].tolist() == run.corpus["text"].tolist()
    final = (run.predictions["split"] == "test").to_numpy()
    agree = labelled["predicted_label"].to_numpy() == run.predictions["predicted"]
    assert np.mean(agree[final]) > 0.98
    for name in run.metrics["classes"]:
        mine, theirs = labelled[f"p:{name}"], run.predictions[f"p:{name}"]
        np.testing.assert_allclose(mine[final], theirs[final], atol=0.02)


def test_explain_adds_up(trained: Path, stc: Stc):
    said = stc("explain", trained, "--text", "where is my parcel?", "--json")
    assert said.code == 0, said.err
    why = json.loads(said.out)
    for label, logit in why["logits"].items():
        for parts in (why["neurons"], why["tokens"]):
            total = why["bias"][label] + sum(p["contribution"][label] for p in parts)
            assert total == pytest.approx(logit, abs=1e-3)
    assert max(why["probabilities"], key=why["probabilities"].get) == why["label"]
    said = stc("explain", trained, "--text", "where is my parcel?")
    assert said.out.startswith(why["label"]) and "logit" in said.out
    said = stc("explain", trained, "--text", " ")
    assert said.code == 2 and "Traceback" not in said.err


def test_the_same_seed_gives_the_same_numbers(home: Path, trained: Path, monkeypatch):
    """In a worker process this time, and from features that are already there."""
    first = Run.open(trained)
    folder = home / "again"
    monkeypatch.setenv("STC_HOME", str(home))
    jobs.start(first.config.model_copy(update={"created": ""}), folder)
    second = Run.open(folder)
    end = time.monotonic() + 240
    while second.status["state"] in jobs.BUSY:
        assert time.monotonic() < end, second.log_tail()
        time.sleep(0.2)
    assert second.done, second.log_tail()
    for name in ("neurons", "predictions", "curves"):
        pd.testing.assert_frame_equal(
            getattr(first, name), getattr(second, name), check_exact=True
        )
    assert first.metrics["test"] == second.metrics["test"]
    # One store of the learned rows, one of the test rows: the second run read nothing.
    assert len(list((home / "cached_features").glob("*/journal.json"))) == 2


def test_a_real_worker_is_cancelled_at_work(home: Path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(home / "other"))
    config = RunConfig(
        data=DataConfig(path=str(SAMPLE), text="text", labels=("topic",)),
        train=TrainConfig(device="cpu"),
    )
    run = Run.open(jobs.start(config))
    end = time.monotonic() + 120
    while run.status["phase"] in ("read", "load"):
        assert time.monotonic() < end, run.log_tail()
        assert run.status["state"] in jobs.BUSY, run.log_tail()
        time.sleep(0.1)
    worker = run.worker()
    assert worker is not None and jobs.cancel(run.folder)
    assert worker.process() is None
    assert run.status["state"] == "cancelled" and not run.has("metrics.json")
