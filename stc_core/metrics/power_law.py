"""A power law through scores that rise with the number of rows, and its continuation.

score(n) = top - drop n^-decay. Source: Cortes et al. 1993, "Learning curves: asymptotic
values and rate of convergence".
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DECAYS = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5)


class PowerLaw(NamedTuple):
    """Power laws, one for each of several curves: 0 <= drop, top <= 1."""

    top: Float[np.ndarray, " k"]
    drop: Float[np.ndarray, " k"]
    decay: Float[np.ndarray, " k"]

    def at(self, n: int) -> Float[np.ndarray, " k"]:
        """The score of each law at `n` rows."""
        return self.top - self.drop * n**-self.decay


def fit_power_laws(
    n: Float[np.ndarray, " size"],
    scores: Float[np.ndarray, "k size"],
    errors: Float[np.ndarray, " size"],
) -> PowerLaw:
    """The laws nearest to k curves of scores at `n` rows, by weighted least squares.

    A point weighs 1 / errors^2. The decay is the best of DECAYS; for each, top and drop
    are found in closed form within their bounds.
    """
    weight = 1 / errors**2
    best = np.full(len(scores), np.inf)
    found = np.zeros((3, len(scores)))
    for decay in DECAYS:
        top, drop = _bounded_line(-(n**-decay), scores, weight)
        fitted = top[:, None] - drop[:, None] * n**-decay
        loss = ((scores - fitted) ** 2) @ weight
        better = loss < best
        best[better] = loss[better]
        values = np.stack([top, drop, np.full_like(top, decay)])
        found[:, better] = values[:, better]
    return PowerLaw(*found)


def _bounded_line(
    x: Float[np.ndarray, " size"],
    scores: Float[np.ndarray, "k size"],
    weight: Float[np.ndarray, " size"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """The lines top + drop x nearest to each row, with drop >= 0 and top <= 1."""
    share = weight / weight.sum()
    mean_x, mean = share @ x, scores @ share
    spread = share @ (x - mean_x) ** 2
    drop = np.maximum((scores - mean[:, None]) @ (share * (x - mean_x)) / spread, 0)
    top = mean - drop * mean_x
    at_bound = np.maximum((scores - 1) @ (share * x) / (share @ x**2), 0)
    over = top > 1
    return np.where(over, 1, top), np.where(over, at_bound, drop)
