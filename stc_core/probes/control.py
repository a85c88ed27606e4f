"""A control task with meaningless labels.

The score of a probe less that on the control task is the probe's selectivity.
"""

import numpy as np

from stc_core.data.task import Task

MOST_CONTROL_ROWS = 2000
"""Training rows of a control task: more rows do not change what it shows."""
PATIENCE = 1
"""The path of a control ends at the first C that does no better than those before.

A later C could only do better by luck, as there is nothing to learn.
"""


def control_task(task: Task, *, seed: int = 0) -> Task:
    """`task` with its train and validation labels shuffled among these rows.

    Probed like the true task, with C chosen on validation, it shows the score that a
    probe and this choice reach without any information. At most MOST_CONTROL_ROWS
    training rows, drawn at random, are enough for that. Source: Hewitt & Liang 2019
    (D19-1275). Their control gives each word type a random label; that does not work
    for texts, since a text is seen only once and a probe cannot memorise its label.
    """
    rng = np.random.default_rng(seed)
    codes, learned = task.codes.copy(), task.learned
    codes[learned] = rng.permutation(codes[learned])
    train = np.sort(rng.permutation(task.train)[:MOST_CONTROL_ROWS])
    return task._replace(codes=codes, train=train)
