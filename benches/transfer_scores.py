"""Scores of features that `bench_rank` compares with `stc_core.sweeps.log_me`."""

from functools import partial

import numpy as np
from jaxtyping import Float, Int
from sklearn.covariance import ledoit_wolf

from stc_core.data.task import Read, Task
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out
from stc_core.heads.least_squares import RIDGES
from stc_core.types import PooledSite


def h_score(X: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"]) -> float:
    """The regularised H-score: the variance between classes, as whitened features.

    It is tr(S^-1 (1 - a) B), where S is the covariance of the features shrunk by Ledoit
    and Wolf, a the strength of that shrinkage, and B the covariance of the class means.
    Between 0 and the number of classes less 1. Source: Ibrahim, Ponomareva and Mazumder
    2021, "Newer is not always better", arXiv 2110.06893, section 3; Bao et al. 2019.
    """
    centred = np.asarray(X, np.float64) - np.mean(X, axis=0, dtype=np.float64)
    shrunk, strength = ledoit_wolf(centred, assume_centered=True)
    counts = np.bincount(codes)
    sums = np.stack(
        [centred[codes == code].sum(axis=0) for code in np.flatnonzero(counts)]
    )
    roots = sums / np.sqrt(counts[counts > 0] * len(centred))[:, None]  # B = roots^T @
    solved = np.linalg.solve(shrunk, roots.T)
    return float((1 - strength) * np.einsum("kd,dk->", roots, solved))


def probe_score(
    read: Read, task: Task, widths: dict[PooledSite, int]
) -> Float[np.ndarray, " n_ridge"]:
    """The scores of ridge models of all sites together, one for each of RIDGES.

    Each row is judged by the model of all other rows, in closed form: see
    `heads.leave_one_out` (Allen 1974, PRESS).
    """
    blocks = [Block(partial(read, site), w) for site, w in widths.items()]
    tried = joint_leave_one_out(blocks, task, task.train, ridges=RIDGES)
    return np.array([task.score(task.train, scores) for scores in tried])
