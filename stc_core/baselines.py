"""What a user would compare with: the same rows, the same head, no selection."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from stc_core.axes import PooledSite, Progress, silent
from stc_core.head import standard
from stc_core.metrics import accuracy, bootstrap_interval, macro_f1
from stc_core.probe import ProbeResult
from stc_core.select import solve_ridge
from stc_core.sparsify import RIDGES, Read, Task, fit_ridge_head, moments_of

TFIDF_CS = (1.0, 3.0, 10.0, 30.0, 100.0)
WORD = r"(?u)\b\w+\b|[^\w\s]"
"""A word of any length, or a sign: a text of emoji has words, too."""
MOST_WORDS = 100_000
MOST_TINY = 1e-6
MOST_ROWS = 12_000
"""Rows that `all_sites` is fitted on: its cost grows with their square."""


class Guess(NamedTuple):
    """Predicted class codes of the test rows, and how the model was chosen."""

    codes: Int[np.ndarray, " n_test"]
    detail: str


def fit_baselines(
    read: Read,
    texts: Sequence[str],
    task: Task,
    test: Int[np.ndarray, " n_test"],
    probes: Sequence[ProbeResult],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Guess]:
    """Test predictions of five baselines; every choice is made on validation.

    majority; tfidf (words and pairs of words, logistic regression); last_layer and
    best_site (the best pooling of the last residual site, the best pooled site of
    all, by validation), all_sites (every pooled site, no selection). Those on
    activations have the poolings, standardisation, ridge path and refit on train and
    validation of the `stc` head.
    """
    residual = [p for p in probes if p.pooled_site.site.kind == "resid"] or list(probes)
    deepest = max(p.pooled_site.site.layer for p in residual)
    last = [p for p in residual if p.pooled_site.site.layer == deepest]
    jobs: dict[str, Callable[[], Guess]] = {
        "majority": lambda: _majority(task, test),
        "tfidf": lambda: _tfidf(texts, task, test),
        "last_layer": lambda: _site(read, task, test, last),
        "best_site": lambda: _site(read, task, test, _leaders(probes)),
        "all_sites": lambda: _all_sites(read, task, test, probes, seed=seed),
    }
    guesses = {}
    for done, (name, job) in enumerate(jobs.items(), start=1):
        guesses[name] = job()
        progress(done, len(jobs))
    return guesses


def scored(y: Int[np.ndarray, " n"], guess: Guess, *, seed: int = 0) -> dict[str, Any]:
    """Accuracy and macro-F1 with 95 % bootstrap intervals."""
    return {
        "accuracy": accuracy(y, guess.codes),
        "accuracy_interval": bootstrap_interval(y, guess.codes, seed=seed),
        "macro_f1": macro_f1(y, guess.codes),
        "macro_f1_interval": bootstrap_interval(y, guess.codes, macro_f1, seed=seed),
        "detail": guess.detail,
    }


def _majority(task: Task, test: np.ndarray) -> Guess:
    common = int(np.bincount(task.codes[task.learned]).argmax())
    return Guess(np.full(len(test), common), task.classes[common])


def _tfidf(texts: Sequence[str], task: Task, test: np.ndarray) -> Guess:
    def fit(rows: np.ndarray, C: float) -> tuple[TfidfVectorizer, LogisticRegression]:
        words = TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            token_pattern=WORD,
            max_features=MOST_WORDS,
        )
        X = words.fit_transform([texts[row] for row in rows])
        model = LogisticRegression(C=C, class_weight=task.class_weight, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, task.codes[rows])
        return words, model

    def guess(
        model: tuple[TfidfVectorizer, LogisticRegression], rows: np.ndarray
    ) -> np.ndarray:
        words, linear = model
        X = words.transform([texts[row] for row in rows])
        return np.asarray(linear.predict(X))

    y = task.codes[task.validation]
    scores = [accuracy(y, guess(fit(task.train, C), task.validation)) for C in TFIDF_CS]
    best = TFIDF_CS[int(np.argmax(scores))]
    final = fit(task.learned, best)
    return Guess(guess(final, test), f"1-2-grams, C = {best:g}")


def _leaders(probes: Sequence[ProbeResult], n: int = 5) -> list[ProbeResult]:
    """The pooled sites with the best probes; the ridge head decides among them."""
    return sorted(probes, key=lambda probe: -probe.val_accuracy[probe.best])[:n]


def _site(
    read: Read, task: Task, test: np.ndarray, probes: Sequence[ProbeResult]
) -> Guess:
    """The ridge head on one whole pooled site: the best of those of `probes`."""
    y = task.codes[task.validation]
    best: tuple[float, float, PooledSite] | None = None
    for probe in probes:
        X = read(probe.pooled_site)
        mean, sd = standard(X[task.train], task.weights(task.train))
        Z = ((X - mean) / sd).astype(np.float32)
        train = moments_of(Z, task, task.train)
        for ridge in sorted(RIDGES, reverse=True):
            W = solve_ridge(train.gram, ridge)
            scores = Z[task.validation] @ W + train.prior
            right = accuracy(y, scores.argmax(axis=1))
            if best is None or right > best[0]:
                best = right, ridge, probe.pooled_site
    assert best is not None, "no probes"
    _, ridge, pooled_site = best
    X = read(pooled_site)
    head = fit_ridge_head(X, task, (), rows=task.learned, ridge=ridge)
    guess = head.logits(X[test]).argmax(axis=1)
    return Guess(guess, f"{pooled_site}, ridge {ridge:g}")


def _all_sites(
    read: Read,
    task: Task,
    test: np.ndarray,
    probes: Sequence[ProbeResult],
    *,
    seed: int,
) -> Guess:
    """A ridge head on every column of every pooled site (eta = 1).

    With more features than rows, ridge regression is solved in its dual form: exact,
    and the features are seen through their inner products only.
    """
    train, learned = task.train, task.learned
    cut = len(learned) > MOST_ROWS
    if cut:
        rng = np.random.default_rng(seed)
        n = int(len(train) * MOST_ROWS / len(learned))
        train = np.sort(rng.choice(train, n, replace=False))
        learned = np.concatenate(
            [train, rng.choice(task.validation, MOST_ROWS - n, False)]
        )
    sites = [probe.pooled_site for probe in probes]
    G, K = _products(read, sites, train, task.validation, task.weights(train))
    y = task.codes[task.validation]
    scores = {
        ridge: accuracy(y, _dual_guess(G, K, task, train, ridge)) for ridge in RIDGES
    }
    best = max(RIDGES, key=lambda ridge: (scores[ridge], ridge))
    del G, K
    G, K = _products(read, sites, learned, test, task.weights(learned))
    width = sum(probe.path.coef.shape[2] for probe in probes)
    rows = f", fitted on {len(learned):,} rows" if cut else ""
    detail = f"{width:,} features, least squares, ridge {best:g}{rows}"
    return Guess(_dual_guess(G, K, task, learned, best), detail)


def _products(
    read: Read,
    sites: Sequence[PooledSite],
    rows: np.ndarray,
    others: np.ndarray,
    weights: np.ndarray,
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "m n"]]:
    """Inner products of the standardised `rows` with themselves and with `others`."""
    G = np.zeros((len(rows), len(rows)), np.float32)
    K = np.zeros((len(others), len(rows)), np.float32)
    for pooled_site in sites:
        X = read(pooled_site)
        mean, sd = standard(X[rows], weights)
        Z = (X[rows] - mean) / sd
        G += Z @ Z.T
        K += ((X[others] - mean) / sd) @ Z.T
    return G, K


def _dual_guess(
    G: Float[np.ndarray, "n n"],
    K: Float[np.ndarray, "m n"],
    task: Task,
    rows: np.ndarray,
    ridge: float,
) -> Int[np.ndarray, " m"]:
    weights = task.weights(rows)
    Y = np.eye(len(task.classes), dtype=np.float32)[task.codes[rows]]
    prior = weights @ Y / weights.sum()
    A = G.copy()
    penalty = max(ridge * float(np.trace(G)) / len(rows), MOST_TINY)
    np.einsum("ii->i", A)[...] += penalty / weights
    dual = scipy.linalg.solve(A, Y - prior, assume_a="pos", overwrite_a=True)
    return (K @ dual + prior).argmax(axis=1)
