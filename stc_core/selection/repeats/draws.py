"""The rows on which a selection is made again: halves, bootstrap samples, other seeds.

Each class is in proportion, and the same seed draws the same rows.
"""

import numpy as np
from jaxtyping import Int

from stc_core.data.task import Task
from stc_core.selection.folds import stratified_halves, stratified_order
from stc_core.selection.repeats.kinds import BOOTSTRAP, HALVES, SEED_SHARE, SEEDS

PAIRS = 5
"""Pairs of halves; so each frequency is a share of 10 selections."""
N_DRAWS = 10
MOST_ROWS = 1200
"""At most so many rows are drawn from: memory grows with their square."""

Draws = dict[str, list[Int[np.ndarray, " _"]]]


def draw_repeats(task: Task, rows: Int[np.ndarray, " n"], *, seed: int = 0) -> Draws:
    """The rows of each repeat, by the keys of REPEATS.

    A bootstrap sample has a row as often as it was drawn; it is drawn within each
    class, so none is lost.
    """
    order = _at_most(task, rows, seed)
    size = round(SEED_SHARE * len(order))
    return {
        HALVES: halves_of(task, rows, seed=seed),
        BOOTSTRAP: [_bootstrap(task, order, n) for n in range(N_DRAWS)],
        SEEDS: [
            np.sort(stratified_order(task.codes, order, seed=n + 1, each=1)[:size])
            for n in range(N_DRAWS)
        ],
    }


def halves_of(
    task: Task, rows: Int[np.ndarray, " n"], *, seed: int = 0
) -> list[Int[np.ndarray, " half"]]:
    """The halves of PAIRS random splits, the two of a pair one after the other."""
    order = _at_most(task, rows, seed)
    pairs = [stratified_halves(task.codes, order, seed=pair) for pair in range(PAIRS)]
    return [half for pair in pairs for half in pair]


def _at_most(
    task: Task, rows: Int[np.ndarray, " n"], seed: int
) -> Int[np.ndarray, " some"]:
    """MOST_ROWS of the rows, or all of them."""
    return stratified_order(task.codes, np.sort(rows), seed=seed, each=2)[:MOST_ROWS]


def _bootstrap(
    task: Task, rows: Int[np.ndarray, " n"], seed: int
) -> Int[np.ndarray, " n"]:
    rng, codes = np.random.default_rng(seed), task.codes[rows]
    drawn = [
        rng.choice(rows[codes == code], int((codes == code).sum()))
        for code in np.unique(codes)
    ]
    return np.sort(np.concatenate(drawn))
