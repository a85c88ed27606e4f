"""From the probes of every site to one small head: select, integrate, choose.

This is the default preset `stc`; the paper's own recipe is in spin.py. Both make every
choice on the validation rows alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.heads.head import SparseHead
from stc_core.heads.ridge import fit_head
from stc_core.metrics.scores import metric_name_of
from stc_core.selection.candidates import Salient, gather_candidates
from stc_core.selection.frontier import (
    Option,
    cheapest,
    columns_of,
    curves_of,
    depth_points,
    depths_of,
    options_at,
    points_at,
    search_at,
    size_grid,
)
from stc_core.selection.importance import keep_top
from stc_core.selection.search import FrontierPoint, OptionSearch, Trial, choose_size
from stc_core.types import Progress, silent

NO_ROWS = np.arange(0)


class Fitted(NamedTuple):
    """A fitted head, the alternatives, and its validation logits before the refit.

    `validation_logits` are those of the head fitted on the training rows alone. `trust`
    is the trust in each neuron of a ridge head (see `fit_ridge_head`), None for another
    head. `options` are the classifiers of all depths that a user may take instead, by
    depth and then by neurons. `option` is the one that the head is.
    """

    head: SparseHead
    points: tuple[FrontierPoint, ...]
    chosen: dict[str, float | int | str]
    validation_logits: Float[np.ndarray, "n_val n_class"]
    trust: Float[np.ndarray, " n"] | None = None
    options: tuple[Option, ...] = ()
    option: Option | None = None


def fit_stc(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    *,
    eta: float | None = None,
    budget: int | None = None,
    max_neurons: int | None = None,
    tolerance: float | None = None,
    reported: Int[np.ndarray, " n_reported"] = NO_ROWS,
    progress: Progress = silent,
) -> Fitted:
    """Fit the preset `stc`: candidates by probe weights, joint selection, ridge head.

    The candidates are the neurons that hold a share `eta` of each layer's squared
    standardised probe weights (by default ETA, and at most `most_candidates` neurons).
    A ridge model of all candidates ranks them; it trusts sites by how well their probes
    do. Kept are the fewest neurons that do as well on validation as any number of them,
    or `budget` neurons; `max_neurons` at most. A temperature-scaled ridge head reads
    them, fitted again on train and validation. Every depth is searched in the same way.
    With a `tolerance` the cheapest option within it is taken instead.
    """
    inputs = _Inputs(read, task, probes, eta, reported)
    limits = [n for n in (budget, max_neurons) if n is not None]
    search = OptionSearch(task, gather_candidates(read, task, probes, eta=eta))
    counts, depths = search.counts(min(limits, default=None)), depths_of(probes)
    advance = _step_counter(progress, len(counts) + len(depths) - 1)
    trials = [_try_size(search, n, advance) for n in counts]
    points, best = _points_of(trials, search.error, take_largest=bool(budget))
    sizes = [counts[best]] if budget else size_grid(counts[best])
    offered = [point for point in points if point.neurons in sizes]
    options = inputs.options(search, offered, depths[-1])
    fitted, joint_ridge = finalise_selection(search, task, options[-1]), search.ridge
    del search  # as large as the next one
    options = (*_shallower_options(inputs, sizes, joint_ridge, advance), *options)
    curves = (*points, *depth_points(options, options[-1]))
    fitted = fitted._replace(points=curves, options=options)
    if tolerance is None:
        return fitted
    return _take_cheapest(inputs, fitted, joint_ridge, tolerance)


class _Inputs(NamedTuple):
    """What the search at each depth is given."""

    read: Read
    task: Task
    probes: Sequence[Salient]
    eta: float | None
    reported: Int[np.ndarray, " n_reported"]

    def options(
        self, search: OptionSearch, points: Sequence[FrontierPoint], layer: int
    ) -> list[Option]:
        return options_at(
            search, self.task, points, layer=layer, reported=self.reported
        )


def _step_counter(progress: Progress, n_steps: int) -> Callable[[], None]:
    """A function to call after each step, which passes the count to `progress`."""
    steps = iter(range(1, n_steps + 1))
    return lambda: progress(next(steps), n_steps)


def _try_size(search: OptionSearch, n: int, advance: Callable[[], None]) -> Trial:
    """The scores of the n candidates that rank highest."""
    trial = search.trial(keep_top(search.rank, n))
    advance()
    return trial


def _shallower_options(
    inputs: _Inputs, sizes: Sequence[int], ridge: float, advance: Callable[[], None]
) -> list[Option]:
    """The options of these sizes at each depth but the deepest."""
    read, task, probes, eta, _ = inputs
    options: list[Option] = []
    for layer in depths_of(probes)[:-1]:
        search = search_at(read, task, probes, layer=layer, eta=eta, ridge=ridge)
        options += inputs.options(search, points_at(search, sizes), layer)
        advance()
    return options


def _take_cheapest(
    inputs: _Inputs, fitted: Fitted, ridge: float, tolerance: float
) -> Fitted:
    """The cheapest option of `fitted` whose score is within `tolerance` of the best."""
    read, task, probes, eta, _ = inputs
    score_name = metric_name_of(task.class_weight)
    option = cheapest(fitted.options, tolerance=tolerance, by=score_name)
    assert option is not None
    if option is fitted.option:
        return fitted
    return take_option(
        read, task, probes, fitted.options, option=option, eta=eta, ridge=ridge
    )


def _points_of(
    trials: Sequence[Trial], error: float, *, take_largest: bool
) -> tuple[list[FrontierPoint], int]:
    """The trials as points of a curve, and the position of the chosen one.

    The chosen point is read under the ridge chosen with it, the others under their
    best ridge.
    """
    counts = [trial.neurons for trial in trials]
    scores = np.stack([trial.score for trial in trials])
    best, ridge = choose_size(counts, scores, error)
    best = len(counts) - 1 if take_largest else best
    points = [trial.point("neurons") for trial in trials]
    points[best] = trials[best].point("neurons", ridge)
    return points, best


def take_option(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    options: Sequence[Option],
    *,
    option: Option,
    eta: float | None,
    ridge: float,
) -> Fitted:
    """The classifier that an option stands for; `ridge` has ranked its candidates."""
    search = search_at(read, task, probes, layer=option.layer, eta=eta, ridge=ridge)
    fitted = finalise_selection(search, task, option)
    return fitted._replace(points=curves_of(options, option), options=tuple(options))


def finalise_selection(search: OptionSearch, task: Task, option: Option) -> Fitted:
    """The fitted head of an option, which keeps the best candidates of `search`."""
    pool, columns = search.pool, columns_of(search, option.neurons)
    head, logits = fit_head(
        pool.X[:, columns],
        task,
        [pool.features[column] for column in columns],
        ridge=option.ridge,
        trust=pool.trust[columns],
    )
    chosen = {
        "eta": pool.eta,
        "candidates": len(pool.features),
        "joint_ridge": search.ridge,
        "ridge": option.ridge,
        "temperature": head.temperature,
    }
    trust = pool.trust[columns]
    return Fitted(head.scaled, (), chosen, logits, trust, option=option)
