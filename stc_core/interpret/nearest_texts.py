"""The training texts that are nearest to a text, in the space that the head reads.

Each neuron is standardised as in the head and multiplied by the norm of its weights,
so that a difference counts by its possible effect on the logits.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead

BLOCK = 1024


def stretch(head: SparseHead) -> Float[np.ndarray, " n"]:
    """The factor of a raw difference of each neuron: |w_j| / sd_j.

    The mean over the classes is subtracted from the weights, which changes no
    probability.
    """
    weight = head.weight - head.weight.mean(axis=0)
    return np.sqrt((weight**2).sum(axis=0)) / head.sd


def distances(
    head: SparseHead,
    activations: Float[np.ndarray, "n_row n"],
    rows: Int[np.ndarray, " some"],
    x: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " some"]:
    """The distance of each of `rows` to the raw values `x`.

    It is sqrt(sum_j (stretch_j (a_j - x_j))^2), of values as the head counts them. The
    rows are read in blocks.
    """
    scale = stretch(head).astype(np.float32)
    centre = (head.within_range(x) * scale).astype(np.float32)
    out = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        values = head.within_range(np.asarray(activations[part], np.float32))
        difference = values * scale - centre
        out[start : start + len(part)] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(out)


def nearest(
    rows: Int[np.ndarray, " some"],
    apart: Float[np.ndarray, " some"],
    *,
    most: int = 8,
    without: Iterable[int] = (),
) -> pd.DataFrame:
    """A table with row and distance of the `most` nearest rows, the nearest first.

    The rows in `without` are left out.
    """
    keep = ~np.isin(rows, list(without))
    rows, apart = rows[keep], apart[keep]
    order = np.argsort(apart, kind="stable")[:most]
    return pd.DataFrame({"row": rows[order], "distance": apart[order]})
