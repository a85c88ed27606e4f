"""Would other rows have kept the same neurons? The selection, made again on halves.

`measure_stability` tells it; `keep_stable` keeps only what nearly all halves choose.

The learned rows are split at random into two halves, several times, and each half ranks
all columns by itself. How often a kept neuron is kept again is its selection frequency.
Source: Meinshausen and Buhlmann 2010 (stability selection); complementary halves: Shah
and Samworth 2013.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.selection.folds import stratified_halves, stratified_order
from stc_core.selection.frontier import curves_of, options_at
from stc_core.selection.importance import keep_top
from stc_core.selection.ranking import JointColumns, Ranking, importances_of
from stc_core.selection.salience import Salient
from stc_core.selection.search import DepthSearch
from stc_core.selection.stc import Finish, Fitted, as_it_is, fit_option
from stc_core.types import Feature, Progress, silent

PAIRS = 5
"""Pairs of halves; so each frequency is a share of 10 selections."""
MOST_ROWS = 1500
"""At most so many rows are split: memory grows with the square of a half."""
TRUSTING = 250
"""The trust in a site is measured on so many rows of a half: that takes an eighth of
the time that the selection itself takes for it."""
FEWEST_ROWS = 40
NEARLY_ALWAYS = 0.9
"""A neuron counts as always chosen if this share of the selections keeps it."""


class Stability(NamedTuple):
    """How often each neuron is kept, and how much the selections have in common.

    `frequency` has a share for each feature that was asked about, in their order.
    `overlap` is the mean Jaccard index (shared neurons over all neurons of both) of the
    two halves of a pair, `chance` what random sets of that size would have. `half` is
    the number of rows of a half, `kept` the number of neurons of each selection.
    """

    frequency: Float[np.ndarray, " n"]
    overlap: float
    chance: float
    half: int
    kept: int
    n_selections: int
    always: int

    def record(self) -> dict[str, Any]:
        """The stability as a run keeps it in JSON."""
        return {**self._asdict(), "frequency": self.frequency.round(4).tolist()}


def measure_stability(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    features: Sequence[Feature],
    *,
    depth: int,
    eta: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Stability | None:
    """The stability of a selection of `features` from the sites up to `depth`.

    Each half keeps `size` neurons (None: as many as there are features), by the ranking
    that the run used. None if there are fewer than FEWEST_ROWS learned rows, or a class
    has but one.
    """
    learned = np.sort(task.learned)
    if not _can_be_split(task, learned):
        return None
    kept = np.zeros((2 * PAIRS, len(features)), bool)
    chosen: list[set[int]] = []
    selections = _selections_of_halves(
        read,
        task,
        probes,
        learned,
        depth=depth,
        size=size or len(features),
        eta=eta,
        seed=seed,
    )
    total = half = 0
    for number, (columns, scores, top, n_rows) in enumerate(selections):
        total, half = int((scores > 0).sum()), n_rows if not half else min(half, n_rows)
        chosen.append(set(top.tolist()))
        names = {columns.at(place) for place in top.tolist()}
        kept[number] = [feature in names for feature in features]
        progress(number + 1, len(kept))
    overlaps = [
        len(first & second) / max(len(first | second), 1)
        for first, second in zip(chosen[::2], chosen[1::2], strict=True)
    ]
    frequency = kept.mean(axis=0)
    mean_size = float(np.mean([len(one) for one in chosen]))
    return Stability(
        frequency,
        float(np.mean(overlaps)),
        mean_size / max(2 * total - mean_size, 1.0),
        half,
        len(features),
        len(kept),
        int((frequency >= NEARLY_ALWAYS).sum()),
    )


class _Selection(NamedTuple):
    """What one half of the rows keeps: columns, their scores, those kept, its rows."""

    columns: JointColumns
    scores: Float[np.ndarray, " d"]
    top: Int[np.ndarray, " kept"]
    n_rows: int


def _selections_of_halves(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    rows: Int[np.ndarray, " n"],
    *,
    depth: int,
    size: int,
    eta: float | None,
    seed: int = 0,
) -> Iterator[_Selection]:
    """The columns that each half of `rows` keeps, the halves of a pair in turn."""
    order = stratified_order(task.codes, np.sort(rows), seed=seed, each=2)[:MOST_ROWS]
    for pair in range(PAIRS):
        for half in stratified_halves(task.codes, order, seed=pair):
            part = task._replace(train=half, validation=half[:0])
            columns = JointColumns(
                read, part, probes, eta=eta, folds=(), trusting=TRUSTING
            )
            scores = importances_of(columns, depth)
            yield _Selection(columns, scores, keep_top(scores, size), len(half))


def _can_be_split(task: Task, rows: Int[np.ndarray, " n"]) -> bool:
    """Whether both halves of the rows can be learned from."""
    counts = np.bincount(task.codes[rows], minlength=len(task.classes))
    return len(rows) >= FEWEST_ROWS and int(counts[counts > 0].min()) > 1


def keep_stable(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    fitted: Fitted,
    *,
    share: float,
    reported: Int[np.ndarray, " n_reported"],
    finish: Finish = as_it_is,
    progress: Progress = silent,
) -> Fitted:
    """`fitted` with the neurons alone that at least a `share` of the halves choose.

    Each half keeps as many neurons as `fitted` has, so the result has fewer. Each fold
    chooses its own neurons by halves of the rows that it is fitted on, so the score on
    held rows is that of the whole way. The ridge is chosen again. `chosen` holds the
    number of neurons and the scores of `fitted`, to compare with. Source: Meinshausen
    and Buhlmann 2010 (stability selection). StcError if no neuron is chosen so often,
    or if there are too few rows.
    """
    before, eta = fitted.option, fitted.chosen.get("eta")
    assert before is not None, "only the preset stc has options"
    size = len(fitted.head.features)
    eta = None if eta is None else float(eta)
    columns = JointColumns(read, task, probes, eta=eta, budget=size)
    fits = [*(fold.fit for fold in columns.folds), task.learned]
    rankings = []
    for done, rows in enumerate(fits, start=1):
        if not _can_be_split(task, np.sort(rows)):
            raise _too_few_rows(len(rows))
        halves = _selections_of_halves(
            read, task, probes, rows, depth=before.layer, size=size, eta=eta
        )
        rankings.append(_stable_columns(halves, len(columns.layer), share))
        progress(done, len(fits))
    search = DepthSearch(columns, Ranking(tuple(rankings[:-1]), rankings[-1]))
    most = max(map(len, rankings))
    point = search.trials([most])[0].point("neurons")
    (tried,) = options_at(search, [point], layer=before.layer, reported=reported)
    stable = fit_option(search, tried)
    option = tried._replace(neurons=len(rankings[-1]))
    chosen = {
        **stable.chosen,
        "stable": share,
        "neurons_before": size,
        "accuracy_before": before.accuracy,
        "macro_f1_before": before.macro_f1,
    }
    options = (*fitted.options, option)
    stable = stable._replace(
        chosen=chosen,
        points=curves_of(options, option),
        options=options,
        option=option,
    )
    return finish(search, tried, stable)


def _stable_columns(
    halves: Iterable[_Selection], n_columns: int, share: float
) -> Int[np.ndarray, " stable"]:
    """The columns that at least this share of the halves keep, the most frequent
    first."""
    counts, n = np.zeros(n_columns, int), 0
    for half in halves:
        counts[half.top] += 1
        n += 1
    order = np.argsort(-counts, kind="stable")
    found = order[counts[order] >= share * n - 1e-9]
    if not len(found):
        raise StcError(
            "stable",
            expected=f"a share at which neurons are left, {counts.max() / n:g} or less",
            got=f"{share:g}",
            remedy="Ask for a smaller share: with more neurons to choose from, or few "
            "rows, fewer of them are always chosen.",
        )
    return found


def _too_few_rows(n: int) -> StcError:
    return StcError(
        "stable",
        expected=f"at least {FEWEST_ROWS} learned rows, and two of each class",
        got=f"{n:,} rows in a part that judges",
        remedy="Leave the setting out, or add rows.",
    )
