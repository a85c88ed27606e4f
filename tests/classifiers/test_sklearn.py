"""scikit-learn's tools on our classifiers: scores, pickles, and what they are given."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
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
from torch import nn

from helpers.models.tiny import (
    TEXTS,
    WORDS,
    fresh_backbone,
    one_thread,
    saved_tiny,
    tiny_backbone,
)
from stc_core.activations.features import dense_features
from stc_core.classifiers.attention import AttentionClassifier, TokenReadout
from stc_core.classifiers.attention_pooling import PARTS, Attention
from stc_core.classifiers.base import BaseClassifier, check_texts, open_base
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import tree_of
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelled import SpelledClassifier
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.types import Feature, Site

assert one_thread
TOLD = {"access": "login", "money": "refund", "other": "price"}
OTHERS = [word for word in WORDS if word not in TOLD.values()]


def corpus(n: int, n_class: int) -> tuple[list[str], np.ndarray]:
    """Short texts, each with the word that tells its label."""
    rng = np.random.default_rng(n_class)
    labels = np.array([*TOLD])[np.arange(n) % n_class]
    rows = [[*rng.choice(OTHERS, 3), TOLD[label]] for label in labels]
    return [" ".join(rng.permutation(row)) for row in rows], labels


TWO, THREE = corpus(40, 2), corpus(48, 3)


def make(**settings: Any) -> SparsifyThenClassify:
    cheap: dict[str, Any] = {"max_layer": 1, "kinds": ("resid",), "poolings": ("mean",)}
    # Set afterwards, no type of a parameter is checked, as for a user.
    return SparsifyThenClassify(tiny_backbone("bert"), **cheap).set_params(**settings)


@pytest.fixture(scope="module")
def two() -> SparsifyThenClassify:
    return make().fit(*TWO)


@pytest.fixture(scope="module")
def three() -> SparsifyThenClassify:
    return make().fit(*THREE)


def labeller(n_class: int) -> BaseClassifier:
    """A random head on three neurons."""
    rng = np.random.default_rng(n_class)
    found, one = BaseClassifier(), np.ones(3, np.float32)
    features = tuple(Feature(Site(n, "resid"), "mean", n) for n in range(3))
    weight = rng.standard_normal((n_class, 3)).astype(np.float32)
    names = tuple("abcde"[:n_class])
    found.backbone_, found.classes_ = tiny_backbone("bert"), np.array(names)
    bias = np.zeros(n_class, np.float32)
    found.head_ = SparseHead(features, 0 * one, one, weight, bias, names)
    middle = found.features(TEXTS).mean(axis=0)
    found.head_ = found.head_._replace(mean=middle)
    return found


def reader(n_class: int) -> AttentionClassifier:
    backbone, d = tiny_backbone("bert"), 16
    torch.manual_seed(n_class)
    weight = torch.randn(n_class, len(PARTS) * d)
    line = TokenReadout(weight, torch.zeros(n_class), torch.zeros(2, 1, len(PARTS) * d))
    attention = Attention(2, d, 1)
    more: dict[str, Any] = {"layers": (1, 3), "classes": ["a", "b", "c"][:n_class]}
    middle = (
        AttentionClassifier(backbone, attention, line, **more)
        .logits(TEXTS)
        .mean(axis=0)
    )
    line = line._replace(bias=-torch.from_numpy(middle))
    return AttentionClassifier(backbone, attention, line, **more)


def paths(n_class: int) -> np.ndarray:
    known = [("a", "x"), ("b", "y"), ("b", "z"), ("b", "x"), ("a", "w")]
    return np.array(known[:n_class])


def cascade(n_class: int) -> HierarchicalClassifier:
    backbone, tree, heads = tiny_backbone("bert"), tree_of(paths(n_class)), []
    for layer in (1, 3):
        rng = np.random.default_rng(layer)
        features = dense_features(backbone, layer)
        weight = rng.standard_normal((n_class, len(features))).astype(np.float32)
        zero = np.zeros(len(features), np.float32)
        bias = np.zeros(n_class, np.float32)
        head = SparseHead(features, zero, zero + 1, weight, bias, tree.names(1))
        heads.append(head)
    return HierarchicalClassifier(
        backbone, tree, heads, ("kind", "sort"), temperatures=[1.5]
    )


SPELLED = [("good", "good film"), ("good", "plot"), ("bad", "awful"), ("bad", "rude")]


def lexicon(n_class: int) -> SpelledClassifier:
    torch.manual_seed(0)
    heads = [nn.Linear(16, 64) for _ in range(2)]
    tree = tree_of(np.array(SPELLED[:n_class]))
    backbone = tiny_backbone("llama")
    return SpelledClassifier(backbone, tree, (1, 3), heads, ("kind", "sort"), norm=True)


def author(n_class: int) -> ReplyingClassifier:
    torch.manual_seed(0)
    heads = [nn.Linear(16, 64) for _ in range(3)]
    tree = tree_of(np.array(SPELLED[:n_class]))
    more: dict[str, Any] = {"norm": True, "parts": ("reply",), "length": 4}
    backbone = tiny_backbone("llama")
    return ReplyingClassifier(
        backbone, tree, (1, 2, 3), heads, ("kind", "sort"), **more
    )


def fitted(n_class: int) -> SparsifyThenClassify:
    return make().fit(*corpus(40, n_class))


OPENED: dict[str, Callable[[int], BaseClassifier]] = {
    one.__name__: one for one in (labeller, reader, cascade, lexicon, author)
}
ALL: dict[str, Callable[[int], BaseClassifier]] = {**OPENED, "fitted": fitted}


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
    """Of the levels of a hierarchy the upper one decides first."""
    model = cascade(5)
    labels, P = model.predict(TEXTS), model.predict_proba(TEXTS)
    assert (labels != model.classes_[P.argmax(axis=1)]).any()
    best = model.decision_function(TEXTS).argmax(axis=1)
    np.testing.assert_array_equal(labels, model.classes_[best])
    coarse = model.up_to(1)
    scores = coarse.decision_function(TEXTS)
    np.testing.assert_array_equal(
        coarse.classes_[(scores > 0) * 1], coarse.predict(TEXTS)
    )


def test_a_model_that_has_shown_its_hidden_states_is_pickled_whole():
    """transformers leaves hooks on it that pickle does not take."""
    backbone = fresh_backbone()
    ids = torch.tensor([[2, 5, 3]])
    shown = backbone.model(ids, output_hidden_states=True).hidden_states
    again = pickle.loads(pickle.dumps(backbone))
    for model in (backbone.model, again.model):
        found = model(ids, output_hidden_states=True).hidden_states
        for one, other in zip(shown, found, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    "again",
    [
        lambda one: pickle.loads(pickle.dumps(one)),
        lambda one: pickle.loads(cloudpickle.dumps(one)),
        copy.deepcopy,
        copy.copy,
    ],
    ids=["pickle", "cloudpickle", "deepcopy", "copy"],
)
@pytest.mark.parametrize("kind", ALL)
def test_a_copy_says_the_same(kind: str, again: Callable[[Any], Any]):
    model = ALL[kind](3)
    other = again(model)
    assert type(other) is type(model) and other.classes_.tolist() == [*model.classes_]
    np.testing.assert_array_equal(
        other.predict_proba(TEXTS[:9]), model.predict_proba(TEXTS[:9])
    )


def test_a_copy_of_fewer_levels_answers_as_many():
    for kind in (cascade, lexicon):
        coarse = pickle.loads(pickle.dumps(kind(3).up_to(1)))
        assert len(coarse.classes_) == 2
        assert coarse.predict_proba(TEXTS[:3]).shape == (3, 2)


def test_an_author_still_writes_after_a_pickle():
    one = author(2)
    other = pickle.loads(pickle.dumps(one))
    assert other.write(TEXTS[:2]).parts == one.write(TEXTS[:2]).parts


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> SparsifyThenClassify:
    """One on a backbone that has a folder, and so is loaded by its name."""
    folder = saved_tiny(tmp_path_factory.mktemp("named") / "base")
    return make(device="cpu").set_params(backbone=str(folder)).fit(*TWO)


def test_a_backbone_with_a_name_is_not_in_the_pickle(named, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(named, path)
    n_weights = sum(one.nbytes for one in named.backbone_.model.parameters())
    without = copy.copy(named)
    without.backbone_ = None
    assert len(pickle.dumps(named)) - len(pickle.dumps(without)) < 1000 < n_weights
    other = joblib.load(path)
    assert other.backbone_ is named.backbone_  # it is here already
    np.testing.assert_array_equal(
        other.predict_proba(TEXTS), named.predict_proba(TEXTS)
    )


def test_a_pickle_opens_its_backbone_elsewhere_and_checks_it(named, monkeypatch):
    data, said = pickle.dumps(named), named.predict_proba(TEXTS)
    monkeypatch.setattr("stc_core.backbone.pickling._HERE", {})  # as in another process
    other = pickle.loads(data)
    assert other.backbone_ is not named.backbone_
    assert other.backbone_.identity == named.backbone_.identity
    np.testing.assert_array_equal(other.predict_proba(TEXTS), said)
    tokenizer = Path(named.backbone_.name) / "tokenizer_config.json"
    before = tokenizer.read_text("utf-8")
    tokenizer.write_text(json.dumps(json.loads(before) | {"padding_side": "left"}))
    monkeypatch.setattr("stc_core.backbone.pickling._HERE", {})
    try:
        with pytest.raises(StcError, match=r"with identity .*as at the fit"):
            pickle.loads(data)
    finally:
        tokenizer.write_text(before, "utf-8")


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
