"""The training texts nearest to one, in the space that the head reads.

Each neuron is standardised as the head does it and stretched by the norm of its
weights, so that a difference counts by what it can do to the logits.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead

BLOCK = 1024


def stretch(head: SparseHead) -> Float[np.ndarray, " n"]:
    """What a raw difference of each neuron is multiplied by: |w_j| / sd_j.

    The weights are taken less their mean over the classes, which moves no probability.
    """
    weight = head.weight - head.weight.mean(axis=0)
    return np.sqrt((weight**2).sum(axis=0)) / head.sd


def distances(
    head: SparseHead,
    activations: Float[np.ndarray, "n_row n"],
    rows: Int[np.ndarray, " some"],
    x: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " some"]:
    """Of each of `rows` from the raw values `x`, read a block at a time.

    sqrt sum_j (stretch_j (a_j - x_j))^2.
    """
    scale = stretch(head).astype(np.float32)
    centre = (x * scale).astype(np.float32)
    out = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        apart = np.asarray(activations[part], np.float32) * scale - centre
        out[start : start + len(part)] = np.einsum("ij,ij->i", apart, apart)
    return np.sqrt(out)


def nearest(
    rows: Int[np.ndarray, " some"],
    apart: Float[np.ndarray, " some"],
    *,
    most: int = 8,
    without: Iterable[int] = (),
) -> pd.DataFrame:
    """row and distance of the `most` nearest, nearest first, `without` some rows."""
    keep = ~np.isin(rows, list(without))
    rows, apart = rows[keep], apart[keep]
    order = np.argsort(apart, kind="stable")[:most]
    return pd.DataFrame({"row": rows[order], "distance": apart[order]})
