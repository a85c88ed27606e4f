"""scikit-learn's tools on our classifiers: scores, pickles, and what they are given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted

from helpers.models.classifiers import ALL, OPENED, THREE, TWO, make, masked
from helpers.models.tiny import (
    TEXTS,
    one_thread,
    tiny_backbone,
)
from stc_core.classifiers.base import check_texts, open_base
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.errors import StcError

assert one_thread


@pytest.fixture(scope="module")
def two() -> SparsifyThenClassify:
    return make().fit(*TWO)


@pytest.fixture(scope="module")
def three() -> SparsifyThenClassify:
    return make().fit(*THREE)


@pytest.mark.parametrize("n_class", [2, 3])
@pytest.mark.parametrize("kind", ALL)
def test_scores_are_as_scikit_learn_has_them(kind: str, n_class: int):
    """One number for two classes, above 0 for the second; else the largest wins."""
    model = ALL[kind](n_class)
    scores, labels = model.decision_function(TEXTS), model.predict(TEXTS)
    P = model.predict_proba(TEXTS)
    assert P.shape == (len(TEXTS), n_class)
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-5)
    if n_class == 2:
        assert scores.shape == (len(TEXTS),)
        second = scores > 0
        np.testing.assert_array_equal(labels, model.classes_[second.astype(int)])
        odds = np.log(P[:, 1] / P[:, 0])
        np.testing.assert_allclose(scores, odds, rtol=1e-3, atol=1e-3)
    else:
        assert scores.shape == (len(TEXTS), n_class)
        np.testing.assert_array_equal(labels, model.classes_[scores.argmax(axis=1)])
    assert len(set(labels)) > 1


def test_a_label_that_is_not_the_likeliest_path_has_the_highest_score():
    """Where coarse answers are final, the upper level decides first."""
    model = masked(5)
    labels, P = model.predict(TEXTS), model.predict_proba(TEXTS)
    assert (labels != model.classes_[P.argmax(axis=1)]).any()
    best = model.decision_function(TEXTS).argmax(axis=1)
    np.testing.assert_array_equal(labels, model.classes_[best])
    coarse = model.up_to(1)
    scores = coarse.decision_function(TEXTS)
    np.testing.assert_array_equal(
        coarse.classes_[(scores > 0) * 1], coarse.predict(TEXTS)
    )


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(roc_auc_score(labels, scores))


def test_cross_validation_scores_by_rank(two):
    """What GridSearchCV is told of two classes is no nan, and is the AUC."""
    texts, labels = TWO
    for scoring in ("roc_auc", "neg_log_loss", "balanced_accuracy"):
        found = cross_val_score(make(), texts, labels, cv=2, scoring=scoring)
        assert np.isfinite(found).all()
    grid = {"stc__eta": [0.5, 0.9]}
    pipe = Pipeline([("stc", make())])
    search = GridSearchCV(pipe, grid, cv=2, scoring="roc_auc")
    search.fit(texts, labels)
    assert 0.5 < search.best_score_ <= 1
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    by_score = get_scorer("roc_auc")(two, texts, labels)
    assert by_score == auc(two.decision_function(texts), labels)
    assert by_score == auc(two.predict_proba(texts)[:, 1], labels)
    numbers = (labels == "money").astype(int)
    for scoring in ("average_precision", "f1"):
        found = cross_val_score(make(), texts, numbers, cv=2, scoring=scoring)
        assert (found > 0.5).all()


@pytest.mark.parametrize("scoring", ["roc_auc_ovr", "neg_log_loss", "f1_macro"])
def test_cross_validation_of_three_classes(scoring: str):
    found = cross_val_score(make(), *THREE, cv=2, scoring=scoring)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("method", "shape"),
    [("predict", (40,)), ("predict_proba", (40, 2)), ("decision_function", (40,))],
)
def test_cross_val_predict(method: str, shape: tuple[int, ...]):
    found: Any = cross_val_predict(make(), *TWO, cv=2, method=method)
    assert found.shape == shape


@pytest.mark.parametrize(
    ("tool", "data"),
    [
        (lambda one: OneVsRestClassifier(one), THREE),
        (lambda one: CalibratedClassifierCV(one, cv=2), TWO),
        (lambda one: CalibratedClassifierCV(one, cv=2, method="isotonic"), THREE),
        (lambda one: VotingClassifier([("a", one), ("b", one)], voting="soft"), TWO),
        (lambda one: StackingClassifier([("a", one)], cv=2), TWO),
    ],
    ids=["one-vs-rest", "sigmoid", "isotonic", "voting", "stacking"],
)
def test_tools_that_wrap_a_classifier(tool, data):
    texts, labels = data
    found = tool(make()).fit(texts, labels)
    assert found.score(texts, labels) > 0.6
    P = found.predict_proba(texts[:5])
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", OPENED)
def test_one_that_was_opened_is_a_fitted_classifier(kind: str):
    model = OPENED[kind](2)
    labels = model.predict(TEXTS)
    check_is_fitted(model)
    assert is_classifier(model) and model.score(TEXTS, labels) == 1.0
    assert get_scorer("accuracy")(model, list(TEXTS), labels) == 1.0
    calibrated = CalibratedClassifierCV(FrozenEstimator(model))
    calibrated.fit(list(TEXTS), labels)
    assert calibrated.score(list(TEXTS), labels) > 0.9
    with pytest.raises(
        StcError, match="got a fitted classifier that was opened from disk"
    ):
        model.fit(TEXTS, labels)


def test_permutation_importance_takes_a_table_of_one_column(two):
    table = pd.DataFrame({"text": TWO[0]})
    found = permutation_importance(two, table, TWO[1], n_repeats=2, random_state=0)
    assert found["importances_mean"][0] > 0.1


TABLES: dict[str, Callable[[list[str]], Any]] = {
    "tuple": tuple,
    "iterator": iter,
    "array": np.array,
    "objects": lambda texts: np.array(texts, dtype=object),
    "one column": lambda texts: np.array(texts, dtype=object)[:, None],
    "series": lambda texts: pd.Series(texts, index=range(7, 7 + len(texts))),
    "arrow series": lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
    "frame": lambda texts: pd.DataFrame({"text": texts}),
    "arrow": pa.array,
    "arrow chunks": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
    "arrow table": lambda texts: pa.table({"text": texts}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_texts_come_in_any_list(kind: str):
    texts = ["good film", "bad", "a card"]
    assert check_texts(TABLES[kind](texts)) == texts


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), r"a table of shape \(1, 2\)"),
        (np.array([["a", "b"]]), r"shape \(1, 2\).* Give only the column"),
        ({"text": ["a"]}, "expected a list of texts; got a dict"),
        ({"a", "b"}, "got a set"),
        (b"text", "got a bytes"),
        (7, "got a int"),
        (None, "got a NoneType"),
        (pd.Series(["a", None]), "text 1: expected a string"),
        (pd.Series(["a", pd.NA], dtype="string[pyarrow]"), "text 1"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(given, said):
    """A table's items are the names of its columns: they were labelled as texts."""
    with pytest.raises(StcError, match=said):
        check_texts(given)


MONEY = TWO[1] == "money"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pd.Series(TWO[1]), ["access", "money"]),
        (pd.Series(TWO[1], dtype="category"), ["access", "money"]),
        (pa.array(TWO[1].tolist()), ["access", "money"]),
        (pd.Series(MONEY, dtype="boolean"), [False, True]),
        (pd.Series(MONEY, dtype="int64[pyarrow]"), [0, 1]),
        (MONEY.astype(np.int8), [0, 1]),
    ],
    ids=["series", "category", "arrow", "boolean", "arrow int", "int8"],
)
def test_labels_of_any_column_are_learned_as_they_are(labels, classes):
    model = make().fit(TWO[0], labels)
    assert model.classes_.tolist() == classes
    assert model.classes_.dtype.kind == np.array(classes).dtype.kind
    plain = labels.to_pylist() if hasattr(labels, "to_pylist") else labels
    assert model.score(TWO[0], plain) > 0.8


def test_labels_of_two_kinds_are_not_made_one():
    with pytest.raises(StcError, match="labels that can be sorted"):
        make().fit(TWO[0], ["a", 1] * 20)


def test_weights_of_rows_are_refused_in_words():
    weights = np.ones(40)
    with pytest.raises(TypeError, match="sample_weight"):
        make().fit(*TWO, sample_weight=weights)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="does not support sample weights"):
        VotingClassifier([("a", make())]).fit(*TWO, sample_weight=weights)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "logits", "features"]
)
def test_an_unfitted_one_says_so(method: str):
    with pytest.raises(NotFittedError):
        getattr(make(), method)(TEXTS)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget": 0}, "budget: expected a whole number, 1 or more; got 0."),
        ({"tolerance": 1.0}, "tolerance: expected a number, 0 or more and below 1"),
        ({"eta": float("nan")}, "eta: expected a number"),
        ({"validation_share": 0.9}, "validation_share"),
        ({"seed": None}, "seed: expected a whole number"),
        ({"max_layer": 99}, "max_layer: expected 0 to 3 for tiny bert; got 99"),
        ({"poolings": ()}, "poolings"),
    ],
)
def test_parameters_are_checked_as_settings_of_a_run(settings, said):
    with pytest.raises(StcError, match=said):
        make(**settings).fit(*TWO)


def test_parameters_of_a_grid_may_be_numpy_s():
    model = make(budget=np.int64(3), eta=np.float64(0.9), seed=np.int64(1))
    assert len(model.fit(*TWO).head_.features) == 3
    model = make(kinds=np.array(["resid"]), poolings=np.array(["mean", "max"]))
    assert {one.pooling for one in model.fit(*TWO).head_.features} <= {"mean", "max"}


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_scikit_learn_s_own_checks_that_need_no_numbers():
    checks: Any = list(estimator_checks_generator(make()))
    assert checks  # the others make numbers
    for estimator, check in checks:
        check(estimator)


def test_saved_and_opened_it_scores_alike(two, tmp_path):
    opened = open_base(two.save(tmp_path), backbone=tiny_backbone("bert"))
    np.testing.assert_array_equal(
        opened.decision_function(TEXTS), two.decision_function(TEXTS)
    )


def test_a_device_of_torch_is_taken():
    model = SparsifyThenClassify().set_params(device=torch.device("cpu"))
    assert model._settings().device == "cpu"
