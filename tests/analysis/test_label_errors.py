"""Likely mislabelled rows: folds, heads that have not seen them, planted errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis import label_errors
from stc_core.analysis.label_errors import (
    _COLUMNS,
    FOLDS,
    _suspects,
    folds_of,
    likely_mislabelled,
    out_of_fold,
)
from stc_core.data.goal import Goal, class_weights
from stc_core.data.task import Task
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.heads.head import mean_and_sd, softmax
from stc_core.heads.least_squares import SHARPNESS
from stc_core.heads.ridge import fit_ridge_head
from stc_core.runs.run import Run
from stc_core.types import Feature, Site

N, D, K = 150, 6, 3


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three well parted classes."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, K, N)
    X = rng.normal(size=(N, D)) + 4 * np.eye(K, D)[codes]
    return X.astype(np.float32), codes


def texts(n: int = N) -> list[str]:
    return [f"text {i}" for i in range(n)]


def test_folds_are_even_in_each_class_and_keep_equal_texts_together(blobs):
    codes = blobs[1]
    same = ["once", " once ", *texts(N)[2:]]
    folds = folds_of(same, codes, seed=0)
    assert folds[0] == folds[1]
    for code in range(K):
        counts = np.bincount(folds[2:][codes[2:] == code], minlength=FOLDS)
        assert counts.max() - counts.min() <= 2
    assert (folds_of(same, codes, seed=0) == folds).all()
    assert (folds_of(same, codes, seed=1) != folds).any()


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_more_neurons_than_rows_go_by_the_rows(class_weight, monkeypatch):
    """Each fold's head is the ridge of the other rows, in the scale of all of them."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, K, N)
    X = (rng.normal(size=(N, 400)) + 2 * np.eye(K, 400)[codes]).astype(np.float32)
    X[:, 7] = 3  # flat
    folds = folds_of(texts(), codes, seed=0)
    given = {"n_class": K, "ridge": 0.3, "class_weight": class_weight}
    found, judged = out_of_fold(X, codes, folds, **given)
    assert judged.all()
    weights = class_weights(codes, K, class_weight)[codes]
    mean, sd = mean_and_sd(X, weights)
    Z = ((X - mean) / sd).astype(np.float64)
    for fold in range(folds.max() + 1):
        rest = folds != fold
        w = weights[rest, None]
        Y, A = np.eye(K)[codes[rest]], Z[rest]
        prior, center = (w * Y).sum(0) / w.sum(), (w * A).sum(0) / w.sum()
        A = A - center
        size = 0.3 * ((w * A**2).sum() / w.sum())
        W = np.linalg.solve(A.T @ (w * A) + size * np.eye(400), A.T @ (w * (Y - prior)))
        expected = SHARPNESS * ((Z[~rest] - center) @ W + prior)
        assert found[~rest] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    monkeypatch.setattr(label_errors, "_products_by_rows", lambda n, d: np.inf)
    anew, _ = out_of_fold(X, codes, folds, **given)
    assert (found.argmax(axis=1) == anew.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("d", [1, 50, 2000, 8192, 20_000])
def test_the_fits_are_bounded_however_many_neurons(d: int):
    n = label_errors.most_rows(d)
    takes = min(
        label_errors._products_by_rows(n, d), label_errors._products_by_columns(n, d)
    )
    assert n >= label_errors._FEWEST and takes <= 1.01 * label_errors.FIT_PRODUCTS


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_it_equals_a_fit_anew_without_the_fold(blobs, class_weight, monkeypatch):
    X, codes = blobs
    folds = folds_of(texts(), codes, seed=0)
    monkeypatch.setattr(label_errors, "block_rows", lambda width: 16)
    found, judged = out_of_fold(
        X, codes, folds, n_class=K, ridge=0.3, class_weight=class_weight
    )
    assert judged.all()
    features = [Feature(Site(1, "mlp"), "mean", i) for i in range(D)]
    for fold in range(FOLDS):
        rest = np.flatnonzero(folds != fold)
        task = Task(
            codes, ("a", "b", "c"), rest, rest[:0], Goal("accuracy", class_weight)
        )
        head = fit_ridge_head(X, task, features, rows=rest, ridge=0.3)
        head = head._replace(low=None, high=None)  # these heads have no range
        own = folds == fold
        # Balanced weights are those of all rows here: shares differ by one row or two.
        near = 1e-3 if class_weight == "none" else 0.2
        assert np.allclose(found[own], head.logits(X[own]), atol=near)


def test_a_row_does_not_judge_itself(blobs):
    X, codes = blobs
    folds = folds_of(texts(), codes, seed=0)
    before = out_of_fold(X, codes, folds, n_class=K, ridge=1.0)[0]
    wrong = codes.copy()
    wrong[0] = (codes[0] + 1) % K
    after = out_of_fold(X, wrong, folds, n_class=K, ridge=1.0)[0]
    assert np.allclose(before[folds == folds[0]], after[folds == folds[0]], atol=1e-3)


def test_a_class_that_is_in_one_fold_alone_is_not_judged(blobs):
    X, codes = blobs
    codes = codes.copy()
    codes[0] = K
    folds = folds_of(texts(), codes, seed=0)
    judged = out_of_fold(X, codes, folds, n_class=K + 1, ridge=1.0)[1]
    assert np.flatnonzero(~judged).tolist() == [0]


def test_of_many_rows_some_are_fitted_on_and_all_are_judged(blobs, monkeypatch):
    monkeypatch.setattr(label_errors, "FIT_PRODUCTS", 1)
    monkeypatch.setattr(label_errors, "_FEWEST", 60)
    X, codes = blobs
    folds = folds_of(texts(), codes, seed=0)
    logits, judged = out_of_fold(X, codes, folds, n_class=K, ridge=1.0)
    assert judged.all()
    assert (logits.argmax(axis=1) == codes).mean() > 0.95


def test_planted_errors_are_found_and_the_worst_come_first(blobs):
    X, codes = blobs
    wrong = codes.copy()
    planted = np.arange(0, 60, 10)
    wrong[planted] = (codes[planted] + 1) % K
    folds = folds_of(texts(), wrong, seed=0)
    logits, _ = out_of_fold(X, wrong, folds, n_class=K, ridge=1.0)
    shares = softmax(logits).astype(np.float64)
    found = _suspects(wrong, shares)
    rows, suggested = found["row"].to_numpy(), found["suggested"].to_numpy()
    assert len(set(planted) & set(rows)) >= 5
    assert len(rows) <= 7
    assert (suggested == codes[rows])[np.isin(rows, planted)].all()
    best, own = shares[rows].max(axis=1), shares[rows, wrong[rows]]
    assert np.allclose(found["score"], (own - best + 1) / 2)
    assert list(found["score"]) == sorted(found["score"])


def test_the_rows_of_a_run(run_folder: Path, tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    for one in run_folder.iterdir():
        (folder / one.name).symlink_to(one)
    corpus = pd.read_parquet(run_folder / "corpus.parquet")
    classes = sorted(corpus["label"].unique())
    planted = np.arange(5, 200, 25)
    labels = corpus["label"].to_numpy(dtype=object, copy=True)
    labels[planted] = [
        classes[(classes.index(name) + 3) % len(classes)] for name in labels[planted]
    ]
    (folder / "corpus.parquet").unlink()
    corpus.assign(label=labels).to_parquet(folder / "corpus.parquet")
    found = likely_mislabelled(Run.open(folder))
    assert tuple(found.columns) == (*_COLUMNS, "split")
    # A processor may choose other neurons; by chance one of the eight would be found.
    assert len(set(planted) & set(found["example"])) >= 4
    assert len(found) <= len(corpus) // 8
    assert found["text"].tolist() == corpus["text"][found["example"]].tolist()
    for name in ("file", "row"):
        assert found[name].tolist() == corpus[name][found["example"]].tolist()
    assert (found["label"] != found["suggested"]).to_numpy().all()
    assert (found["p_label"] < found["p_suggested"]).to_numpy().all()


def test_a_run_without_neurons_says_why(run_folder: Path, tmp_path: Path):
    (tmp_path / "config.json").symlink_to(run_folder / "config.json")
    write_json(tmp_path / "status.json", {"state": "done"})
    with pytest.raises(StcError, match="which keeps none"):
        likely_mislabelled(Run.open(tmp_path))


@pytest.mark.parametrize("n_class", [2, 5])
def test_labels_that_all_fit_are_none_found(n_class):
    codes = np.arange(40) % 2  # of the others there is no row
    shares = np.full((40, n_class), 0.1 / (n_class - 1))
    shares[np.arange(40), codes] = 0.9
    assert _suspects(codes, shares).empty
