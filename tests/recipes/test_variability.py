"""The recipe `variability` from a table to a run like any other."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.task import Task
from stc_core.files import read_json
from stc_core.heads import ridge
from stc_core.heads.head import softmax
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes import registry, variability
from stc_core.recipes.results import task_of
from stc_core.runs import layout
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.history import History
from stc_core.tuning.session import BACKBONE, CHECKPOINTS, TUNING
from stc_core.types import Feature, PooledSite


@pytest.fixture(scope="module")
def run(tuned_folder: Path) -> Run:
    return Run.open(tuned_folder)


def test_it_leaves_the_files_of_every_run(run: Run, run_folder: Path):
    there = {one.name for one in run.folder.iterdir()}
    usual = {one.name for one in run_folder.iterdir()}
    assert there == usual - set(layout.SPARSE) | {BACKBONE, TUNING}
    assert run.done


def test_its_metrics_are_of_the_tuned_classifier(run: Run):
    metrics = run.metrics
    test = run.predictions.query("split == 'test'")
    assert metrics["test"]["accuracy"] == pytest.approx(test["correct"].mean())
    assert metrics["layers"] == {"used": 4, "total": 6}
    assert metrics["neurons"]["selected"] == 384
    cost = metrics["cost"]
    assert cost["flops_per_token"] == pytest.approx(
        4 / 6 * cost["flops_per_token_total"], rel=0.01
    )
    assert {"stc", "frozen", "last_layer"} <= set(metrics["baselines"])


def test_the_table_holds_it_against_what_is_not_tuned(run: Run):
    table = pd.DataFrame(run.metrics["comparison"]).set_index("name")
    assert list(table.index) == ["tuned", "frozen", "stc", "last_layer"]
    d, h = 384, 1536
    linear = 4 * (8 * 2 * d) + 8 * (d + h) + 8 * (h + d)
    assert table.loc["tuned", "trainable"] == linear + 10 * (d + 1)
    assert table.loc["frozen", "trainable"] == 10 * (d + 1)
    assert table.loc["tuned", "flops_share"] == pytest.approx(4 / 6, rel=0.01)
    assert table.loc["last_layer", "flops_share"] == 1
    assert bool(np.all(table["seconds"] > 0))
    assert bool(np.all(table["peak_bytes"] > 1e7))


def test_the_saved_classifier_gives_the_predictions(run: Run):
    classifier = run.classifier(device="cpu")
    corpus, told = run.corpus, run.predictions
    rows = np.arange(0, 240, 20)
    found = classifier.predict_proba(corpus["text"].iloc[rows].tolist())
    names = [f"p:{name}" for name in run.metrics["classes"]]
    assert np.allclose(found, told[names].to_numpy()[rows], atol=1e-4)
    stored = softmax(classifier.head_.logits(run.activations[rows]))
    assert np.allclose(found, stored, atol=1e-4)


def test_a_text_is_explained_to_the_last_bit_of_its_logit(run: Run):
    why = run.classifier(device="cpu").explain("the courier lost my parcel")
    label = why["label"]
    for parts in (why["neurons"], why["tokens"]):
        total = why["bias"][label] + sum(part["contribution"][label] for part in parts)
        assert total == pytest.approx(why["logits"][label], abs=1e-3)


def test_weights_are_per_standard_deviation_of_the_tuned_neurons(run: Run):
    rows = run.predictions.query("split == 'train'")["row"].to_numpy()
    values = np.asarray(run.activations[rows])
    neurons = run.neurons
    assert np.allclose(values.mean(0), neurons["mean"], atol=1e-4)
    assert np.allclose(values.std(0), neurons["sd"], rtol=1e-3)


def test_it_can_be_moved(run: Run, tmp_path: Path):
    moved = Run.open(shutil.copytree(run.folder, tmp_path / "moved"))
    backbone = moved.classifier(device="cpu").backbone_
    assert str(tmp_path / "moved") in backbone.name


def test_its_backbone_is_one_for_the_recipe_stc(run: Run):
    name = str(run.folder / BACKBONE)
    tuned, base = Backbone.load(name, device="cpu"), Backbone.load(device="cpu")
    assert (tuned.n_layers, base.n_layers) == (4, 6)
    ids = base.tokenize(["where is my parcel?"]).ids
    same, other = (PooledSite.parse(f"resid.{n}.mean") for n in (3, 4))
    wanted = [same, other]
    one, two = tuned.pooled(ids, wanted), base.pooled(ids, wanted)
    assert np.allclose(one[same], two[same])
    assert not np.allclose(one[other], two[other], atol=1e-5)
    corpus = run.corpus.iloc[:60]
    texts, labels = corpus["text"].tolist(), corpus["label"].to_numpy(str)
    model = SparsifyThenClassify(name, kinds=("resid",), poolings=("mean",))
    assert model.fit(texts, labels).score(texts, labels) > 0.25  # chance: 0.1


def test_the_history_begins_with_the_frozen_backbone(run: Run):
    history = History.of(read_json(run.folder / TUNING))
    assert [epoch.epoch for epoch in history.epochs] == [0, 1, 2]
    frozen = run.metrics["baselines"]["frozen"]
    assert 0 <= frozen["accuracy"] <= 1
    assert history.steps[-1][0] == 2
    assert run.metrics["seconds"]["tune"] == history.seconds


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_after_its_last_epoch(tmp_path: Path):
    config = RunConfig(
        data=DataConfig(
            path=str(table(tmp_path, 2)), text="text", labels=("level 1",), split=""
        ),
        train=TrainConfig(
            recipe="variability",
            backbone=str(saved_base(tmp_path / "base", "bert")),
            device="cpu",
            kinds=("resid",),
            poolings=("mean",),
            tune=TuneConfig(method="lora", blocks=1, layer=1, epochs=2, batch=16),
        ),
    )
    whole = _run(config, tmp_path / "whole")
    with pytest.raises(Killed):
        _run(config, tmp_path / "cut", kill_in=1.2)
    cut = Run(tmp_path / "cut")
    assert (cut.folder / CHECKPOINTS).is_dir()
    assert cut.status["state"] == "failed"
    resumed = _run(config, tmp_path / "cut")
    assert "Going on where the tuning was cut off" in resumed.log_tail()
    assert resumed.done
    assert not (cut.folder / CHECKPOINTS).exists()
    assert resumed.predictions.equals(whole.predictions)
    assert (resumed.folder / "backbone" / "changes.safetensors").read_bytes() == (
        whole.folder / "backbone" / "changes.safetensors"
    ).read_bytes()


def _run(config: RunConfig, folder: Path, *, kill_in: float | None = None) -> Run:
    writer = RunWriter(folder, config)
    tell = writer.progress

    def progress(done: int, total: int) -> None:
        tell(done, total)
        tuning = writer.status["phase"] == "tune" and total
        if kill_in is not None and tuning and done / total > kill_in / 2:
            raise Killed

    writer.progress = progress  # pyright: ignore[reportAttributeAccessIssue]
    with writer:
        return registry.train(config, writer)


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_the_first_head_is_a_calibrated_probe(run: Run, weight):
    from stc_core.data.corpus import Corpus

    corpus = Corpus(run.corpus, run.report.columns, run.report)
    settings = TrainConfig(class_weight=weight)
    task = task_of(corpus, settings)
    backbone = Backbone.load(device="cpu")
    head, guess = variability._first_head(backbone, corpus, task, 4, "float16")
    assert len(head.features) == 384
    right = (guess == task.codes[corpus.rows("test")]).mean()
    assert right > 0.5


def test_a_column_that_hardly_varies_cannot_explode_when_it_is_tuned():
    rng = np.random.default_rng(0)
    codes = np.arange(60) % 2
    X = rng.standard_normal((60, 5)).astype(np.float32) + codes[:, None]
    X[:, 2] = 0.3 + 1e-7 * X[:, 2]
    task = Task(codes, ("a", "b"), np.arange(40), np.arange(40, 60))
    site = PooledSite.parse("resid.1.mean")
    head = ridge.fit_best_ridge_head(X, task, [Feature(*site, i) for i in range(5)])
    assert head.sd.min() > 0.05
    moved = X.copy()
    moved[:, 2] += 1
    assert np.abs(head.logits(moved) - head.logits(X)).max() < 20
    guess = head.logits(X[task.validation]).argmax(axis=1)
    assert (guess == codes[task.validation]).mean() > 0.7
