"""In blocks or at once: the same activations, and the same head."""

from typing import Any

import numpy as np
import pytest

from helpers.models.tiny import tiny_backbone
from helpers.toy_features import goal_with
from stc_core.activations import row_file as rows_module
from stc_core.activations.extract import extract, extract_features
from stc_core.activations.row_file import write_rows
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import SparseHead
from stc_core.heads.ridge import fit_ridge_head
from stc_core.heads.word_readout import WordReadout, ngram_matrix
from stc_core.metrics.scores import fit_temperature
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import (
    _gather,
    activation_blocks,
    ranged_over,
    refit,
)
from stc_core.types import Feature, PooledSite, Site

FEATURES = (
    Feature(Site(2, "resid"), "mean", 3),
    Feature(Site(1, "mlp"), "max", 5),
    Feature(Site(2, "resid"), "mean", 0),
)
TEXTS = [f"a {'good' if i % 2 else 'bad'} film of {i} words" for i in range(23)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows_module, "_MOST_ROWS", 5)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory):
    """The store of texts 20, 3 and 4, and which text has which place in it."""
    sites = sorted({PooledSite(f.site, f.pooling) for f in FEATURES})
    rows = np.array([20, 3, 4])
    store = extract(
        tiny_backbone("bert"),
        [TEXTS[row] for row in rows],
        sites,
        store_dtype="float32",
        folder=tmp_path_factory.mktemp("store"),
    )
    known = np.full(len(TEXTS), -1)
    known[rows] = np.arange(3)
    return store, known


def test_stored_or_computed_the_values_are_the_same(stored):
    store, known = stored
    told = []
    blocks = activation_blocks(
        tiny_backbone("bert"),
        Texts(TEXTS),
        FEATURES,
        groups=[np.arange(23)],
        read=store.read,
        known=known,
        progress=lambda done, total: told.append((done, total)),
    )
    found = np.concatenate(list(blocks))
    wanted = extract_features(tiny_backbone("bert"), TEXTS, FEATURES)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert told == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]


def test_what_is_stored_is_not_computed(stored, monkeypatch):
    store, _ = stored
    monkeypatch.setattr("stc_core.selection.streaming.extract_features", None)
    rows = np.array([2, 0])
    blocks = activation_blocks(
        tiny_backbone("bert"),
        Texts(TEXTS[:2]),
        FEATURES,
        groups=[np.arange(2)],
        read=store.read,
        known=rows,
    )
    np.testing.assert_array_equal(
        np.concatenate(list(blocks)), _gather(store.read, FEATURES, rows)
    )


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_head_is_the_one_fitted_in_memory(tmp_path, class_weight, monkeypatch):
    monkeypatch.setattr("stc_core.selection.streaming.ENOUGH", 20)
    rng = np.random.default_rng(0)
    n, d = 97, len(FEATURES)
    codes = np.sort(rng.integers(0, 3, n))
    X = rng.standard_normal((n, d)) * [1, 4, 0.2] + [0, 30, 2]
    X = (X + 0.8 * codes[:, None]).astype(np.float32)
    order = rng.permutation(n)
    task = Task(
        codes, ("a", "b", "c"), order[:60], order[60:80], goal_with(class_weight)
    )
    trust = np.array([1, 0.5, 0.3], np.float32)
    same: Any = {"ridge": 0.3, "trust": trust}
    first = fit_ridge_head(X, task, FEATURES, rows=task.train, **same)
    wanted = fit_ridge_head(X, task, FEATURES, rows=task.learned, **same)
    # What was chosen on a sample: its head says how to standardise, roughly.
    few = task._replace(train=task.train[:15], validation=task.validation[:8])
    rough = fit_ridge_head(X, few, FEATURES, rows=few.train, **same)
    chosen: Any = {"ridge": 0.3, "eta": 0.9, "temperature": 3.0}
    held = few.validation
    before = Fitted(rough, (), chosen, held, rough.logits(X[held]), trust)
    rows = write_rows(tmp_path / "x.npy", iter([X]), n=n, width=d)
    texts = Texts(["a"] * n)
    found = refit(rows, task, before, texts)
    assert found.chosen["eta"] == 0.9 and found.head.features == FEATURES
    # With enough rows validation alone gives the temperature.
    plain, y_val = first.logits(X[task.validation]), task.codes[task.validation]
    temperature = fit_temperature(plain, y_val)
    assert found.chosen["temperature"] == pytest.approx(temperature, rel=1e-3)
    head = wanted.cooled(temperature)
    np.testing.assert_array_equal(found.held, task.validation)
    np.testing.assert_allclose(found.held_logits, plain / temperature, atol=2e-4)
    (judge,) = found.fold_heads
    judged = judge.logits(X[found.held])
    np.testing.assert_allclose(judged, found.held_logits, atol=1e-5)
    assert not found.fold.any() and len(found.fold) == len(found.held)
    np.testing.assert_allclose(
        found.head.logits(X), head.logits(X), rtol=1e-3, atol=2e-4
    )
    np.testing.assert_allclose(found.head.weight, head.weight, atol=2e-4)
    assert np.abs(rough.weight - wanted.weight).max() > 0.01
    monkeypatch.setattr("stc_core.selection.streaming.ENOUGH", 21)
    again = refit(rows, task, before, texts)
    assert again.chosen["temperature"] == 3.0  # that of the sample


def test_words_are_fitted_again_with_the_neurons(tmp_path):
    """The head on neurons and words equals one ridge model of all columns."""
    rng = np.random.default_rng(1)
    n, d = 80, len(FEATURES)
    codes = rng.integers(0, 2, n)
    said = ["good film", "bad film"]
    texts = [
        f"{said[code]} {'so' * int(rng.integers(2))} {i % 7}"
        for i, code in enumerate(codes)
    ]
    X = rng.standard_normal((n, d)).astype(np.float32)
    task = Task(codes, ("a", "b"), np.arange(50), np.arange(50, 70))
    words = WordReadout(("good", "bad", "film"), np.zeros((2, 3), np.float32))
    rough = fit_ridge_head(X, task, FEATURES, rows=task.train, ridge=0.3)
    trust = np.array([1, 0.5, 0.3, 0.2, 0.2, 0.1], np.float32)
    chosen: Any = {"ridge": 0.3, "temperature": 2.0}
    before = Fitted(
        rough, (), chosen, task.validation, np.zeros((20, 2), np.float32), trust
    )
    rows = write_rows(tmp_path / "x.npy", iter([X]), n=n, width=d)
    found = refit(rows, task, before._replace(words=words), Texts(texts))
    assert found.words is not None and found.words.words == words.words
    values = ngram_matrix(texts, {"good": 0, "bad": 1, "film": 2}).toarray()
    both = np.concatenate([X, values], axis=1)
    one = fit_ridge_head(both, task, (), rows=task.learned, ridge=0.3, trust=trust)
    expected = one.without_range().logits(both) / 2
    logits = found.head.without_range().logits(X) + found.words.logits(texts)
    np.testing.assert_allclose(logits, expected, atol=2e-3)
    judge, judged = found.fold_heads[0], texts[50:70]
    held = judge.logits(X[50:70]) + found.fold_words[0].logits(judged)
    np.testing.assert_allclose(found.held_logits, held, atol=1e-4)


def test_the_range_over_rows_is_that_of_their_values(tmp_path):
    X = np.random.default_rng(0).standard_normal((50, len(FEATURES))).astype(np.float32)
    rows = write_rows(tmp_path / "x.npy", iter([X]), n=50, width=len(FEATURES))
    some = np.array([7, 3, 31, 12])
    empty = np.zeros((2, len(FEATURES)), np.float32)
    head = SparseHead(FEATURES, X[0], X[0], empty, empty[:, 0], ("a", "b"))
    found = ranged_over(head, rows, some)
    assert found.low is not None and found.high is not None
    np.testing.assert_array_equal(found.low, X[some].min(axis=0))
    np.testing.assert_array_equal(found.high, X[some].max(axis=0))
