"""The frames of a run: what was written is read again, with the columns told."""

from pathlib import Path

import numpy as np
import pytest

from helpers.probe_rows import guesses_of
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.runs.layout import FRAME_COLUMNS, RunFile
from stc_core.runs.run import Run
from stc_core.runs.run_frames import epoch_frame, variability_frame
from stc_core.runs.writer import RunWriter


def test_guesses_are_read_as_they_were_written(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "r", RunConfig(data=DataConfig(path="a.csv")))
    guesses = guesses_of({0: 0.6, 1: 0.8})
    with pytest.raises(StcError):
        _ = Run(writer.folder).guesses
    writer.write_guesses(guesses)
    found = Run(writer.folder).guesses
    np.testing.assert_array_equal(found.label, guesses.label)
    np.testing.assert_array_equal(found.predicted, guesses.predicted)
    assert found.predicted.dtype == np.uint8
    # 4 probes x 300 rows of two classes, and the labels: a bit each, and some room.
    assert (writer.folder / RunFile.GUESSES).stat().st_size < 2000


def test_some_probes_can_be_kept() -> None:
    guesses = guesses_of({0: 0.6, 1: 0.8})
    some = guesses.only(np.array([False, True, True, False]))
    np.testing.assert_array_equal(some.predicted, guesses.predicted[1:3])
    assert some.label is guesses.label


def told(name: str, run: Run) -> list[str]:
    """The columns that `FRAME_COLUMNS` tells of, with the names of this run."""
    named = {
        "CLASS": run.metrics["classes"],
        "BASELINE": ["stc", *run.metrics["baselines"]],
    }
    columns: list[str] = []
    for column in FRAME_COLUMNS[name]:
        word = column.rpartition(":")[2]
        columns += [column.replace(word, one) for one in named.get(word, [word])]
    return columns


def test_each_frame_has_the_columns_that_are_told(run_folder: Path):
    run = Run.open(run_folder)
    frames = run.frames
    # Nothing was tuned, and nobody has asked what the model uses.
    assert set(FRAME_COLUMNS) - set(frames) == {"epochs", "neuron_usage"}
    for name, frame in frames.items():
        assert sorted(frame.columns) == sorted(told(name, run)), name
        assert len(frame), name


def test_a_tuned_run_has_epochs_and_no_frontier(tuned_folder: Path):
    run = Run.open(tuned_folder)
    assert {"epochs", "layer_variability"} <= set(run.frames)
    assert "frontier" not in run.frames
    epochs = run.epochs
    assert list(epochs.columns) == list(FRAME_COLUMNS["epochs"])
    assert epochs["epoch"].tolist() == [0, 1, 2]


def test_a_run_whose_sparse_half_was_replaced_says_which_recipe_keeps_it(
    tuned_folder: Path,
):
    """To train it again would change nothing."""
    run = Run.open(tuned_folder)
    told = (
        r"no probe_weights\.safetensors.*recipe variability.*no weights of its probes"
    )
    with pytest.raises(StcError, match=told) as error:
        run.probe_directions(device="cpu")
    assert error.value.remedy == "Train with the recipe stc."
    with pytest.raises(StcError, match=r"no frontier\.parquet.*the recipe stc"):
        _ = run.frontier


def test_scores_and_baselines_agree_with_the_metrics(run_folder: Path):
    run = Run.open(run_folder)
    scores = run.scores.set_index("name")
    assert scores.loc["ours", "accuracy"] == run.metrics["test"]["accuracy"]
    answers = run.baselines
    for name in run.metrics["baselines"]:
        right = np.mean(answers[name].to_numpy() == answers["label"].to_numpy())
        assert right == pytest.approx(scores.loc[name, "accuracy"]), name
    test = run.predictions.query("split == 'test'").reset_index(drop=True)
    assert answers["stc"].tolist() == test["predicted"].tolist()
    assert answers["row"].tolist() == test["row"].tolist()


def test_a_frame_of_json_is_that_json(run_folder: Path):
    run = Run.open(run_folder)
    assert run.layer_variability["nu"].tolist() == run.variability["nu"]
    assert run.layer_variability.query("best")["layer"].tolist() == [
        run.variability["best_layer"]
    ]
    curve = run.learning_curve
    assert curve.loc[curve["measured"], "accuracy"].tolist() == run.learning["scores"]
    assert np.all(curve["low"].to_numpy() <= curve["accuracy"].to_numpy())
    stable = run.neuron_stability
    assert stable["frequency"].tolist() == run.stability["frequency"]
    assert len(stable) == len(run.neurons)


def test_what_was_not_measured_is_no_number():
    frame = variability_frame({"nu": [None, 0.5], "best_layer": 1}, ["a", "b"])
    assert frame["nu"].isna().tolist() == [True, False]
    epoch = {"epoch": 0.0, "loss": None, "accuracy": 1.0, "macro_f1": None}
    found = epoch_frame({"epochs": [{**epoch, "seconds": 1.0, "goal_score": None}]})
    assert found.loc[0].isna().sum() == 3


def test_directions_of_a_run_give_its_logits(run_folder: Path):
    run = Run.open(run_folder)
    classifier, texts = run.classifier(device="cpu"), run.corpus["text"].tolist()[:9]
    found = run.directions(device="cpu")
    backbone = classifier.backbone_
    sites = [part.pooled_site for part in found.parts]
    ids = backbone.tokenize(texts).ids
    pooled = {k: v.numpy() for k, v in backbone.pooled(ids, sites).items()}
    expected = classifier.head_.without_range().logits(classifier.features(texts))
    np.testing.assert_allclose(found.logits(pooled), expected, atol=1e-4)


def test_probe_directions_of_a_run_give_the_answers_that_it_kept(run_folder: Path):
    """Of the best probe of each site for the validation rows; a tie may fall apart."""
    run = Run.open(run_folder)
    best = run.probes.reset_index().query("best and layer == 3 and kind == 'resid'")
    found = run.probe_directions(device="cpu")
    backbone = run.classifier(device="cpu").backbone_
    held = run.corpus.query("split == 'validation'")
    ids = backbone.tokenize(held["text"].tolist()).ids
    assert len(best) == 3
    for place, site, pooling in best[["index", "site", "pooling"]].itertuples(
        index=False
    ):
        (one,) = [key for key in found if str(key) == f"{site}.{pooling}"]
        logits = found[one].logits({one: backbone.pooled(ids, [one])[one].numpy()})
        kept = run.guesses.predicted[place]
        assert (logits.argmax(axis=1) == kept).mean() > 0.95, one


def test_a_notebook_shows_the_scores(run_folder: Path, tmp_path: Path):
    shown = Run.open(run_folder)._repr_html_()
    assert "messages by topic" in shown and "<table" in shown
    run = Run.open(run_folder)
    assert all(title in shown for title in run.scores["title"])
    assert str(round(run.metrics["test"]["macro_f1"], 3)) in shown
    config = RunConfig(name="<b>", data=DataConfig(path="a.csv"))
    RunWriter(tmp_path / "r", config)
    shown = Run.open(tmp_path / "r")._repr_html_()
    assert "&lt;b&gt;" in shown and "<table" not in shown
