"""The frontier: a classifier for every depth, at several numbers of neurons.

Each depth has its own ranking of the neurons up to it. So the scores shown for a depth
are scores that one can really get there. What a user chooses from is here; `search`
finds it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

LEAST_NEURONS = 8


class FrontierPoint(NamedTuple):
    """A classifier that was considered: its cost and its scores on held rows.

    `score` is that of the goal, by which classifiers are chosen.
    """

    curve: str  # "neurons" or "depth"
    neurons: int
    layer: int
    ridge: float
    accuracy: float
    macro_f1: float
    score: float


class Option(NamedTuple):
    """A classifier that a user may choose: its depth limit, its size and its scores.

    `deepest` is the highest layer that it reads, at most `layer`. The scores are those
    on held rows; `score` is that of the goal, by which one is chosen. `guess` holds the
    classes that it gives to some other rows; nothing is chosen by them.
    """

    layer: int
    deepest: int
    neurons: int
    ridge: float
    accuracy: float
    macro_f1: float
    score: float
    guess: Int[np.ndarray, " n_reported"]

    def point(self, curve: str) -> FrontierPoint:
        """The option as a point of a curve of scores."""
        scores = self.accuracy, self.macro_f1, self.score
        return FrontierPoint(curve, self.neurons, self.deepest, self.ridge, *scores)


def size_grid(most: int) -> list[int]:
    """Numbers of neurons to offer: powers of two below `most`, and `most`."""
    powers = (2**power for power in range(most.bit_length()))
    return [*(n for n in powers if LEAST_NEURONS <= n < most), most]


def cheapest(
    options: Sequence[Option],
    *,
    tolerance: float,
    max_layer: int | None = None,
    max_neurons: int | None = None,
) -> Option | None:
    """The shallowest option whose score is within `tolerance` of the best score.

    Only options within the limits count, for the best score too. Among options of the
    same depth it is the one with the fewest neurons. None: no option is within the
    limits.
    """
    allowed = [
        option
        for option in options
        if (max_layer is None or option.deepest <= max_layer)
        and (max_neurons is None or option.neurons <= max_neurons)
    ]
    if not allowed:
        return None
    least = max(option.score for option in allowed) - tolerance - 1e-9
    good_enough = [option for option in allowed if option.score >= least]
    return min(
        good_enough, key=lambda option: (option.deepest, option.neurons, option.layer)
    )


def curves_of(options: Sequence[Option], chosen: Option) -> tuple[FrontierPoint, ...]:
    """Two curves through `chosen`: scores by neurons at its depth, and scores by depth.

    On the curve by depth every depth has as many neurons as `chosen`, or fewer if it
    does not offer as many.
    """
    at_depth = [o.point("neurons") for o in options if o.layer == chosen.layer]
    return (*at_depth, *depth_points(options, chosen))


def depth_points(options: Sequence[Option], chosen: Option) -> list[FrontierPoint]:
    """A point for each of `best_by_depth`."""
    return [option.point("depth") for option in best_by_depth(options, chosen)]


def best_by_depth(options: Sequence[Option], chosen: Option) -> list[Option]:
    """For each depth the largest option with no more neurons than `chosen`.

    A depth is the layer that is read last, so options with different limits may share
    it: of equally large ones that with the best score counts. `chosen` stands for its
    own depth.
    """
    not_larger = [option for option in options if option.neurons <= chosen.neurons]
    not_larger.sort(key=lambda option: (option.neurons, option.score, -option.layer))
    # Of several options with the same depth the last one stays.
    by_depth = {option.deepest: option for option in (*not_larger, chosen)}
    return [by_depth[depth] for depth in sorted(by_depth)]
