"""From probes of every site to one small head: select, integrate, choose.

The default preset `stc`; the paper's own recipe is in spin.py. Both choose on the
validation rows alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.heads.head import SparseHead
from stc_core.heads.ridge import fit_head
from stc_core.metrics.scores import chosen_by
from stc_core.selection.candidates import Salient, gather
from stc_core.selection.frontier import (
    Option,
    cheapest,
    columns_of,
    curves_of,
    depth_points,
    depths_of,
    grid,
    options_at,
    points_at,
    search_at,
)
from stc_core.selection.importance import keep_top
from stc_core.selection.search import FrontierPoint, OptionSearch, choose_size
from stc_core.types import Progress, silent

NO_ROWS = np.arange(0)


class Fitted(NamedTuple):
    """A head, what else was considered, and how the head did before its refit.

    `validation_logits` are those of the head fitted on the training rows alone; `trust`
    is what a ridge head trusts each of its neurons, None for another head. `options`
    are the classifiers of all depths that one may have instead, by depth and then by
    neurons, and `option` is the one that the head is.
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
    """The preset `stc`: candidates by probe weights, joint re-selection, ridge head.

    Candidates are the neurons that hold a share eta of each layer's squared
    standardised probe weights (ETA if none is given, then MOST_CANDIDATES in all). A
    ridge model of all of them, which trusts sites by how well their probes do, ranks
    them beside each other; the fewest that do as well as any number on validation (or
    `budget`; `max_neurons` at most) are kept and read by a temperature-scaled ridge
    head, fitted again on train and validation. Every depth is searched likewise, and
    with a `tolerance` the cheapest within it is taken instead.
    """
    limits = [n for n in (budget, max_neurons) if n is not None]
    search = OptionSearch(task, gather(read, task, probes, eta=eta))
    counts, depths = search.counts(min(limits, default=None)), depths_of(probes)
    n_steps = len(counts) + len(depths) - 1
    trials = []
    for n in counts:
        trials.append(search.trial(keep_top(search.rank, n)))
        progress(len(trials), n_steps)
    scores = np.stack([trial.score for trial in trials])
    best, ridge = choose_size(counts, scores, search.error)
    best = len(counts) - 1 if budget else best
    points = [trial.point("neurons") for trial in trials]
    points[best] = trials[best].point("neurons", ridge)
    sizes = [counts[best]] if budget else grid(counts[best])
    offered = [point for point in points if point.neurons in sizes]
    options = options_at(search, task, offered, layer=depths[-1], reported=reported)
    fitted, joint_ridge = finalise_selection(search, task, options[-1]), search.ridge
    del search  # as large as the next one
    shallower: list[Option] = []
    for place, layer in enumerate(depths[:-1], start=len(counts) + 1):
        at = search_at(read, task, probes, layer=layer, eta=eta, ridge=joint_ridge)
        found = points_at(at, sizes)
        shallower += options_at(at, task, found, layer=layer, reported=reported)
        progress(place, n_steps)
    options = (*shallower, *options)
    curves = (*points, *depth_points(options, options[-1]))
    fitted = fitted._replace(points=curves, options=options)
    if tolerance is None:
        return fitted
    by = chosen_by(task.class_weight)
    option = cheapest(options, tolerance=tolerance, by=by)
    assert option is not None
    if option is fitted.option:
        return fitted
    return taken(read, task, probes, options, option=option, eta=eta, ridge=joint_ridge)


def taken(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    options: Sequence[Option],
    *,
    option: Option,
    eta: float | None,
    ridge: float,
) -> Fitted:
    """The classifier that is one of the options, whose candidates `ridge` ranked."""
    search = search_at(read, task, probes, layer=option.layer, eta=eta, ridge=ridge)
    found = finalise_selection(search, task, option)
    return found._replace(points=curves_of(options, option), options=tuple(options))


def finalise_selection(search: OptionSearch, task: Task, option: Option) -> Fitted:
    """The head of an option, whose candidates are those of `search`."""
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
