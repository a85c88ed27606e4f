"""Rows whose label is likely wrong: confident learning (Northcutt et al. 2021).

Heads on the neurons of the run are fitted without a row and then judge it. The neurons
were chosen with all labels except those of test, so a wrong label is found a little
less often than with newly chosen neurons. cleanlab, which loads when first used, makes
the estimates.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from stc_core.activations.row_file import block_rows
from stc_core.data.goal import class_weights
from stc_core.errors import StcError
from stc_core.frames import series
from stc_core.heads.folds import FOLDS, stratified_folds
from stc_core.heads.head import SparseHead, mean_and_sd, softmax
from stc_core.heads.least_squares import MOST_TINY, SHARPNESS, solve_positive
from stc_core.heads.moments import Sums, head_from
from stc_core.metrics.scores import fit_temperature
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.types import ClassWeight

FIT_PRODUCTS = 1e12
"""The most multiplications of all fits, which take about 40 s on one core."""
_FEWEST = 2000
"""The fewest rows to fit on, even if that takes more multiplications."""
_COLUMNS = (
    "example",
    "text",
    "label",
    "suggested",
    "score",
    "p_label",
    "p_suggested",
    "file",
    "row",
)


def likely_mislabelled(run: Run, *, seed: int = 0) -> pd.DataFrame:
    """A table with a row for each text that is likely mislabelled, the worst first.

    `example` is the number of the text in the run. `file` (the table or its test file)
    and `row` (without the header) say where its label stands. Texts of every split are
    judged, and no score of the run depends on the result. Raises StcError if the run
    keeps no neurons.
    """
    if not run.has(RunFile.ACTIVATIONS):
        raise StcError(
            "likely mislabelled rows",
            expected="a run that keeps neurons, on which heads can be fitted",
            got=f"a run of the recipe {run.config.train.recipe}, which keeps none",
            remedy="Train with the recipe stc on the same table.",
        )
    corpus, metrics = run.corpus, run.metrics
    names = np.array(metrics["classes"], object)
    codes = _label_codes(corpus, metrics["classes"])
    rows, shares = _judged_rows(run, corpus, metrics, codes, seed=seed)
    suspects = _suspects(codes[rows], shares)
    at = rows[suspects["row"].to_numpy()]
    return pd.DataFrame(
        {
            "example": at,
            "text": corpus["text"].to_numpy()[at],
            "label": names[codes[at]],
            "suggested": names[suspects["suggested"]],
            **{name: suspects[name].to_numpy() for name in _COLUMNS[4:7]},
            **{name: corpus[name].to_numpy()[at] for name in _COLUMNS[7:]},
            "split": corpus["split"].to_numpy()[at],
        }
    )


def _label_codes(corpus: pd.DataFrame, classes: list[str]) -> Int[np.ndarray, " n"]:
    """The index of the label of each text among the classes of the run."""
    positions = pd.Index(classes).get_indexer_for(series(corpus, "label"))
    return positions.astype(np.int64)


def folds_of(
    texts: Sequence[str], codes: Int[np.ndarray, " n"], *, seed: int
) -> Int[np.ndarray, " n"]:
    """The fold of each row, 0 to FOLDS - 1; equal texts are in the same fold."""
    keys = pd.factorize(np.array([text.strip() for text in texts], object))[0]
    return stratified_folds(keys, codes, seed=seed)


def _judged_rows(
    run: Run,
    corpus: pd.DataFrame,
    metrics: RunMetrics,
    codes: Int[np.ndarray, " n"],
    *,
    seed: int,
) -> tuple[Int[np.ndarray, " some"], Float[np.ndarray, "some n_class"]]:
    """The rows that heads fitted without them can judge, and their probabilities."""
    folds = folds_of(corpus["text"].tolist(), codes, seed=seed)
    logits, judged = out_of_fold(
        run.activations,
        codes,
        folds,
        n_class=len(metrics["classes"]),
        ridge=float(metrics["chosen"].get("ridge", 1.0)),
        class_weight=run.goal.class_weight,
        seed=seed,
    )
    rows = np.flatnonzero(judged)
    shares = softmax(logits[rows] / fit_temperature(logits[rows], codes[rows]))
    return rows, shares.astype(np.float64)


def out_of_fold(
    X: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    folds: Int[np.ndarray, " n"],
    *,
    n_class: int,
    ridge: float,
    class_weight: ClassWeight = "none",
    seed: int = 0,
) -> tuple[Float[np.ndarray, "n n_class"], Bool[np.ndarray, " n"]]:
    """The logits of each row by a ridge head fitted on the other folds.

    The second array says which rows that head can judge: the rows of classes that it
    was fitted on. The result equals a new fit for each fold, except that the fit by row
    products scales a neuron by all rows. If there are many rows, the heads are fitted
    on a part drawn by `seed`, within FIT_PRODUCTS; all rows get logits. X may be
    memory-mapped and is read in blocks; the fit by row products holds its rows in
    memory.
    """
    n, d = X.shape
    drawn = np.random.default_rng(seed).permutation(n)[: most_rows(d)]
    some = np.sort(drawn)
    weights = class_weights(codes, n_class, class_weight)[codes]
    by_rows = _products_by_rows(len(some), d) < _products_by_columns(len(some), d)
    without = _by_rows if by_rows else _by_columns
    head_of = without(X, codes, weights, some, n_class=n_class, ridge=ridge)
    logits, judged = np.zeros((n, n_class), np.float32), np.zeros(n, bool)
    for fold in range(int(folds.max()) + 1):
        own = folds == fold
        head = head_of(own)
        for part in _blocks(np.flatnonzero(own), d):
            logits[part] = head.logits(np.asarray(X[part], np.float32))
        shown = np.bincount(codes[some[~own[some]]], minlength=n_class) > 0
        judged[own] = shown[codes[own]]
    return logits, judged


def most_rows(d: int) -> int:
    """The number of rows of `d` neurons to fit on, as FIT_PRODUCTS allows.

    It is _FEWEST at least.
    """
    by_columns = int((FIT_PRODUCTS - _products_by_columns(0, d)) / (2 * d**2))
    by_rows = int(min((FIT_PRODUCTS / d) ** 0.5, FIT_PRODUCTS ** (1 / 3)))
    return max(_FEWEST, by_columns, by_rows)


def _products_by_columns(n: int, d: int) -> float:
    """Multiplications of the fit by columns.

    Each row counts twice, in the total and in its fold; each fold adds a factorisation.
    """
    return 2.0 * n * d**2 + FOLDS * d**3 / 6


def _products_by_rows(n: int, d: int) -> float:
    """Multiplications of the fit by rows: one symmetric product, and a factorisation
    for each fold."""
    return n**2 * d / 2 + FOLDS * (n * (1 - 1 / FOLDS)) ** 3 / 6


def _by_columns(
    X: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    some: Int[np.ndarray, " k"],
    *,
    n_class: int,
    ridge: float,
) -> Callable[[Bool[np.ndarray, " n"]], SparseHead]:
    """A function that gives the head without a fold, from sums over the rows `some`."""
    d = X.shape[1]
    mean, sd = mean_and_sd(np.asarray(X[some[:_FEWEST]], np.float32))
    empty = np.zeros((n_class, d), np.float32)
    plain = SparseHead((), mean, sd, empty, empty[:, 0], ())

    def sums_over(rows: Int[np.ndarray, " few"]) -> Sums:
        sums = Sums(mean, sd, n_class)
        for part in _blocks(rows, d):
            sums.add(np.asarray(X[part], np.float32), codes[part], weights[part])
        return sums

    total = sums_over(some)

    def head_without(own: Bool[np.ndarray, " n"]) -> SparseHead:
        rest = total - sums_over(some[own[some]])
        return head_from(rest, plain, ridge=ridge, trust=np.ones(d, np.float32))

    return head_without


def _by_rows(
    X: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    some: Int[np.ndarray, " k"],
    *,
    n_class: int,
    ridge: float,
) -> Callable[[Bool[np.ndarray, " n"]], SparseHead]:
    """A function that gives the head without a fold, from inner products of the rows.

    All folds share these products.
    """
    Z, weight = np.array(X[some], np.float32), weights[some]
    mean, sd = mean_and_sd(Z, weight)
    Z -= mean
    Z /= sd
    products = Z @ Z.T

    def head_without(own: Bool[np.ndarray, " n"]) -> SparseHead:
        rest = np.flatnonzero(~own[some])
        share = weight[rest] / weight[rest].sum()
        Y = np.eye(n_class, dtype=np.float32)[codes[some[rest]]]
        prior = share @ Y
        G = products[np.ix_(rest, rest)]
        across = G @ share
        G -= across
        G -= (across - share @ across)[:, None]
        size = max(ridge * float(share @ G.diagonal()), MOST_TINY)
        dual = solve_positive(G, size / weight[rest], Y - prior)
        spread = np.zeros((len(some), n_class), np.float32)
        spread[rest] = dual - np.outer(share, dual.sum(axis=0))
        center, W = mean + sd * (share @ Z[rest]), SHARPNESS * (spread.T @ Z)
        return SparseHead((), center, sd, W, SHARPNESS * prior, ())

    return head_without


def _suspects(
    codes: Int[np.ndarray, " n"], shares: Float[np.ndarray, "n n_class"]
) -> pd.DataFrame:
    """A table of the rows that clearly belong to another class, by rising score.

    Its columns are row, suggested (a class code), score, p_label and p_suggested. A row
    belongs to a class clearly if its probability for the class is at least the mean
    probability of the rows with that label (Northcutt et al. 2021, the confident
    joint). The score is the normalised margin (p_label - p_suggested + 1) / 2; 0 means
    most likely wrong.
    """
    from cleanlab.filter import find_label_issues

    rows = find_label_issues(
        codes,
        shares,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    rows = np.asarray(rows, np.int64)
    top = shares[rows].argmax(axis=1)
    labelled, other = shares[rows, codes[rows]], shares[rows, top]
    return pd.DataFrame(
        {
            "row": rows,
            "suggested": top,
            "score": (labelled - other + 1) / 2,
            "p_label": labelled,
            "p_suggested": other,
        }
    )


def _blocks(rows: Int[np.ndarray, " some"], width: int) -> list[np.ndarray]:
    size = block_rows(width)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
