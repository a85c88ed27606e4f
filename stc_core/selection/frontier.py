"""The frontier: a classifier for every depth, at several numbers of neurons.

Each depth has its own candidates: those that a training which reads no deeper would
look at. So the scores shown for a depth are scores that one can really get there.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.data.task import Read, Task
from stc_core.heads.ridge import fit_ridge_head
from stc_core.selection.candidates import Salient, gather_candidates
from stc_core.selection.importance import keep_top
from stc_core.selection.search import FrontierPoint, OptionSearch

LEAST_NEURONS = 8


class Option(NamedTuple):
    """A classifier that a user may choose: its depth limit, its size and its scores.

    `deepest` is the highest layer that it reads, at most `layer`. The scores are those
    on validation. `guess` holds the classes that it gives to some other rows; nothing
    is chosen by them.
    """

    layer: int
    deepest: int
    neurons: int
    ridge: float
    accuracy: float
    macro_f1: float
    guess: Int[np.ndarray, " n_reported"]

    def point(self, curve: str) -> FrontierPoint:
        """The option as a point of a curve of scores."""
        cost_and_scores = self.deepest, self.ridge, self.accuracy, self.macro_f1
        return FrontierPoint(curve, self.neurons, *cost_and_scores)


def depths_of(probes: Iterable[Salient]) -> list[int]:
    """The layers in which some probe gives weight to a neuron, ascending."""
    return sorted({p.pooled_site.site.layer for p in probes if p.importance.any()})


def size_grid(most: int) -> list[int]:
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
    """The search among the candidates of layers up to `layer`, ranked under `ridge`.

    At the last depth the candidates are the same as those of the training itself.
    """
    last = layer >= depths_of(probes)[-1]
    below = [p for p in probes if last or p.pooled_site.site.layer <= layer]
    pool = gather_candidates(read, task, below, eta=eta, narrow=last)
    return OptionSearch(task, pool, ridge=ridge)


def points_at(search: OptionSearch, counts: Iterable[int]) -> list[FrontierPoint]:
    """The scores of the best candidates, for each number of them in `counts`.

    A number larger than that of the ranked candidates is lowered to it; each number
    appears once.
    """
    n_ranked = int(np.count_nonzero(search.rank))
    sizes = sorted({min(n, n_ranked) for n in counts if n_ranked})
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
    """One option for each point of the search, with its guesses for `reported` rows.

    The guesses are those of the head that the user gets when the option is taken.
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
    """The columns of the best `neurons` candidates, in computing order."""
    return np.sort(keep_top(search.rank, neurons))


def cheapest(
    options: Sequence[Option],
    *,
    tolerance: float,
    by: str = "accuracy",
    max_layer: int | None = None,
    max_neurons: int | None = None,
) -> Option | None:
    """The shallowest option whose score is within `tolerance` of the best score.

    Only options within the limits count, for the best score too. Among options of the
    same depth it is the one with the fewest neurons. `by`: accuracy or macro_f1, on
    validation. None: no option is within the limits.
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
    good_enough = [option for option in allowed if getattr(option, by) >= least]
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
    """For each depth the largest option with no more neurons than `chosen`.

    A depth is the layer that is read last, so options with different limits may share
    it. `chosen` stands for its own depth.
    """
    not_larger = [option for option in options if option.neurons <= chosen.neurons]
    not_larger.sort(key=lambda option: (option.neurons, option.layer))
    # Of several options with the same depth the last one stays.
    by_depth = {option.deepest: option for option in (*not_larger, chosen)}
    return [by_depth[depth].point("depth") for depth in sorted(by_depth)]
