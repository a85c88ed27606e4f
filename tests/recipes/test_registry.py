"""A run of the real backbone on the sample: every file, and that they agree."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss

from helpers.runs.small import small, trained
from stc_core.analysis.row_explanation import explain_row
from stc_core.classifiers.persistence import load_words
from stc_core.config import SPIN_CS, TrainConfig
from stc_core.data.corpus import read_corpus
from stc_core.errors import StcError
from stc_core.recipes.planning import plan as planning
from stc_core.recipes.results import estimator
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.types import Feature, Site

BASELINES = ("majority", "tfidf", "last_layer", "best_site", "all_sites")


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return Run.open(run_folder)


def test_every_file_is_there(run):
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {
        *("config.json", "status.json", "log.txt", "report.json", "metrics.json"),
        *("corpus.parquet", "probes.parquet", "neurons.parquet", "curves.parquet"),
        *("predictions.parquet", "activations.npy", "model"),
        *("fold_heads.safetensors", "learning_curve.json"),
    }
    assert run.done and run.report.n_rows == 240
    for phase in ("read", "load", "extract", "probe", "select", "head", "report"):
        assert f"  {phase}" in run.log_tail(100)


def test_every_metric_is_there(run):
    metrics = run.metrics
    expected = {
        "test": "accuracy accuracy_interval macro_f1 macro_f1_interval n ece log_loss "
        "levels",
        "validation": "accuracy macro_f1 n",
        "neurons": "selected total unique",
        "layers": "used total",
        "seconds": "extract probe select head baselines total",
        "baselines": " ".join(BASELINES),
        "missing": "",
        "chosen": "ridge folds temperature",
        "cost": "parameters parameters_total flops_per_token flops_per_token_total",
        "backbone": "name identity family n_layers layer_names max_length device dtype "
        "notes",
        "tokens": "n cut",
    }
    for part, names in expected.items():
        assert metrics[part].keys() >= set(names.split()), part
    assert metrics["classes"] == sorted(set(run.corpus["label"]))
    for name in BASELINES:
        row = metrics["baselines"][name]
        for metric in ("accuracy", "macro_f1"):
            low, high = row[f"{metric}_interval"]
            assert low <= row[metric] <= high
        assert row["detail"]
    assert metrics["cost"]["parameters"] <= metrics["cost"]["parameters_total"]
    seconds = dict(metrics["seconds"])
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()), abs=0.1)
    text = (run.folder / "metrics.json").read_text()
    assert json.loads(text) == metrics


def test_scores_are_those_of_the_predictions(run):
    frame, metrics = run.predictions, run.metrics
    assert (frame["split"] == "test").sum() == metrics["test"]["n"]
    learned = frame[frame["split"] != "test"]  # cross-fitted: each row is held once
    assert len(learned) == metrics["validation"]["n"]
    assert metrics["validation"]["accuracy"] == pytest.approx(learned["correct"].mean())
    test = frame[frame["split"] == "test"]
    right = test["label"] == test["predicted"]
    scores = metrics["test"]
    assert scores["accuracy"] == pytest.approx(right.mean())
    assert (test["correct"] == right).all()
    f1 = f1_score(test["label"], test["predicted"], average="macro")
    assert scores["macro_f1"] == pytest.approx(f1)
    P = test[[f"p:{name}" for name in metrics["classes"]]].to_numpy(float)
    P = P / P.sum(axis=1, keepdims=True)  # they were stored as float32
    loss = log_loss(test["label"], P, labels=metrics["classes"])
    assert scores["log_loss"] == pytest.approx(loss, abs=1e-4)
    assert [level["column"] for level in scores["levels"]] == ["topic"]
    assert scores["levels"][0]["accuracy"] == scores["accuracy"]


def test_predictions_are_the_most_probable_class(run):
    frame, classes = run.predictions, run.metrics["classes"]
    P = frame[[f"p:{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(np.array(classes)[P.argmax(1)], frame["predicted"])
    np.testing.assert_allclose(P.max(axis=1), frame["probability"], atol=1e-6)
    assert frame["row"].tolist() == list(range(len(run.corpus)))
    pd.testing.assert_series_equal(frame["label"], run.corpus["label"])
    pd.testing.assert_series_equal(frame["split"], run.corpus["split"])


def test_it_beats_guessing(run):
    metrics = run.metrics
    low, _ = metrics["test"]["accuracy_interval"]
    assert low > metrics["baselines"]["majority"]["accuracy"]


def fitted_rows(run: Run) -> np.ndarray:
    """True where the predictions are the final head's: not where it was fitted."""
    return (run.predictions["split"] == "test").to_numpy()


def test_neurons_times_activations_are_the_predictions(run):
    neurons, classes = run.neurons, run.metrics["classes"]
    weight = neurons[[f"weight:{name}" for name in classes]].to_numpy()
    mean, sd = neurons["mean"].to_numpy(), neurons["sd"].to_numpy()
    assert run.activations.shape == (len(run.corpus), len(neurons))
    low, high = neurons["low"].to_numpy(), neurons["high"].to_numpy()
    shares = (np.clip(run.activations, low, high) - mean) / sd @ weight
    if (words := load_words(run.folder / "model")) is not None:
        shares = shares + words.logits(run.corpus["text"].tolist())
    P = run.predictions[[f"p:{name}" for name in classes]].to_numpy(float)
    bias = np.log(P) - shares  # the bias, but for a constant of each row
    bias -= bias.mean(axis=1, keepdims=True)
    spread = bias - bias[fitted_rows(run)].mean(axis=0)
    sure = (P.min(axis=1) > 1e-6) & fitted_rows(run)
    np.testing.assert_allclose(spread[sure], 0, atol=1e-3)
    np.testing.assert_allclose(neurons["importance"], (weight**2).sum(1), rtol=1e-4)
    assert neurons["neuron"].tolist() == list(range(len(neurons)))


def test_the_saved_classifier_says_the_same_of_the_same_texts(run):
    """But for the rounding of the stored features."""
    model = run.classifier(device="cpu")
    part = run.predictions.iloc[::4]
    texts = run.corpus["text"].iloc[::4].tolist()
    stored = part[[f"p:{name}" for name in model.classes_]].to_numpy()
    same = (part["split"] == "test").to_numpy()  # others: by heads without them
    said = model.predict_proba(texts)
    np.testing.assert_allclose(said[same], stored[same], atol=0.03)
    features = model.features(texts)
    held = run.activations[::4]
    np.testing.assert_allclose(features, held, atol=0.02, rtol=0.01)
    sites = run.neurons[["layer", "kind", "pooling", "index"]].itertuples(index=False)
    told = [Feature(Site(one[0], one[1]), one[2], one[3]) for one in sites]
    assert tuple(told) == model.head_.features


def test_facts_agree_with_the_tables(run):
    metrics, neurons, probes = run.metrics, run.neurons, run.probes
    assert metrics["neurons"]["selected"] == len(neurons)
    assert metrics["neurons"]["unique"] == len(
        neurons[["site", "index"]].value_counts()
    )
    assert metrics["layers"] == {"used": neurons["layer"].max(), "total": 6}
    best = probes[probes["best"]]
    groups = probes.groupby(["site", "pooling"])
    assert len(best) == groups.ngroups
    top = groups["accuracy"].transform("max")[best.index]
    np.testing.assert_array_equal(best["accuracy"], top)
    assert set(probes["site"]) == {
        *(f"resid.{layer}" for layer in range(7)),
        *(f"mlp.{layer}" for layer in range(1, 7)),
    }
    curves = run.curves
    chosen = curves[curves["chosen"]].set_index("curve")
    assert chosen.loc["neurons", "neurons"] == len(neurons)
    assert chosen.loc["depth", "layer"] == neurons["layer"].max()
    assert curves["flops_share"].between(0, 1).all()


def test_test_labels_decide_nothing(messages, tmp_path):
    """With other labels in test the same neurons and weights come out."""
    frame = pd.read_csv(messages, dtype=str).head(120)
    frame["split"] = np.resize(["train", "train", "validation", "test"], len(frame))
    found = []
    for name in ("one", "two"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        config = small(tmp_path / f"{name}.csv")
        data = config.data.model_copy(update={"split": "split"})
        config = config.model_copy(update={"data": data})
        found.append(trained(config, tmp_path / name))
        test = frame["split"] == "test"
        turned = {"negative": "neutral", "neutral": "positive", "positive": "negative"}
        frame.loc[test, "sentiment"] = frame.loc[test, "sentiment"].map(turned)
    one, two = found
    pd.testing.assert_frame_equal(one.neurons, two.neurons)
    pd.testing.assert_frame_equal(one.curves, two.curves)
    pd.testing.assert_frame_equal(one.probes, two.probes)
    same = ["predicted", "probability", "split"]
    pd.testing.assert_frame_equal(one.predictions[same], two.predictions[same])
    before, after = (found.metrics["test"]["accuracy"] for found in (one, two))
    assert before != after


def test_the_settings_are_kept_to(messages, tmp_path):
    settings = {"budget": 5, "eta": 0.6, "max_layer": 1, "class_weight": "balanced"}
    run = trained(small(messages, **settings), tmp_path / "run")
    assert run.metrics["neurons"]["selected"] == len(run.neurons) == 5
    assert run.metrics["chosen"]["eta"] == 0.6
    assert run.metrics["layers"]["used"] <= 1 and set(run.probes["layer"]) == {0, 1}
    assert set(run.probes["kind"]) == {"resid"}
    assert set(run.probes["pooling"]) == {"mean"}
    assert run.metrics["neurons"]["total"] == 2 * 384


def test_two_levels_of_labels_are_scored_apart(messages, tmp_path):
    """The finest is trained; its parent is what it says of the coarser."""
    run = trained(small(messages, ("topic", "subtopic")), tmp_path / "run")
    coarse, fine = run.metrics["test"]["levels"]
    assert (coarse["column"], fine["column"]) == ("topic", "subtopic")
    assert coarse["accuracy"] >= fine["accuracy"] == run.metrics["test"]["accuracy"]
    corpus, guess = run.corpus, run.predictions["predicted"]
    parent = {
        str(fine): part["label_1"].mode()[0] for fine, part in corpus.groupby("label")
    }
    test = corpus["split"] == "test"
    said = np.array([parent[fine] for fine in guess[test]])
    right = said == corpus.loc[test, "label_1"].to_numpy(str)
    assert coarse["accuracy"] == pytest.approx(right.mean())


def test_the_paper_s_preset_leaves_the_same_run(messages, tmp_path):
    config = small(messages, preset="spin", poolings=None, max_layer=0)
    run = trained(config, tmp_path / "run")
    assert set(run.probes["pooling"]) == {"max", "mean"}
    assert set(run.probes["C"]) <= set(SPIN_CS)
    assert set(run.control["C"]) <= set(SPIN_CS)
    assert run.metrics["chosen"]["C"] in SPIN_CS
    assert len(run.neurons[["kind", "pooling"]].value_counts()) == 1
    assert len(run.neurons) == run.metrics["neurons"]["selected"]
    assert np.any(run.curves["chosen"])


def test_the_paper_s_preset_keeps_to_a_given_eta(messages, tmp_path):
    config = small(messages, preset="spin", eta=0.3, max_layer=1)
    run = trained(config, tmp_path / "run")
    assert run.metrics["chosen"]["eta"] == 0.3
    few = run.curves[run.curves["curve"] == "neurons"]
    assert len(few) == 1  # no other eta was tried


def test_a_budget_is_refused_where_it_would_be_ignored(messages, tmp_path):
    config = small(messages, preset="spin", budget=50)
    with pytest.raises(StcError, match="budget: expected none with the preset spin"):
        trained(config, tmp_path / "run")
    with pytest.raises(StcError, match="budget"):
        planning.plan(config, read_corpus(config.data))


def test_a_missing_label_column_is_said_before_the_work(messages, tmp_path):
    config = small(messages, labels=("sentimnt",))
    with pytest.raises(StcError, match="sentimnt") as caught:
        trained(config, tmp_path / "run")
    assert "sentiment" in str(caught.value)  # the closest there is
    assert Run(tmp_path / "run").status["phase"] == "read"


def test_rows_for_validation_must_be_left(messages, tmp_path):
    """The labels of the validation rows are not in train, so none can be used."""
    frame = pd.read_csv(messages, dtype=str).head(60)
    frame["split"] = np.resize(["train", "train", "validation", "test"], len(frame))
    frame.loc[frame["split"] == "validation", "topic"] = "unheard of"
    frame.to_csv(tmp_path / "table.csv", index=False)
    config = small(tmp_path / "table.csv", labels=("topic",))
    data = config.data.model_copy(update={"split": "split"})
    with pytest.raises(StcError, match="No usable row is left in validation"):
        trained(config.model_copy(update={"data": data}), tmp_path / "run")


def test_what_a_user_can_mend_is_left_in_the_run(messages, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(StcError, match="max_layer: expected 0 to 6"):
        trained(small(messages, max_layer=9), folder)
    status = Run(folder).status
    assert status["state"] == "failed" and "max_layer" in str(status["error"])


def test_more_neurons_than_there_are_are_told_of(messages, tmp_path):
    run = trained(small(messages, max_layer=0, budget=10_000), tmp_path / "run")
    kept = run.metrics["neurons"]["selected"]
    assert kept <= 384
    assert (
        f"10,000 neurons were asked for; only {kept} could be ranked" in run.log_tail()
    )


def test_every_setting_reaches_the_classifier():
    settings = TrainConfig(budget=7, eta=0.5, seed=3, class_weight="balanced")
    made = estimator(settings).get_params()
    shared = made.keys() & settings.model_dump().keys()
    assert {name: made[name] for name in shared} == settings.model_dump(include=shared)
    assert made.keys() - shared == set()


@pytest.fixture
def large(monkeypatch):
    """A corpus of 240 rows counts as large: neurons are chosen on 60 training rows."""
    for name, value in {"LARGE": 100, "FIRST": 60, "MOST_TEST": 20}.items():
        monkeypatch.setattr(f"stc_core.selection.sample.{name}", value)
    monkeypatch.setattr(
        "stc_core.selection.sample.gain_of_doubling", lambda *_: (0.0, 0.1)
    )
    monkeypatch.setattr("stc_core.activations.row_file._MOST_ROWS", 32)
    monkeypatch.setattr("stc_core.selection.folds.MOST_CROSS_FITTED", 0)


def test_a_large_corpus_leaves_the_same_run(messages, tmp_path, large):
    run = trained(small(messages), tmp_path / "run")
    test_metrics = run.metrics["test"]
    test = run.predictions[run.predictions["split"] == "test"]
    assert test_metrics["accuracy"] == pytest.approx(test["correct"].mean())
    assert test_metrics["n"] == len(test) > 20
    test_predictions_are_the_most_probable_class(run)
    test_neurons_times_activations_are_the_predictions(run)
    assert "Neurons are chosen on 60 of" in run.log_tail(100)
    assert len(run.predictions) == len(run.activations) == len(run.corpus) == 240
    model = run.classifier(device="cpu")
    texts = run.corpus["text"].iloc[::4].tolist()
    held = run.activations[::4]
    np.testing.assert_allclose(model.features(texts), held, atol=0.02, rtol=0.01)
    for found in run.metrics["baselines"].values():
        assert found["detail"].endswith("on a sample: 96 rows, scored on 20")
    assert set(run.curves["n"]) == set(run.probes["n"]) == {36}
    the_head_of_the_training_rows_judges_validation(run, model)
    assert not run.has(RunFile.LEARNING)


def the_head_of_the_training_rows_judges_validation(run, model):
    """Prediction and explanation of a validation row are those of that one head."""
    table = run.predictions
    assert set(table.loc[table["split"] == "validation", "fold"]) == {0}
    assert set(table.loc[table["split"] != "validation", "fold"]) == {-1}
    (judge,) = run.fold_heads
    assert judge.features == model.head_.features
    for row in table.query("split == 'validation'")["row"].iloc[:3]:
        told = explain_row(run, int(row), classifier=model)
        assert told["label"] == table["predicted"][row] and told["fold"] == 0
        assert told["probabilities"][told["label"]] == pytest.approx(
            table["probability"][row], abs=5e-3
        )


def test_sampled_whole_or_not_at_all_the_run_is_the_same(
    messages, tmp_path, large, monkeypatch
):
    """The sample is all rows: the head from sums is the one fitted in memory."""
    monkeypatch.setattr("stc_core.selection.sample.FIRST", 1000)
    monkeypatch.setattr("stc_core.selection.sample.MOST_TEST", 1000)
    sampled = trained(small(messages, store_dtype="float32"), tmp_path / "one")
    monkeypatch.setattr("stc_core.selection.sample.LARGE", 1000)
    whole = trained(small(messages, store_dtype="float32"), tmp_path / "two")
    order = ["site", "pooling", "index"]
    neurons = [run.neurons.set_index(order).sort_index() for run in (sampled, whole)]
    one, two = (frame.filter(like="weight:").to_numpy() for frame in neurons)
    np.testing.assert_array_equal(neurons[0].index, neurons[1].index)
    # The rows of a sample are in another order, and so other ones are in a fold.
    t_one, t_two = (run.metrics["chosen"]["temperature"] for run in (sampled, whole))
    assert t_one == pytest.approx(t_two, rel=0.2)
    np.testing.assert_allclose(one * t_one, two * t_two, atol=2e-3)
    # Held rows are judged with the final neurons there, with those of the fold here.
    logs = [
        np.log(run.predictions.filter(like="p:").to_numpy(float)[fitted_rows(run)])
        for run in (sampled, whole)
    ]
    one, two = (log - log.mean(axis=1, keepdims=True) for log in logs)
    np.testing.assert_allclose(one * t_one, two * t_two, atol=2e-2)


def test_the_paper_s_preset_keeps_its_head_on_a_large_corpus(messages, tmp_path, large):
    run = trained(small(messages, preset="spin", max_layer=1), tmp_path / "run")
    test_predictions_are_the_most_probable_class(run)
    validation = run.predictions[run.predictions["split"] == "validation"]
    right = validation["label"] == validation["predicted"]
    assert run.metrics["validation"]["accuracy"] == pytest.approx(right.mean())
