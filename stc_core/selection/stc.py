"""From the features of every site to one small head: rank, score, choose, fit.

This is the default preset `stc`; the paper's own recipe is in spin.py. No choice is
judged by a row that took part in it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.heads.head import SparseHead
from stc_core.heads.least_squares import near_ridges
from stc_core.heads.parallel import in_threads
from stc_core.heads.ridge import fit_ridge_head
from stc_core.heads.word_readout import WordReadout
from stc_core.metrics.scores import SAME_SCORE, fit_temperature
from stc_core.selection.folds import Fold
from stc_core.selection.frontier import (
    FrontierPoint,
    Option,
    best_by_depth,
    cheapest,
    curves_of,
    depth_points,
    size_grid,
)
from stc_core.selection.ranking import (
    JointColumns,
    Ranking,
    nothing_selected,
    rank_columns,
)
from stc_core.selection.salience import Salient
from stc_core.selection.search import DepthSearch, Trial, choose_size, options_at
from stc_core.selection.use.attribution import ModelUse
from stc_core.types import Progress, silent

NO_ROWS = np.arange(0)


class WordChoice(NamedTuple):
    """How much words count beside neurons, and what they gain on the held rows.

    `gain` is the score with them less that without; `error` its standard error.
    """

    share: float
    ridge: float
    gain: float
    error: float


class Fitted(NamedTuple):
    """A fitted head, the alternatives, and the logits of rows that it was judged by.

    `held` are these rows, `held_logits` what heads said of them that had not seen them:
    `fold_heads`, made in the same way, of other rows. `fold` has for each held row the
    place of its head among them; without fold heads the head itself has not seen the
    held rows. `trust` is the trust in each neuron of a ridge head (see
    `fit_ridge_head`), None for another head. `options` are the classifiers of all
    depths that a user may take instead, by depth and then by neurons. `option` is the
    one that the head is. `words` are what the classifier reads beside the neurons, if
    it reads any, and `fold_words` those of the fold heads; the logits are the sum of
    both. `word_choice` says what words gain.
    """

    head: SparseHead
    points: tuple[FrontierPoint, ...]
    chosen: dict[str, float | int | str]
    held: Int[np.ndarray, " n_held"]
    held_logits: Float[np.ndarray, "n_held n_class"]
    trust: Float[np.ndarray, " n"] | None = None
    options: tuple[Option, ...] = ()
    option: Option | None = None
    fold: Int[np.ndarray, " n_held"] = NO_ROWS
    fold_heads: tuple[SparseHead, ...] = ()
    words: WordReadout | None = None
    fold_words: tuple[WordReadout, ...] = ()
    word_choice: WordChoice | None = None


Finish = Callable[[DepthSearch, Option, Fitted], Fitted]
"""Adds to the classifier of an option, such as words."""


def as_it_is(search: DepthSearch, option: Option, fitted: Fitted) -> Fitted:
    """Add nothing."""
    return fitted


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
    use: ModelUse | None = None,
    finish: Finish = as_it_is,
    progress: Progress = silent,
) -> Fitted:
    """Fit the preset `stc`: joint ranking, choice of the size, ridge head.

    A ridge model of all columns ranks them; it trusts sites by how well they do alone.
    Kept are the fewest neurons that do as well on held rows as any number of them, or
    `budget` neurons; `max_neurons` at most. A temperature-scaled ridge head reads them,
    fitted on all learned rows. Every depth is searched in the same way, and the one
    with the best score on held rows is taken; with a `tolerance` the cheapest option
    within it.

    The held rows are those of `judging_folds`. With `eta` only neurons that hold this
    share of each layer's squared probe weights are ranked. With `use` the ranking also
    weighs how much the model uses a neuron.
    """
    columns = JointColumns(read, task, probes, eta=eta, budget=budget, use=use)
    rankings = rank_columns(columns, columns.depths)
    depths = [depth for depth in columns.depths if len(rankings[depth].final)]
    if not depths:
        raise nothing_selected()
    total, done = len(depths) + 1, 1
    progress(done, total)
    limit = min((n for n in (budget, max_neurons) if n is not None), default=None)
    search = DepthSearch(columns, rankings[depths[-1]])
    sizes = search.sizes(limit)
    points, best = _points_of(
        search.trials(sizes), n=len(search.held), take_largest=bool(budget)
    )
    offered_sizes = [sizes[best]] if budget else size_grid(sizes[best])
    offered = [point for point in points if point.neurons in offered_sizes]
    deepest = options_at(search, offered, layer=depths[-1], reported=reported)
    fitted = fit_option(search, deepest[-1])
    del search  # as large as the next one
    progress(done := done + 1, total)
    options: list[Option] = []
    near = near_ridges(deepest[-1].ridge)
    for depth in depths[:-1]:
        search = DepthSearch(columns, rankings[depth])
        points_here = _points_at(search, offered_sizes, near)
        options += options_at(search, points_here, layer=depth, reported=reported)
        progress(done := done + 1, total)
    options += deepest
    curves = (*points, *depth_points(options, options[-1]))
    fitted = fitted._replace(points=curves, options=tuple(options))
    if tolerance is None:
        wanted = _best_depth(options, options[-1], exactly=budget is not None)
    else:
        wanted = cheapest(options, tolerance=tolerance)
    assert wanted is not None
    return _take(columns, rankings, fitted, wanted, finish)


def _best_depth(options: Sequence[Option], deep: Option, *, exactly: bool) -> Option:
    """Of the options as large as `deep` the one with the best score on held rows.

    The shallowest of equal ones. A depth that ranks fewer neurons takes part with all
    that it has, unless the number is wanted `exactly`.
    """
    known = [o for o in options if not exactly or o.neurons == deep.neurons]
    best = deep
    for option in best_by_depth(known, deep)[::-1]:
        if option.score >= best.score - SAME_SCORE:
            best = option
    return best


def _take(
    columns: JointColumns,
    rankings: Mapping[int, Ranking],
    fitted: Fitted,
    option: Option,
    finish: Finish,
) -> Fitted:
    """`fitted` or the classifier of another one of its options, finished."""
    if option is fitted.option and finish is as_it_is:
        return fitted
    search = DepthSearch(columns, rankings[option.layer])
    if option is not fitted.option:
        fitted = _as_taken(fit_option(search, option), fitted.options, option)
    return finish(search, option, fitted)


def _points_at(
    search: DepthSearch, sizes: Sequence[int], ridges: Sequence[float]
) -> list[FrontierPoint]:
    """A point for each of these sizes, or for as many neurons as rank there."""
    known = sorted({min(size, len(search.rank)) for size in sizes})
    return [trial.point("neurons") for trial in search.trials(known, ridges)]


def take_option(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    options: Sequence[Option],
    *,
    option: Option,
    eta: float | None,
    use: ModelUse | None = None,
    finish: Finish = as_it_is,
) -> Fitted:
    """The classifier that an option stands for, finished."""
    columns = JointColumns(read, task, probes, eta=eta, budget=option.neurons, use=use)
    search = DepthSearch(columns, rank_columns(columns, [option.layer])[option.layer])
    fitted = _as_taken(fit_option(search, option), options, option)
    return finish(search, option, fitted)


def _as_taken(fitted: Fitted, options: Sequence[Option], option: Option) -> Fitted:
    return fitted._replace(points=curves_of(options, option), options=tuple(options))


def _points_of(
    trials: Sequence[Trial], *, n: int, take_largest: bool
) -> tuple[list[FrontierPoint], int]:
    """The trials as points of a curve, and the position of the chosen one.

    The chosen point is read under the ridge chosen with it, the others under their best
    ridge. `n` is the number of rows that the scores are shares of.
    """
    counts = [trial.neurons for trial in trials]
    scores = np.stack([trial.score for trial in trials])
    top = float(scores.max())
    best, ridge = choose_size(counts, scores, (top * (1 - top) / n) ** 0.5)
    best = len(counts) - 1 if take_largest else best
    points = [trial.point("neurons") for trial in trials]
    points[best] = trials[best].point("neurons", ridge)
    return points, best


def fit_option(search: DepthSearch, option: Option) -> Fitted:
    """The fitted head of an option: the neurons that rank first, in computing order.

    Each fold has a head of its own, of its ranking and its rows, and these judge the
    held rows. The temperature of all of them is the best one for the held rows.
    """
    columns, task = search.columns, search.task
    judges = in_threads(
        lambda number: _fit_head(search, option, number, columns.folds[number]),
        range(len(columns.folds)),
    )
    held_logits = np.concatenate([judge.held_logits for judge in judges])
    temperature = fit_temperature(held_logits, task.codes[search.held])
    final = _fit_head(search, option, -1, Fold(task.learned, NO_ROWS))
    chosen: dict[str, float | int | str] = {
        "folds": len(columns.folds),
        "ridge": option.ridge,
        "temperature": temperature,
    }
    if columns.eta is not None:
        chosen["eta"] = columns.eta
    sizes = [len(fold.held) for fold in columns.folds]
    return Fitted(
        final.head.cooled(temperature),
        (),
        chosen,
        search.held,
        held_logits / temperature,
        final.trust,
        option=option,
        fold=np.repeat(np.arange(len(sizes)), sizes),
        fold_heads=tuple(judge.head.cooled(temperature) for judge in judges),
    )


class _Made(NamedTuple):
    """A ridge head, the trust in its neurons, and what it says of held rows."""

    head: SparseHead
    trust: Float[np.ndarray, " k"]
    held_logits: Float[np.ndarray, "n_held n_class"]


def _fit_head(search: DepthSearch, option: Option, number: int, fold: Fold) -> _Made:
    """The head of an option by the ranking of the fold with this number; -1: the final
    one."""
    columns = search.columns
    ranking = (*search.by_fold, search.rank)[number]
    kept = np.sort(ranking[: option.neurons])
    X, trust = search.raw(kept), columns.trust_of(kept, number)
    head = fit_ridge_head(
        X,
        search.task,
        list(map(columns.at, kept.tolist())),
        rows=fold.fit,
        ridge=option.ridge,
        trust=trust,
    )
    return _Made(head, trust, head.logits(X[fold.held]))
