"""The recipe hierarchy from a table to a run, on tiny models and 2 to 4 levels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.command import Stc
from helpers.metrics import undeclared
from helpers.models.tiny import tiny_backbone
from helpers.runs.hierarchy import trained
from stc_core.analysis.label_tree_tables import path_verdict
from stc_core.errors import StcError
from stc_core.recipe_settings import HierarchyConfig
from stc_core.recipes import registry
from stc_core.recipes.hierarchy import recipe
from stc_core.recipes.hierarchy.class_heads import (
    TuningVerdict,
    compare_on_validation,
)
from stc_core.recipes.hierarchy.frozen_heads import CombinedLevels
from stc_core.recipes.hierarchy.layer_probes import (
    LevelProbe,
    checked_layers,
    layers_of_stack,
    proposed_layers,
)
from stc_core.runs import layout
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("two"), 2)


def test_every_metric_is_there(run: Run):
    assert undeclared(run.metrics) == []
    metrics = run.metrics
    test = metrics["test"]
    assert [set(level) for level in test["levels"]] == [
        {"column", "accuracy", "macro_f1"}
    ] * 2
    assert test["consistency"] == 1
    assert test["accuracy"] == test["levels"][1]["accuracy"] >= test["joint_accuracy"]
    assert test["levels"][0]["accuracy"] >= test["joint_accuracy"]
    for name in ("flat", "separate", "inner_probe"):
        found = metrics["baselines"][name]
        assert 0 <= found["joint_accuracy"] <= min(1, found["accuracy"])
    assert metrics["baselines"]["flat"]["consistency"] == 1
    assert {"stc", "majority", "tfidf"} <= set(metrics["baselines"])
    facts = metrics["hierarchy"]
    assert facts["layers"] == sorted(set(facts["layers"]))
    flops = facts["flops_per_token"]
    assert flops[0] < flops[1] == metrics["cost"]["flops_per_token"]
    (coarse,) = test["coarse"]
    assert (coarse["column"], coarse["layer"]) == ("level 0", facts["layers"][0])
    assert [len(weights) for weights in facts["alphas"]] == [0, 1]
    assert facts["tuned"] == [] and "tune" not in metrics["seconds"]
    assert not (run.folder / "checkpoints").exists()
    assert not any(run.has(name) for name in layout.SPARSE)


def test_predictions_are_those_of_the_saved_classifier(run: Run):
    hierarchical: Any = run.classifier()
    frame: Any = run.predictions
    texts = run.corpus["text"].tolist()
    way = hierarchical.answer(texts)
    # Rows that chose something are answered by heads that have not seen them.
    test = ~frame["held"]
    assert test.tolist() == (frame["split"] == "test").tolist()
    labels = hierarchical.classes_[way.nodes[:, -1]]
    assert frame["predicted"][test].tolist() == labels[test].tolist()
    names = np.array(hierarchical.tree_.labels[0])
    assert frame["predicted_1"][test].tolist() == names[way.nodes[test, 0]].tolist()
    shares = frame[[f"p:{name}" for name in hierarchical.classes_]].to_numpy()
    assert np.allclose(shares[test], way.shares[-1][test], atol=1e-3)
    assert frame["correct"][test].mean() == pytest.approx(
        run.metrics["test"]["accuracy"]
    )
    assert run.activations.shape == (len(texts), len(run.neurons))


def test_coarse_answers_are_those_of_the_metrics(run: Run):
    hierarchical: Any = run.classifier()
    rows = np.flatnonzero(run.predictions["split"] == "test")
    texts = run.corpus["text"].to_numpy()[rows].tolist()
    true = run.corpus["label_1"].to_numpy()[rows]
    (coarse,) = run.metrics["test"]["coarse"]
    alone = hierarchical.up_to(1).predict(texts)
    assert (alone == true).mean() == pytest.approx(coarse["accuracy"])
    summed = hierarchical.answer(texts).shares[0].argmax(axis=1)
    names = np.array(hierarchical.tree_.labels[0])
    assert (names[summed] == true).mean() == pytest.approx(coarse["summed_accuracy"])


def test_with_all_weights_at_zero_it_is_the_sparse_classifier(run: Run):
    """The flat baseline: the finest head is that of the run's first half."""
    baselines = run.metrics["baselines"]
    assert baselines["flat"]["accuracy"] == baselines["stc"]["accuracy"]
    low, high = baselines["flat"]["lead_interval"]
    lead = run.metrics["test"]["accuracy"] - baselines["flat"]["accuracy"]
    assert low <= lead <= high
    assert path_verdict(run.metrics) in (run.folder / "log.txt").read_text()


def test_the_layer_of_each_level_is_told(run: Run):
    levels = run.levels
    assert len(levels) == 2 * 3
    chosen = levels[levels["chosen"]]
    assert chosen["layer"].tolist() == run.metrics["hierarchy"]["layers"]
    assert levels["nu"].notna().tolist() == [True] * 6


@pytest.mark.parametrize(("depth", "family"), [(3, "distilbert"), (3, "llama")])
def test_more_levels_and_other_families(tmp_path: Path, depth: int, family: str):
    wish = HierarchyConfig(layers=(1, 2, 3), weights=(1, 2, 3))
    run = trained(tmp_path, depth, family, hierarchy=wish)
    assert run.metrics["hierarchy"]["layers"] == [1, 2, 3]
    assert len(run.metrics["test"]["levels"]) == depth
    found = run.classifier().explain("good price very slow")
    # All levels of an answer are decided together.
    assert [step["layer"] for step in found["levels"]] == [3, 3, 3]


def level_probes(*scores: list[float]) -> list[list[LevelProbe]]:
    nothing = np.zeros(0, int)
    return [
        [LevelProbe(d, n, None, None, s, s, nothing) for n, s in enumerate(level, 1)]  # pyright: ignore
        for d, level in enumerate(scores)
    ]


def test_the_lowest_layer_that_is_about_as_good_is_proposed():
    flat = [0.0] * 4
    assert proposed_layers(level_probes([0.5, 0.795, 0.8, 0.8], flat), 100) == (2, 4)
    assert proposed_layers(level_probes([0.5, 0.6, 0.7, 0.9], flat), 100) == (3, 4)
    assert proposed_layers(
        level_probes([0.9, 0.9, 0.9, 0.9], [0.9] * 4, flat), 100
    ) == (
        1,
        2,
        4,
    )
    assert proposed_layers(
        level_probes([0.1, 0.1, 0.1, 0.9], [0.9] * 4, flat), 100
    ) == (
        2,
        3,
        4,
    )
    with pytest.raises(StcError, match="at least 3 blocks"):
        proposed_layers(level_probes([0.5], [0.5], [0.5]), 10)


def test_layers_that_cannot_be_are_refused():
    backbone = tiny_backbone("bert")
    assert checked_layers((1, 3), backbone, 2) == (1, 3)
    for wrong in ((1,), (3, 1), (0, 3), (2, 4)):
        with pytest.raises(StcError, match="2 rising layers between 1 and 3"):
            checked_layers(wrong, backbone, 2)
    assert layers_of_stack(tiny_backbone("t5")) == [4, 5, 6]


def test_one_column_of_labels_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(StcError, match="2 to 4 columns"):
        trained(tmp_path, 1)
    assert not Run(tmp_path / "run").has("corpus.parquet")


def test_shared_blocks_are_refused(tmp_path: Path):
    with pytest.raises(StcError, match="one block that runs 3 times"):
        trained(tmp_path, 2, "albert", hierarchy=HierarchyConfig(tuned=True))


def test_as_it_is_typed(run: Run, tmp_path: Path, stc: Stc):
    source, out = run.folder.parent / "2.csv", tmp_path / "out.csv"
    assert stc("predict", run.folder, source, "--out", out, "--coarse-only").code == 0
    frame = pd.read_csv(out)
    assert list(frame)[-6:] == [
        "predicted_level 0",
        "probability_level 0",
        "predicted_label",
        "probability",
        "p:cold",
        "p:warm",
    ]
    assert stc("predict", run.folder, source, "--out", out).code == 0
    again = pd.read_csv(out)
    rows = pd.read_csv(source)
    parent_of = dict(zip(rows["level 1"], rows["level 0"], strict=True))
    fitting = [parent_of[label] for label in again["predicted_label"]]
    assert again["predicted_level 0"].tolist() == fitting
    least = "--least-probability", 1
    assert stc("predict", run.folder, source, "--out", out, *least).code == 0
    unsure = pd.read_csv(out)
    assert set(unsure["predicted_label"]) == {"cold", "warm"}
    assert set(unsure["predicted_level 1"].isna()) == {True}
    code, said, _ = stc("report", run.folder)
    assert code == 0 and "level 0" in said
    assert stc("predict", run.folder, source, "--out", out, "--levels", 3).code == 2


def decided(tuned_is_better: bool):
    """A comparison that always ends in this way."""
    return lambda *arguments: TuningVerdict(0.9, 0.8, 20, tuned_is_better)


TUNED = HierarchyConfig(layers=(1, 3), weights=(1, 2), tuned=True)


@pytest.fixture(scope="module")
def tuned_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose tuned model is kept. Read-only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "compare_on_validation", decided(True))
        return trained(tmp_path_factory.mktemp("tuned"), 2, hierarchy=TUNED)


def test_a_tuned_model_that_is_better_is_kept(tuned_run: Run):
    run = tuned_run
    facts, metrics = run.metrics["hierarchy"], run.metrics
    assert (facts["layers"], facts["tuned"]) == ([1, 3], [1, 2, 3])
    assert facts["weights"] == [1, 2] and facts["epochs"] >= 1
    assert metrics["seconds"]["tune"] > 0 and "tuned" in metrics["backbone"]
    assert "blocks 1-3 tuned" in metrics["baselines"]["flat"]["detail"]
    model: Any = run.classifier()
    assert model.backbone_.identity == metrics["backbone"]["tuned"]
    rows = np.flatnonzero(run.predictions["split"] == "test")
    texts = run.corpus["text"].to_numpy()[rows].tolist()
    assert model.predict(texts).tolist() == run.predictions["predicted"][rows].tolist()
    values = model.features(texts)
    assert np.allclose(run.activations[rows], values, atol=1e-4)
    right = run.predictions["correct"].to_numpy()[rows].mean()
    assert right == pytest.approx(metrics["test"]["accuracy"])
    assert not list(run.folder.glob("tuned_values*"))


def test_a_tuned_model_that_is_no_better_is_dropped(run: Run, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "compare_on_validation", decided(False))
    other = trained(tmp_path, 2, hierarchy=HierarchyConfig(tuned=True))
    assert "The frozen model is kept." in (other.folder / "log.txt").read_text()
    assert other.metrics["test"] == run.metrics["test"]
    assert other.metrics["hierarchy"] == run.metrics["hierarchy"]
    for name in ("backbone", "checkpoints", "tuned_values.npy"):
        assert not (other.folder / name).exists()


def test_a_tuned_model_must_win_by_more_than_a_standard_error():
    codes = np.arange(100) % 2
    sure = np.where(np.eye(2)[codes] > 0, 5.0, -5.0)

    def answers(n_wrong: int, rows: np.ndarray) -> CombinedLevels:
        logits = sure[rows].copy()
        logits[:n_wrong] *= -1
        return CombinedLevels((), (), rows, logits)

    every = np.arange(100)
    few = np.arange(0, 100, 2)
    for wrong, tuned_is_better in ((20, False), (19, False), (15, True), (25, False)):
        found = compare_on_validation(
            answers(wrong, every), answers(20, every), every, codes
        )
        assert (found.tuned, found.frozen, found.n) == (1 - wrong / 100, 0.8, 100)
        assert found.tuned_is_better is tuned_is_better
    assert compare_on_validation(answers(0, every), answers(9, few), few, codes).n == 50


def test_a_run_that_was_cut_off_among_the_baselines_goes_on(
    tuned_run: Run, tmp_path: Path, monkeypatch
):
    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "compare_on_validation", decided(True))
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "level_baselines", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, 2, hierarchy=TUNED)
    folder = tmp_path / "run"
    before = Run(folder).metrics
    assert "flat" not in before["baselines"]
    with RunWriter(folder, Run(folder).config) as writer:
        run = registry.train(writer.config, writer)
    after = run.metrics
    sparse: dict[str, Any] = {**after["baselines"]["stc"]}
    low, high = sparse.pop("lead_interval")
    assert low < after["test"]["accuracy"] - sparse["accuracy"] < high
    assert sparse.pop("macro_f1_lead_interval") is not None
    assert sparse == before["test"]
    assert after["test"] == tuned_run.metrics["test"]
    assert "flat" in after["baselines"] and not (folder / "checkpoints").exists()
