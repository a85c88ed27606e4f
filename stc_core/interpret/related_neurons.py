"""Neurons related to a neuron: correlated neurons of its run, and itself elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.interpret.neuron_table import IMPORTANCE, strongest_weight

_MOST_ROWS = 4000
"""The most texts for correlations; the standard error of r = 0 is then 0.016."""


def sample_rows(n: int, most: int = _MOST_ROWS, seed: int = 0) -> Int[np.ndarray, " k"]:
    """All rows, or `most` random rows, in order; the same seed gives the same rows."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def correlations(
    activations: Float[np.ndarray, "k n"], neuron: int
) -> Float[np.ndarray, " n"]:
    """Pearson's r of one column with every column; 0 where either is flat."""
    X = activations - activations.mean(axis=0, dtype=np.float64).astype(np.float32)
    norm = np.sqrt(np.einsum("ij,ij->j", X, X))
    scale = np.where(norm > 0, norm, np.inf)
    r = (X[:, neuron] @ X) / (scale * scale[neuron])
    return np.clip(r, -1.0, 1.0)


def correlated(
    neurons: pd.DataFrame, r: Float[np.ndarray, " n"], neuron: int, *, most: int = 12
) -> pd.DataFrame:
    """The rows of `neurons` with the largest |r| with `neuron`, and a column r.

    `neuron` itself is left out. `r` is in the order of the numbers of the neurons.
    """
    others = neurons.assign(r=r[neurons["neuron"].to_numpy()])
    others = others.loc[others["neuron"] != neuron]
    order = np.argsort(-others["r"].abs().to_numpy(), kind="stable")[:most]
    return others.iloc[order].reset_index(drop=True)


def same_in(neurons: pd.DataFrame, neuron: Mapping[str, Any]) -> dict[str, Any] | None:
    """The neuron of another run with the same site, index and pooling, or None.

    The result has its number, its rank by importance, the number of neurons `of` that
    run, and the class with its largest weight. The caller must make sure that the
    backbones are the same (`neuron_overlap.comparable`).
    """
    same = np.ones(len(neurons), bool)
    for name in ("site", "index", "pooling"):
        same &= (neurons[name] == neuron[name]).to_numpy()
    if not same.any():
        return None
    row = neurons.loc[same].to_dict("records")[0]
    name, weight = strongest_weight({str(k): v for k, v in row.items()})
    rank = 1 + int((neurons[IMPORTANCE] > row[IMPORTANCE]).sum())
    return {
        "neuron": int(row["neuron"]),
        "rank": rank,
        "of": len(neurons),
        "class": name,
        "weight": weight,
    }


def other_poolings(neurons: pd.DataFrame, neuron: Mapping[str, Any]) -> Sequence[str]:
    """The other poolings with which a run reads this neuron."""
    same = (neurons["site"] == neuron["site"]) & (neurons["index"] == neuron["index"])
    names = neurons.loc[same, "pooling"].tolist()
    return [name for name in names if name != neuron["pooling"]]
