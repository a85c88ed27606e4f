"""A run of a classifier that exists already: its head answers, nothing is trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.models.sequence import saved_classifier
from helpers.runs.hierarchy import table
from helpers.runs.small import trained
from stc_core import SequenceClassifier
from stc_core.analysis.examples import JUDGED_BY_OWN_HEAD
from stc_core.analysis.row_explanation import explain_row
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.report.report import html_report
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run


def config(folder: Path, model: Path, **settings) -> RunConfig:
    folder.mkdir(exist_ok=True)
    cheap = {"device": "cpu", "kinds": ("resid",), "poolings": ("mean",)}
    return RunConfig(
        data=DataConfig(path=str(table(folder, 1)), text="text", labels=("level 0",)),
        train=TrainConfig(backbone=str(model), **cheap, **settings),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("existing")
    model = saved_classifier(folder / "own", "bert", ("COLD", "other", "WARM"))
    return trained(config(folder, model, recipe="existing"), folder / "run"), model


def test_its_answers_are_those_of_the_model(made: tuple[Run, Path]):
    run, model = made
    own = SequenceClassifier.load(str(model), device="cpu")
    shares = own.predict_proba(run.corpus["text"].tolist())
    left = shares[:, [0, 2]] / shares[:, [0, 2]].sum(axis=1, keepdims=True)
    kept = run.predictions[["p:cold", "p:warm"]].to_numpy()
    np.testing.assert_allclose(kept, left, atol=1e-5)
    test = run.predictions[run.predictions["split"] == "test"]
    assert run.metrics["test"]["accuracy"] == pytest.approx(test["correct"].mean())
    assert run.metrics["layers"]["used"] == 3
    assert run.metrics.get("own_head") == {
        "labels": {"COLD": "cold", "WARM": "warm"},
        "left_out": ["other"],
    }
    assert "also knows 'other'" in run.log_tail()


def test_its_layers_are_probed_and_the_sparse_classifier_is_a_baseline(
    made: tuple[Run, Path],
):
    run, _ = made
    assert set(run.probes["layer"]) == {0, 1, 2, 3}
    assert {"stc", "last_layer", "majority"} <= set(run.metrics["baselines"])
    assert "lead_interval" in run.metrics["baselines"]["stc"]
    assert not run.has(RunFile.NEURONS) and not run.has(RunFile.FRONTIER)
    shown = html_report(run)
    assert "Sparse neurons, not tuned" in shown
    assert "they are too good" in shown
    assert "were not used in training" not in shown


def test_a_row_is_explained_by_the_head(made: tuple[Run, Path]):
    run, _ = made
    found = explain_row(run, 3)
    assert found["judged_by"] == JUDGED_BY_OWN_HEAD
    assert found["label"] == run.predictions["predicted"].iloc[3]
    assert set(found["logits"]) == {"cold", "warm"}


def test_the_head_is_a_baseline_of_other_recipes(made: tuple[Run, Path], tmp_path):
    run, model = made
    sparse = trained(config(tmp_path, model), tmp_path / "run")
    theirs = sparse.metrics["baselines"]["own_head"]
    assert theirs["accuracy"] == run.metrics["test"]["accuracy"]
    answers = pd.read_parquet(sparse.folder / RunFile.BASELINES)["own_head"]
    test = run.predictions[run.predictions["split"] == "test"]
    assert answers.tolist() == [
        run.metrics["classes"].index(label) for label in test["predicted"]
    ]


def test_other_labels_are_refused_before_any_work(tmp_path: Path):
    model = saved_classifier(tmp_path / "own", "bert", ("LABEL_0", "LABEL_1"))
    asked = config(tmp_path / "a", model, recipe="existing")
    with pytest.raises(StcError, match=r"--own-label LABEL_0=cold"):
        trained(asked, tmp_path / "run")
    assert not (tmp_path / "run" / RunFile.PROBES).exists()
    pairs = ("LABEL_0=warm", "LABEL_1=cold")
    told = config(tmp_path / "a", model, recipe="existing", own_labels=pairs)
    run = trained(told, tmp_path / "told")
    own = SequenceClassifier.load(str(model), device="cpu")
    first = own.predict(run.corpus["text"].tolist()[:20])
    names = {"LABEL_0": "warm", "LABEL_1": "cold"}
    said = run.predictions["predicted"].head(20).tolist()
    assert said == [names[label] for label in first]


def test_a_head_with_other_labels_is_told_where_it_would_be_a_baseline(tmp_path: Path):
    model = saved_classifier(tmp_path / "own", "bert", ("LABEL_0", "LABEL_1"))
    run = trained(config(tmp_path / "a", model), tmp_path / "run")
    assert "--own-label LABEL_0=cold" in run.metrics["missing"]["own_head"]
