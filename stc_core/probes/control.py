"""Labels that mean nothing: how far probes are above those is their selectivity."""

import numpy as np

from stc_core.data.task import Task

MOST_CONTROL_ROWS = 2000
"""Training rows that a control learns from: what it says does not wait for more."""
PATIENCE = 1
"""Its paths end at the first C that does no better: among them the best is luck."""


def control_task(task: Task, *, seed: int = 0) -> Task:
    """`task` with the labels of train and validation shuffled among these rows.

    Probed like the true one, with the choice of C by validation, it says what a probe
    and that choice get out of nothing; MOST_ROWS of the training rows, drawn at random,
    are enough for that. Hewitt & Liang 2019 (D19-1275), whose control gives each word a
    random label; a text that is seen once has none to be remembered by.
    """
    rng = np.random.default_rng(seed)
    codes, learned = task.codes.copy(), task.learned
    codes[learned] = rng.permutation(codes[learned])
    some = np.sort(rng.permutation(task.train)[:MOST_CONTROL_ROWS])
    return task._replace(codes=codes, train=some)
