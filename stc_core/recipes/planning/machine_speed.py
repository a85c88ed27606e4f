"""The speed of this machine at the arithmetic after extraction, timed on random data.

Each operation is timed with the copies that it makes: a product and a solve alone say
too little, since nearly half of a selection is memory traffic.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from stc_core.heads.head import mean_and_sd
from stc_core.heads.least_squares import Gram, gram, solve_ridge

ROWS, COLUMNS, CLASSES = 1024, 3072, 6
SOLVES = 768, 3072
"""Equations of the two solves that are timed."""
ROUNDS = 3


class Arithmetic(NamedTuple):
    """Seconds of an operation, in float32, with all threads."""

    product: float  # for each row and pair of columns of a Gram matrix
    solve: tuple[float, float]  # for each equation squared, and cubed
    cell: float  # for each value that is read from a store and standardised

    def gram(self, rows: int, columns: int) -> float:
        """Seconds of the Gram matrix of standardised features."""
        return self.product * rows * columns**2

    def solves(self, columns: int) -> float:
        """Seconds of one ridge model from a Gram matrix."""
        return self.solve[0] * columns**2 + self.solve[1] * columns**3


def measure_arithmetic() -> Arithmetic:
    """Time the operations in about a second; medians, since one time may be of a busy
    moment."""
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((ROWS, COLUMNS), np.float32).astype(np.float16)
    weight = np.ones(ROWS, np.float32)
    codes = rng.integers(CLASSES, size=ROWS)

    def standardised() -> np.ndarray:
        X = stored.astype(np.float32)
        mean, sd = mean_and_sd(X, weight)
        X -= mean
        X /= sd
        return X

    def moments() -> Gram:
        return gram(Z, codes, n_class=CLASSES, sample_weight=weight)

    cell = _seconds(standardised) / stored.size
    Z = standardised()
    product = _seconds(moments) / (ROWS * COLUMNS**2)
    parts = [moments().restricted(np.arange(n)) for n in SOLVES]
    few, many = (_seconds(lambda p=part: solve_ridge(p, 1.0)) for part in parts)
    return Arithmetic(product, _powers(SOLVES, (few, many)), cell)


def _powers(
    sizes: tuple[int, int], seconds: tuple[float, float]
) -> tuple[float, float]:
    """Factors of n^2 and n^3 that fit the seconds at two sizes; neither is below 0."""
    (small, large), (few, many) = sizes, seconds
    cubed = (many / large**2 - few / small**2) / (large - small)
    cubed = min(max(cubed, 0.0), many / large**3)
    return max(many / large**2 - cubed * large, 0.0), cubed


def _seconds(work: Callable[[], object]) -> float:
    """The median of some rounds without the first."""
    taken = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken[1:])
