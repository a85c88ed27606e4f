"""Would other rows have kept the same neurons? The selection, made again on halves.

The learned rows are split at random into two halves, several times, and each half ranks
all columns by itself. How often a kept neuron is kept again is its selection frequency.
Source: Meinshausen and Buhlmann 2010 (stability selection); complementary halves: Shah
and Samworth 2013.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.data.task import Read, Task
from stc_core.selection.folds import stratified_halves, stratified_order
from stc_core.selection.importance import keep_top
from stc_core.selection.ranking import JointColumns, importances_of
from stc_core.selection.salience import Salient
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
    seed: int = 0,
    pairs: int = PAIRS,
    progress: Progress = silent,
) -> Stability | None:
    """The stability of a selection of `features` from the sites up to `depth`.

    Each half keeps as many neurons as there are features, by the ranking that the run
    used. None if there are fewer than FEWEST_ROWS learned rows, or a class has but one.
    """
    learned = np.sort(task.learned)
    counts = np.bincount(task.codes[learned], minlength=len(task.classes))
    if len(learned) < FEWEST_ROWS or counts[counts > 0].min() < 2:
        return None
    order = stratified_order(task.codes, learned, seed=seed, each=2)[:MOST_ROWS]
    halves = [
        half
        for pair in range(pairs)
        for half in stratified_halves(task.codes, order, seed=pair)
    ]
    kept = np.zeros((len(halves), len(features)), bool)
    chosen: list[set[int]] = []
    total = 0
    for number, half in enumerate(halves):
        part = task._replace(train=half, validation=half[:0])
        columns = JointColumns(read, part, probes, eta=eta, folds=(), trusting=TRUSTING)
        scores = importances_of(columns, depth)
        top = keep_top(scores, len(features))
        total = int((scores > 0).sum())
        chosen.append(set(top.tolist()))
        names = {columns.at(place) for place in top.tolist()}
        kept[number] = [feature in names for feature in features]
        progress(number + 1, len(halves))
    overlaps = [
        len(first & second) / max(len(first | second), 1)
        for first, second in zip(chosen[::2], chosen[1::2], strict=True)
    ]
    frequency = kept.mean(axis=0)
    size = float(np.mean([len(one) for one in chosen]))
    return Stability(
        frequency,
        float(np.mean(overlaps)),
        size / max(2 * total - size, 1.0),
        min(len(half) for half in halves),
        len(features),
        len(halves),
        int((frequency >= NEARLY_ALWAYS).sum()),
    )
