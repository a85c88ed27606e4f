"""The recipe `contrastive` from a table to a run like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.models.saved import saved_base
from helpers.models.tiny import tiny_backbone
from helpers.runs.hierarchy import table
from stc_core.activations.cost import Speed
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.task import Task
from stc_core.files import read_json
from stc_core.heads.head import softmax
from stc_core.metrics.scores import accuracy
from stc_core.recipe_settings import ContrastiveConfig, TuneConfig
from stc_core.recipes import contrastive, registry
from stc_core.recipes.contrastive import (
    batches_of,
    fit_left_out_head,
    pair_seconds,
    tune_settings,
)
from stc_core.recipes.planning.forecast import Survey
from stc_core.recipes.planning.machine_speed import Arithmetic
from stc_core.runs import layout
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.history import History
from stc_core.tuning.session import BACKBONE, CHECKPOINTS, TUNING
from stc_core.types import Feature, PooledSite

PACE = Arithmetic(product=1e-9, solve=(1e-9, 1e-9), cell=1e-8)


def config_in(folder: Path, **train: Any) -> RunConfig:
    return RunConfig(
        data=DataConfig(
            path=str(table(folder, 2)), text="text", labels=("level 1",), split=""
        ),
        train=TrainConfig.model_validate(
            {
                "recipe": "contrastive",
                "backbone": str(saved_base(folder / "base", "bert")),
                "device": "cpu",
                "kinds": ("resid",),
                "poolings": ("mean",),
                "tune": TuneConfig(learning_rate=3e-3),
                "contrastive": ContrastiveConfig(epochs=2, batch=16),
                **train,
            }
        ),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("contrastive")
    config = config_in(folder)
    with RunWriter(folder / "run", config) as writer:
        return registry.train(config, writer)


def test_it_leaves_a_run_with_a_tuned_model(run: Run):
    names = {one.name for one in run.folder.iterdir()}
    assert {BACKBONE, TUNING, "model", "predictions.parquet"} <= names
    assert not names & set(layout.SPARSE) and CHECKPOINTS not in names
    assert run.done and run.metrics["recipe"] == "contrastive"
    assert run.metrics["tuning"]["blocks"] == [1, 2, 3]


def test_its_metrics_are_of_the_tuned_classifier(run: Run):
    test = run.predictions.query("split == 'test'")
    metrics = run.metrics
    assert metrics["test"]["accuracy"] == pytest.approx(test["correct"].mean())
    assert {"stc", "frozen", "last_layer"} <= set(metrics["baselines"])
    names = [row["name"] for row in metrics["comparison"]]
    assert names == ["tuned", "frozen", "stc", "last_layer"]
    assert metrics["chosen"]["epochs"] == 2 and "ridge" in metrics["chosen"]


def test_the_saved_classifier_gives_the_predictions(run: Run):
    classifier = run.classifier(device="cpu")
    told = run.predictions
    rows = np.arange(0, len(told), 7)
    found = classifier.predict_proba(run.corpus["text"].iloc[rows].tolist())
    names = [f"p:{name}" for name in run.metrics["classes"]]
    on_file = softmax(classifier.head_.logits(run.activations[rows]))
    assert np.allclose(found, on_file, atol=1e-4)
    learned = told["split"].iloc[rows] == "train"
    assert np.allclose(found[learned], told[names].to_numpy()[rows][learned], atol=1e-4)


def test_training_brings_the_classes_apart(run: Run):
    history = History.of(read_json(run.folder / TUNING))
    assert [epoch.epoch for epoch in history.epochs] == [0, 1, 2]
    losses = [loss for _, loss in history.steps]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert history.epochs[-1].accuracy > 0.3  # chance: .25


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_after_its_last_epoch(run: Run, tmp_path: Path):
    config = run.config
    folder = tmp_path / "cut"
    writer = RunWriter(folder, config)
    tell = writer.progress

    def progress(done: int, total: int) -> None:
        tell(done, total)
        if writer.status["phase"] == "tune" and total and done / total > 0.6:
            raise Killed

    writer.progress = progress  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Killed), writer:
        registry.train(config, writer)
    assert (folder / CHECKPOINTS).is_dir()
    with RunWriter(folder, config) as writer:
        resumed = registry.train(config, writer)
    assert "Going on where the tuning was cut off" in resumed.log_tail()
    assert resumed.predictions.equals(run.predictions)
    weights = Path(BACKBONE) / "changes.safetensors"
    assert (resumed.folder / weights).read_bytes() == (
        run.folder / weights
    ).read_bytes()


def test_settings_of_the_recipe_take_the_place_of_the_usual_ones():
    settings = TrainConfig(
        recipe="contrastive",
        tune=TuneConfig(epochs=9, batch=8, layer=2, seconds=5),
        contrastive=ContrastiveConfig(epochs=4, batch=10),
    )
    tune = tune_settings(settings)
    assert (tune.where, tune.layer, tune.epochs, tune.batch) == ("all", None, 4, 10)
    assert tune.seconds == 5
    top = settings.changed(tune={"where": "top", "blocks": 2})
    assert tune_settings(top).where == "top"
    assert (batches_of(30, 64), batches_of(64 * 30, 64)) == (20, 30)


def task_of_clusters(n: int = 40) -> tuple[np.ndarray, Task]:
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 2
    X = rng.standard_normal((n, 6)).astype(np.float32)
    X[:, 0] += 3 * codes
    return X, Task(codes, ("a", "b"), np.arange(n - 8), np.arange(n - 8, n))


FEATURES = tuple(Feature(*PooledSite.parse("resid.1.mean"), i) for i in range(6))


def test_held_rows_are_judged_by_a_head_without_them():
    X, task = task_of_clusters()
    found = fit_left_out_head(X, task, FEATURES)
    assert accuracy(task.codes[task.validation], found.held_logits.argmax(1)) > 0.7
    # A label that is wrong for its text does not show in what the others say of it.
    wrong = task.codes.copy()
    wrong[-1] = 1 - wrong[-1]
    other = fit_left_out_head(X, task._replace(codes=wrong), FEATURES)
    assert other.held_logits[-1].argmax() == found.held_logits[-1].argmax()


def test_many_rows_are_split(monkeypatch):
    X, task = task_of_clusters()
    monkeypatch.setattr(contrastive, "MOST_LEFT_OUT", 20)
    found = fit_left_out_head(X, task, FEATURES)
    assert found.ridge is None
    expected = found.head.logits(X[task.validation])
    assert np.allclose(found.held_logits, expected)


def test_its_time_is_foretold():
    backbone = tiny_backbone()
    ids = backbone.tokenize(["good " * 8]).ids
    surveyed = Survey(Tokens(ids, 0), Speed((1, 50), (1e-4, 1e-4), 0), PACE)

    def seconds(n: int, **own: Any) -> float:
        settings = TrainConfig(contrastive=ContrastiveConfig(**own))
        learned = 8 * n // 10, n
        found = pair_seconds(backbone, surveyed, settings, n=n, learned=learned)
        assert found is not None
        return found

    assert seconds(40, epochs=6) > 1.9 * seconds(40, epochs=3) - 0.1
    # 32 rows are one batch of 32, 320 are 20 batches of 64, and 1,600 are 25 of them.
    assert seconds(400) == pytest.approx(2 * seconds(40), rel=0.25)
    assert seconds(2000) == pytest.approx(seconds(400) * 1.25, rel=0.3)
