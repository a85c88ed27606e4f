"""The frontier: a classifier for every depth and some numbers of neurons.

Each depth has candidates of its own, those that a training would look at which reads no
deeper, so that what is said of a depth is what one can have there.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.data.task import Read, Task
from stc_core.heads.ridge import fit_ridge_head
from stc_core.selection.candidates import Salient, gather
from stc_core.selection.importance import keep_top
from stc_core.selection.search import FrontierPoint, OptionSearch

LEAST_NEURONS = 8


class Option(NamedTuple):
    """A classifier that one may have: its limit of depth, its size, its scores.

    `deepest` is the highest layer that it reads, at most `layer`. The scores are those
    on validation; `guess` are the classes that it gives to some other rows, by which
    nothing is chosen.
    """

    layer: int
    deepest: int
    neurons: int
    ridge: float
    accuracy: float
    macro_f1: float
    guess: Int[np.ndarray, " n_reported"]

    def point(self, curve: str) -> FrontierPoint:
        """The same on a curve of scores."""
        place = self.deepest, self.ridge, self.accuracy, self.macro_f1
        return FrontierPoint(curve, self.neurons, *place)


def depths_of(probes: Iterable[Salient]) -> list[int]:
    """The layers of which some probe weighs a neuron, ascending."""
    return sorted({p.pooled_site.site.layer for p in probes if p.importance.any()})


def grid(most: int) -> list[int]:
    """Numbers of neurons to offer: powers of two below `most`, and `most`."""
    powers = (2**power for power in range(most.bit_length()))
    return [*(n for n in powers if LEAST_NEURONS <= n < most), most]


def search_at(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    *,
    layer: int,
    eta: float | None,
    ridge: float,
) -> OptionSearch:
    """The search among candidates of layers up to `layer`, ranked under `ridge`.

    At the last depth its candidates are those of the training itself.
    """
    last = layer >= depths_of(probes)[-1]
    below = [p for p in probes if last or p.pooled_site.site.layer <= layer]
    pool = gather(read, task, below, eta=eta, narrow=last)
    return OptionSearch(task, pool, ridge=ridge)


def points_at(search: OptionSearch, counts: Iterable[int]) -> list[FrontierPoint]:
    """How the best so many candidates do, each number that there is once."""
    there = int(np.count_nonzero(search.rank))
    sizes = sorted({min(n, there) for n in counts if there})
    trials = (search.trial(keep_top(search.rank, n)) for n in sizes)
    return [trial.point("neurons") for trial in trials]


def options_at(
    search: OptionSearch,
    task: Task,
    points: Iterable[FrontierPoint],
    *,
    layer: int,
    reported: Int[np.ndarray, " n_reported"],
) -> list[Option]:
    """Options from points of the search; their heads are fitted to guess `reported`.

    Each guess is that of the head which the option gets when it is taken.
    """
    pool, options = search.pool, []
    for point in points:
        guess = np.zeros(len(reported), int)
        if len(reported):
            columns = columns_of(search, point.neurons)
            X = pool.X[:, columns]
            head = fit_ridge_head(
                X,
                task,
                [pool.features[column] for column in columns],
                rows=task.learned,
                ridge=point.ridge,
                trust=pool.trust[columns],
            )
            guess = head.logits(X[reported]).argmax(axis=1)
        scores = point.ridge, point.accuracy, point.macro_f1
        options.append(Option(layer, point.layer, point.neurons, *scores, guess))
    return options


def columns_of(search: OptionSearch, neurons: int) -> Int[np.ndarray, " kept"]:
    """The best candidates, in computing order."""
    return np.sort(keep_top(search.rank, neurons))


def cheapest(
    options: Sequence[Option],
    *,
    tolerance: float,
    by: str = "accuracy",
    max_layer: int | None = None,
    max_neurons: int | None = None,
) -> Option | None:
    """The shallowest option whose score is within `tolerance` of the best one's.

    Best and chosen keep to the limits; of options of one depth it is that with the
    fewest neurons. `by`: accuracy or macro_f1, of validation. None: nothing is within
    the limits.
    """
    allowed = [
        option
        for option in options
        if (max_layer is None or option.deepest <= max_layer)
        and (max_neurons is None or option.neurons <= max_neurons)
    ]
    if not allowed:
        return None
    least = max(getattr(option, by) for option in allowed) - tolerance - 1e-9
    good = [option for option in allowed if getattr(option, by) >= least]
    return min(good, key=lambda option: (option.deepest, option.neurons, option.layer))


def curves_of(options: Sequence[Option], chosen: Option) -> tuple[FrontierPoint, ...]:
    """The scores through `chosen`: by neurons at its depth, and by depth.

    On the latter every depth has as many neurons as `chosen`, or fewer if there are
    not as many.
    """
    at_depth = [o.point("neurons") for o in options if o.layer == chosen.layer]
    return (*at_depth, *depth_points(options, chosen))


def depth_points(options: Sequence[Option], chosen: Option) -> list[FrontierPoint]:
    """The largest option of each depth with no more neurons than `chosen`, and that.

    A depth is the layer that is read last: with a higher limit it may be the same.
    """
    small = [option for option in options if option.neurons <= chosen.neurons]
    small.sort(key=lambda option: (option.neurons, option.layer))
    found = {option.deepest: option for option in (*small, chosen)}  # the last one wins
    return [found[depth].point("depth") for depth in sorted(found)]
