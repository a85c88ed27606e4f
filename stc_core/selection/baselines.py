"""Baselines to compare with: the same rows and the same head, without selection."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from stc_core.data.task import Read, Task
from stc_core.heads.head import mean_and_sd
from stc_core.heads.kernel_ridge import Block, joint_ridge
from stc_core.heads.least_squares import RIDGES, solve_ridge
from stc_core.heads.ridge import fit_ridge_head, moments
from stc_core.metrics.intervals import accuracy_interval, macro_f1_interval
from stc_core.metrics.paired import compare_paired
from stc_core.metrics.scores import (
    SAME_SCORE,
    accuracy,
    last_best,
    macro_f1,
    metric_of,
)
from stc_core.probes.fit import ProbeResult
from stc_core.types import PooledSite

TFIDF_CS = (1.0, 3.0, 10.0, 30.0, 100.0)
WORD = r"(?u)\b\w+\b|[^\w\s]"
"""A word of any length, or a single sign, so that a text of emoji has words, too."""
_MOST_WORDS = 100_000
MOST_DENSE_ROWS = 12_000
"""The most rows that `all_sites` is fitted on: its cost grows with their square."""


class Guess(NamedTuple):
    """Predicted class codes of the test rows, and how the model was chosen.

    `layer` is the layer that the baseline reads, None if it does not read just one.
    """

    codes: Int[np.ndarray, " n_test"]
    detail: str
    layer: int | None = None


def baselines_of(
    read: Read,
    texts: Sequence[str],
    task: Task,
    test: Int[np.ndarray, " n_test"],
    probes: Sequence[ProbeResult],
    *,
    seed: int = 0,
) -> dict[str, Callable[[], Guess]]:
    """Five baselines by name, each fitted when it is called.

    majority: the most frequent class. tfidf: words and pairs of words, logistic
    regression. last_layer: the best pooling of the last residual site read. best_site:
    the best pooled site of all. all_sites: every pooled site, no selection.

    All choices are made on validation, by macro-F1 with class weights, else by
    accuracy. The baselines on activations have the poolings, the standardisation, the
    ridge path and the refit on train and validation of the `stc` head.
    """
    residual = [p for p in probes if p.pooled_site.site.kind == "resid"] or list(probes)
    deepest = max(p.pooled_site.site.layer for p in residual)
    last = [p for p in residual if p.pooled_site.site.layer == deepest]
    return {
        "majority": lambda: _majority(task, test),
        "tfidf": lambda: _tfidf(texts, task, test),
        "last_layer": lambda: _last_layer(read, task, test, last),
        "best_site": lambda: _site(read, task, test, _leaders(probes, task)),
        "all_sites": lambda: _all_sites(read, task, test, probes, seed=seed),
    }


def score_baseline(
    y: Int[np.ndarray, " n"],
    guess: Guess,
    *,
    ours: Int[np.ndarray, " n"] | None = None,
    n_class: int | None = None,
) -> dict[str, Any]:
    """Accuracy and macro-F1 with 95 % intervals, and the baseline's details.

    `n_class` is the number of classes, of which some may have no row in y. If macro-F1
    has no interval, it is None, and `macro_f1_reason` says why. `ours` holds the
    classes that the classifier gives to the same texts. With them the result also has
    `lead_interval`: the interval of the classifier's accuracy minus that of the
    baseline on the same texts.
    """
    details: dict[str, Any] = {"detail": guess.detail}
    if ours is not None:
        comparison = compare_paired(guess.codes == y, ours == y)
        details["lead_interval"] = comparison.low, comparison.high
    if guess.layer is not None:
        details |= {"layer": guess.layer}
    right = accuracy(y, guess.codes)
    of_f1 = macro_f1_interval(y, guess.codes, n_class=n_class)
    if of_f1.reason:
        details["macro_f1_reason"] = of_f1.reason
    return {
        "accuracy": right,
        "accuracy_interval": accuracy_interval(right, len(y)),
        "macro_f1": macro_f1(y, guess.codes),
        "macro_f1_interval": of_f1.bounds,
        **details,
    }


def _majority(task: Task, test: np.ndarray) -> Guess:
    common = int(np.bincount(task.codes[task.learned]).argmax())
    return Guess(np.full(len(test), common), task.classes[common])


def _tfidf(texts: Sequence[str], task: Task, test: np.ndarray) -> Guess:
    def words_of(rows: np.ndarray) -> list[str]:
        return [texts[int(row)] for row in rows]

    def fit(X: Any, rows: np.ndarray, C: float) -> LogisticRegression:
        # On trec it takes 6 steps where L-BFGS takes 75: a thirtieth of the time.
        model = LogisticRegression(
            C=C, class_weight=task.class_weight, solver="newton-cg"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "(?i).*line search")
            return model.fit(X, task.codes[rows])

    score, y = metric_of(task.class_weight), task.codes[task.validation]
    vectorizer = _vectorizer()
    X = vectorizer.fit_transform(words_of(task.train))
    X_val = vectorizer.transform(words_of(task.validation))
    best = max(  # the first of equals
        TFIDF_CS, key=lambda C: score(y, fit(X, task.train, C).predict(X_val))
    )
    vectorizer = _vectorizer()
    final = fit(vectorizer.fit_transform(words_of(task.learned)), task.learned, best)
    guess = np.asarray(final.predict(vectorizer.transform(words_of(test))))
    return Guess(guess, f"1-2-grams, C = {best:g}")


def _vectorizer() -> TfidfVectorizer:
    # Half as wide as the default; the type stub knows only the default.
    float32: Any = np.float32
    return TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        token_pattern=WORD,
        max_features=_MOST_WORDS,
        dtype=float32,
    )


def _leaders(
    probes: Sequence[ProbeResult], task: Task, n: int = 5
) -> list[ProbeResult]:
    """The probes of the `n` best pooled sites; the ridge head decides among them."""

    def score(probe: ProbeResult) -> float:
        scores = probe.val_accuracy if task.class_weight is None else probe.val_macro_f1
        return -scores[probe.best]

    return sorted(probes, key=score)[:n]


def _last_layer(
    read: Read, task: Task, test: np.ndarray, probes: Sequence[ProbeResult]
) -> Guess:
    """The guess of the best pooling of the probes' layer, which the detail names."""
    guess = _site(read, task, test, probes)
    layer = probes[0].pooled_site.site.layer
    return guess._replace(detail=f"layer {layer}: {guess.detail}", layer=layer)


def _site(
    read: Read, task: Task, test: np.ndarray, probes: Sequence[ProbeResult]
) -> Guess:
    """The guess of a ridge head on one whole pooled site: the best site of `probes`."""
    score, y = metric_of(task.class_weight), task.codes[task.validation]
    best: tuple[float, float, PooledSite] | None = None
    for probe in probes:
        X = read(probe.pooled_site)
        mean, sd = mean_and_sd(X[task.train], task.weights(task.train))
        Z = ((X - mean) / sd).astype(np.float32)
        train = moments(Z[task.train], task, task.train)
        for ridge in sorted(RIDGES, reverse=True):
            W = solve_ridge(train.gram, ridge)
            logits = Z[task.validation] @ W + train.prior
            site_score = score(y, logits.argmax(axis=1))
            if best is None or site_score > best[0] + SAME_SCORE:
                best = site_score, ridge, probe.pooled_site
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
    """The guess of a ridge head on every column of every pooled site (eta = 1)."""
    train, learned = _some_rows(task, seed)
    sites = [probe.pooled_site for probe in probes]
    score, y = metric_of(task.class_weight), task.codes[task.validation]
    widths = [probe.path.coef.shape[2] for probe in probes]
    blocks = [
        Block(partial(read, site), width)
        for site, width in zip(sites, widths, strict=True)
    ]
    validation = task.validation
    trial_logits = joint_ridge(
        blocks, task, train, others=validation, ridges=RIDGES
    ).scores
    scores = [score(y, logits.argmax(axis=1)) for logits in trial_logits]
    best = RIDGES[last_best(np.array(scores))]
    final = joint_ridge(blocks, task, learned, others=test, ridges=(best,))
    logits = final.scores[0]
    is_cut = len(learned) < len(task.learned)
    suffix = f", fitted on {len(learned):,} rows" if is_cut else ""
    detail = f"{sum(widths):,} features, least squares, ridge {best:g}{suffix}"
    return Guess(logits.argmax(axis=1), detail)


def _some_rows(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for the choice of the ridge, and rows for the final fit.

    The first are training rows, the second train and validation rows. If there are more
    than MOST_DENSE_ROWS of the second, both are drawn at random, in the same
    proportion.
    """
    train, learned = task.train, task.learned
    if len(learned) <= MOST_DENSE_ROWS:
        return train, learned
    rng = np.random.default_rng(seed)
    n = int(len(train) * MOST_DENSE_ROWS / len(learned))
    train = np.sort(rng.choice(train, n, replace=False))
    validation = rng.choice(task.validation, MOST_DENSE_ROWS - n, replace=False)
    return train, np.concatenate([train, validation])
