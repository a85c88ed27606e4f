"""Populations whose true scores are known, for the bench of the coverage.

Classes have equal or Zipf shares, or one is rare; recalls differ by class, and errors
go mostly to a few classes. Probes share the difficulty of a row, neighbours more of it.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

RARE = {2: 0.02, 10: 0.02, 77: 0.002}
"""The share of the rare class, by the number of classes."""
_SPREAD, _NEIGHBOURS, _POOL = 12.0, 3.0, 9
"""Of the recalls (a Beta prior), of the errors of a class, and of alike probes."""


def shares(kind: str, n_class: int) -> Float[np.ndarray, " n_class"]:
    """The share of each class: "equal", "zipf" or "rare"."""
    if kind == "zipf":
        weights = 1 / np.arange(1, n_class + 1)
        return weights / weights.sum()
    found = np.full(n_class, 1 / n_class)
    if kind == "rare":
        found[:] = (1 - RARE[n_class]) / (n_class - 1)
        found[-1] = RARE[n_class]
    return found


def population(
    kind: str, n_class: int, accuracy: float, seed: int
) -> Float[np.ndarray, "n_class n_class"]:
    """The share of each (true, predicted) pair."""
    rng, share = np.random.default_rng(seed), shares(kind, n_class)
    recall = rng.beta(_SPREAD * accuracy, _SPREAD * (1 - accuracy), n_class)
    for _ in range(50):
        recall = np.clip(recall + accuracy - share @ recall, 0.02, 0.999)
    cells = np.zeros((n_class, n_class))
    for true in range(n_class):
        others = np.flatnonzero(np.arange(n_class) != true)
        alike = rng.dirichlet(np.full(n_class - 1, max(_NEIGHBOURS / n_class, 0.05)))
        towards = 0.8 * alike + 0.2 * share[others] / share[others].sum()
        cells[true, others] = share[true] * (1 - recall[true]) * towards
        cells[true, true] = share[true] * recall[true]
    return cells / cells.sum()


def f1_of(
    cells: Float[np.ndarray, "*tables n_class n_class"],
) -> Float[np.ndarray, "*tables"]:
    """Macro-F1 over the classes that occur."""
    support = cells.sum(axis=-1) + cells.sum(axis=-2)
    f1 = 2 * np.diagonal(cells, axis1=-2, axis2=-1) / np.maximum(support, 1e-12)
    return f1.sum(axis=-1) / (support > 0).sum(axis=-1)


def percentiles(
    table: Int[np.ndarray, "n_class n_class"], rng: np.random.Generator
) -> Float[np.ndarray, " 2"]:
    """The percentile bootstrap of macro-F1: the interval that was used before."""
    n, n_class = int(table.sum()), len(table)
    true, guess = np.nonzero(table)
    drawn = rng.multinomial(n, table[true, guess] / n, size=200)  # (200, pairs)
    on_true, on_guess = (np.eye(n_class)[codes] for codes in (true, guess))
    support = drawn @ (on_true + on_guess)
    f1 = 2 * (drawn @ (on_true * on_guess)) / np.maximum(support, 1)
    scores = f1.sum(axis=1) / (support > 0).sum(axis=1)
    return np.quantile(scores, [0.025, 0.975])


def probe_rows(
    n: int,
    n_probes: int,
    accuracy: float,
    *,
    spread: float,
    shared: float,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "n_probes n"], Float[np.ndarray, " n_probes"]]:
    """Which rows each probe gets right, as 1, and the true accuracies.

    The accuracies have the standard deviation `spread`. `shared` is the part of the
    variance of a row's latent value that all probes share; half of the rest is shared
    by probes of the same layer.
    """
    true = np.clip(accuracy + spread * rng.standard_normal(n_probes), 0.05, 0.995)
    layer = np.arange(n_probes) // _POOL
    row = np.sqrt(shared) * rng.standard_normal((1, n))
    alike = rng.standard_normal((layer.max() + 1, n))[layer]
    own = rng.standard_normal((n_probes, n))
    latent = row + np.sqrt((1 - shared) / 2) * (alike + own)
    assert np.allclose(ndtr(ndtri(true)), true), true
    return (latent < ndtri(true)[:, None]).astype(np.int64), true


def labelled(
    right: Int[np.ndarray, "n_probes n"],
    true: Float[np.ndarray, " n_probes"],
    rng: np.random.Generator,
    *,
    n_class: int = 10,
) -> tuple[
    Int[np.ndarray, " n"], Int[np.ndarray, "n_probes n"], Float[np.ndarray, " n_probes"]
]:
    """Labels with equal shares, predictions, and the true macro-F1 of each probe.

    An error is any other class alike, so the macro-F1 is the accuracy.
    """
    y = rng.integers(n_class, size=right.shape[1])
    other = (y + rng.integers(1, n_class, size=right.shape)) % n_class
    return y, np.where(right == 1, y, other), true
