"""Problems of probes on a GPU, and how many of them it has room for."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.probes.problem import Problem

COPIES = 10  # of all logits and of all coefficients, in memory at a time
_SHARE = 0.7  # of the free memory of a GPU
CPU_ROOM = 1 << 30


class DeviceProblem(NamedTuple):
    """A problem whose standardised features are on a device and nowhere else."""

    problem: Problem
    X: Float[Tensor, "d_feat n"]


def upload(problem: Problem, device: str | torch.device) -> DeviceProblem:
    """The problem with its features on a device; the copy on the host is dropped."""
    XT = problem.XT
    none = np.empty((len(XT), 0), XT.dtype)  # a slice would keep the whole array alive
    return DeviceProblem(problem._replace(XT=none), torch.from_numpy(XT).to(device))


def site_bytes(problem: Problem, *, n_C: int = 9) -> int:
    """Device memory that a site needs, with everything that its steps need."""
    d_feat, n = problem.XT.shape
    cells = 3 * n * d_feat + COPIES * n_C * problem.target.rows * (n + d_feat)
    return problem.XT.itemsize * cells


def usable_bytes(device: str | torch.device) -> int:
    """The number of bytes on the device that the probes may use."""
    if torch.device(device).type != "cuda":
        return CPU_ROOM
    torch.cuda.empty_cache()
    return int(_SHARE * torch.cuda.mem_get_info(device)[0])
