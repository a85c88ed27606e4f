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
from stc_core.errors import StcError
from stc_core.recipe_settings import HierarchyConfig, TuneConfig
from stc_core.recipes import registry
from stc_core.recipes.hierarchy import recipe
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
    assert metrics["hierarchy"]["layers"][-1] == 3
    flops = metrics["hierarchy"]["flops_per_token"]
    assert flops[0] < flops[1] == metrics["cost"]["flops_per_token"]
    assert not (run.folder / "checkpoints").exists()
    assert not any(run.has(name) for name in layout.SPARSE)


def test_predictions_are_those_of_the_saved_classifier(run: Run):
    hierarchical: Any = run.classifier()
    frame: Any = run.predictions
    texts = run.corpus["text"].tolist()
    way = hierarchical.answer(texts)
    assert (
        frame["predicted"].tolist() == hierarchical.classes_[way.nodes[:, -1]].tolist()
    )
    names = np.array(hierarchical.tree_.labels[0])
    assert frame["predicted_1"].tolist() == names[way.nodes[:, 0]].tolist()
    shares = frame[[f"p:{name}" for name in hierarchical.classes_]].to_numpy()
    assert np.allclose(shares, way.shares[-1], atol=1e-4)
    test = frame["split"] == "test"
    assert frame["correct"][test].mean() == pytest.approx(
        run.metrics["test"]["accuracy"]
    )
    assert run.activations.shape == (len(texts), 16) == (160, len(run.neurons))


def test_the_layer_of_each_level_is_told(run: Run):
    levels = run.levels
    assert len(levels) == 2 * 3
    chosen = levels[levels["chosen"]]
    assert chosen["layer"].tolist() == run.metrics["hierarchy"]["layers"]
    assert levels["nu"].notna().tolist() == [True] * 6


@pytest.mark.parametrize(("depth", "family"), [(3, "distilbert"), (3, "llama")])
def test_more_levels_and_other_families(tmp_path: Path, depth: int, family: str):
    wish = HierarchyConfig(layers=(1, 2, 3), weights=(1, 2, 3))
    tune = TuneConfig(epochs=1, method="lora", where="all", width=2)
    run = trained(tmp_path, depth, family, hierarchy=wish, tune=tune)
    assert run.metrics["hierarchy"]["layers"] == [1, 2, 3]
    assert run.metrics["hierarchy"]["tuned"] == [1, 2, 3]
    assert len(run.metrics["test"]["levels"]) == depth
    found = run.classifier().explain("good price very slow")
    assert [step["layer"] for step in found["levels"]] == [1, 2, 3]


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
        trained(tmp_path, 2, "albert")


def test_as_it_is_typed(run: Run, tmp_path: Path, stc: Stc):
    source, out = run.folder.parent / "2.csv", tmp_path / "out.csv"
    assert stc("predict", run.folder, source, "--out", out, "--coarse-only").code == 0
    frame = pd.read_csv(out)
    assert list(frame)[-5:] == [
        "predicted_level 0",
        "probability_level 0",
        "predicted_label",
        "p:cold",
        "p:warm",
    ]
    assert stc("predict", run.folder, source, "--out", out).code == 0
    again = pd.read_csv(out)
    coarse = frame["predicted_label"].tolist()
    assert again["predicted_level 0"].tolist() == coarse
    code, said, _ = stc("report", run.folder)
    assert code == 0 and "level 0" in said
    assert stc("predict", run.folder, source, "--out", out, "--levels", 3).code == 2


def test_a_run_that_was_cut_off_among_the_baselines_goes_on(
    tmp_path: Path, monkeypatch
):
    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "level_baselines", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, 2)
    folder = tmp_path / "run"
    before = Run(folder).metrics
    assert "flat" not in before["baselines"]
    with RunWriter(folder, Run(folder).config) as writer:
        run = registry.train(writer.config, writer)
    after = run.metrics
    assert after["baselines"]["stc"] == before["baselines"]["stc"]
    assert after["test"] == before["test"]
    assert "flat" in after["baselines"] and not (folder / "checkpoints").exists()
