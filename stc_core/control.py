"""How well probes do on labels that mean nothing: what is left over is selectivity."""

from collections.abc import Sequence

import numpy as np

from stc_core.axes import PooledSite, Progress, silent
from stc_core.probe import ProbeResult, fit_probes
from stc_core.task import Read, Task

MOST_ROWS = 2000
"""Training rows that a control learns from: what it says does not wait for more."""


def control_probes(
    read: Read,
    task: Task,
    pooled_sites: Sequence[PooledSite],
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> list[ProbeResult]:
    """The probes of each site for labels that were shuffled among train and validation.

    All else is as for the true labels, the choice of C by validation too, so that
    their accuracy is what a probe and that choice get out of nothing; MOST_ROWS of the
    training rows, drawn at random, are enough for that. How far a probe
    is above it is its selectivity: Hewitt & Liang 2019 (D19-1275), whose control gives
    each word a random label; a text that is seen once has none to be remembered by.
    """
    rng = np.random.default_rng(seed)
    codes, learned = task.codes.copy(), task.learned
    codes[learned] = rng.permutation(codes[learned])
    some = np.sort(rng.permutation(task.train)[:MOST_ROWS])
    return fit_probes(
        read,
        codes,
        some,
        task.validation,
        pooled_sites=pooled_sites,
        class_weight=task.class_weight,
        patience=1,
        device=device,
        progress=progress,
    )
