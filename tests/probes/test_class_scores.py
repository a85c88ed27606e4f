"""Scores of each class equal scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from stc_core.data.task import Task
from stc_core.probes.class_scores import aucs, class_table
from stc_core.probes.fit import fit_probes
from stc_core.types import PooledSite, Site

PLACE = PooledSite(Site(1, "mlp"), "mean")


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    X = rng.normal(size=(240, 8)).astype(np.float32)
    X[:, 0] += y == 1
    task = Task(y, ("a", "b", "c"), np.arange(160), np.arange(160, 240))
    probes = fit_probes(
        lambda place: X, y, task.train, task.validation, pooled_sites=[PLACE], threads=1
    )
    return X, task, probes[0], class_table(lambda place: X, task, probes)


def test_recall_f1_and_auc_are_those_of_the_best_probe(scored):
    X, task, probe, table = scored
    logits = probe.path.logits(X[task.validation], probe.best)
    y, guess = task.codes[task.validation], logits.argmax(axis=1)
    assert table["label"].tolist() == ["a", "b", "c"]
    assert set(table["site"]) == {"mlp.1"} and set(table["pooling"]) == {"mean"}
    np.testing.assert_allclose(
        table["accuracy"], [recall_score(y == code, guess == code) for code in range(3)]
    )
    np.testing.assert_allclose(
        table["macro_f1"], [f1_score(y == code, guess == code) for code in range(3)]
    )
    for code in range(3):
        assert table["auc"][code] == pytest.approx(
            roc_auc_score(y == code, logits[:, code])
        )
    assert table["n"].tolist() == np.bincount(y).tolist()
    assert table["accuracy_low"].le(table["accuracy"]).all()
    assert table["accuracy_high"].ge(table["accuracy"]).all()


def test_ties_count_half_and_a_missing_class_has_no_area():
    y = np.array([0, 0, 1, 1])
    logits = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0, 2, 0]])
    found = aucs(y, logits)
    assert found[0] == 0.75 and found[1] == 0.875 and np.isnan(found[2])


def test_a_class_without_validation_texts_is_unknown():
    y = np.array([0, 1, 2] * 40)
    validation = np.flatnonzero(y[:90] != 2)
    task = Task(y, ("a", "b", "c"), np.arange(90, 120), validation)
    X = np.eye(3, dtype=np.float32)[y]
    probes = fit_probes(
        lambda place: X, y, task.train, validation, pooled_sites=[PLACE], threads=1
    )
    table = class_table(lambda place: X, task, probes)
    last = table.loc[table["label"] == "c"].iloc[0]
    assert last["n"] == 0 and np.isnan(last["accuracy"]) and np.isnan(last["auc"])
    assert (last["accuracy_low"], last["accuracy_high"]) == (0.0, 1.0)
