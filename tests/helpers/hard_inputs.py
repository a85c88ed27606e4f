"""Inputs on which a solver may stumble: made here, solved by each of them."""

from collections.abc import Callable

import numpy as np

Input = tuple[np.ndarray, np.ndarray]


def plain(K: int = 3, n: int = 240, d: int = 15) -> Input:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, (1.2 * X[:, :K] + rng.gumbel(size=(n, K))).argmax(axis=1)


def ill_conditioned() -> Input:
    """Standardised, its condition number is some 5,000."""
    X, y = plain()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((15, 15)))[0]
    return X * np.geomspace(1, 1e-4, 15) @ turn, y


def collinear() -> Input:
    X, y = plain(d=8)
    noise = np.random.default_rng(1).standard_normal((3, *X.shape))
    return np.concatenate([X + 1e-2 * one for one in noise], axis=1), y


def constant() -> Input:
    return np.full((240, 4), 3.3), plain()[1]


def partly_constant() -> Input:
    X, y = plain()
    return np.c_[X, np.full(len(X), 7.3), np.zeros(len(X))], y


def duplicated_columns() -> Input:
    X, y = plain()
    return np.c_[X, X, X], y


def duplicated_rows() -> Input:
    X, y = plain()
    return X.repeat(5, axis=0), y.repeat(5)


def contradictory() -> Input:
    """Each row once in either class: nothing can be learned."""
    return plain()[0][:120].repeat(2, axis=0), np.tile([0, 1], 120)


def contradictory_thirds() -> Input:
    """Each row in three classes, of which one has it twice: shares that no binary
    fraction hits."""
    return plain()[0][:60].repeat(4, axis=0) * 7 + 3, np.tile([0, 1, 2, 2], 60)


def balanced_design() -> Input:
    """Every combination of signs once in each class: orthogonal to the label."""
    signs = np.indices((2,) * 6).reshape(6, -1).T * 2 - 1.0
    return np.tile(signs * np.geomspace(0.1, 30, 6) + 5, (3, 1)), np.repeat(
        [0, 1, 2], 64
    )


def separable() -> Input:
    y = np.arange(60) % 3
    return np.eye(3)[y] * 10 + np.random.default_rng(0).standard_normal((60, 3)), y


def many_classes() -> Input:
    rng, y = np.random.default_rng(0), np.repeat(np.arange(150), 3)
    return rng.standard_normal((150, 20))[y] + rng.standard_normal((450, 20)) / 2, y


SILENT = (
    "constant",
    "contradictory",
    "contradictory_thirds",
    "balanced_design",
)
"""Those in which no feature tells the classes apart."""
HARD: dict[str, Callable[[], Input]] = {
    one.__name__: one
    for one in (
        ill_conditioned,
        collinear,
        constant,
        partly_constant,
        duplicated_columns,
        duplicated_rows,
        contradictory,
        contradictory_thirds,
        balanced_design,
        separable,
        many_classes,
    )
}
