"""The selected neurons as a frame: their names, order, weights and texts to show."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.interpret.neuron_order import seriated
from stc_core.types import SITE_KINDS

IMPORTANCE = "importance"
WEIGHT = "weight:"
MOST_SINGLE = 2000
"""Neurons that a map shows one by one; of more it shows bins, or a page."""
MOST_BINS = 700
NeuronOrder = Literal["importance", "weight", "alike"]


def classes_of(neurons: pd.DataFrame) -> list[str]:
    """The classes that `neurons` has weights for, in their order."""
    names = (str(name) for name in neurons.columns)
    return [name.removeprefix(WEIGHT) for name in names if name.startswith(WEIGHT)]


def neuron_name(neuron: Mapping[str, Any]) -> str:
    """'mlp.5 #1034 · max'."""
    return f"{neuron['site']} #{neuron['index']} · {neuron['pooling']}"


def strength(
    neurons: pd.DataFrame, label: str | None = None, against: str | None = None
) -> Float[np.ndarray, " n"]:
    """What colours a neuron: its weight for `label`, less that for the class `against`,
    or its importance without a `label`."""
    if label is None:
        return neurons[IMPORTANCE].to_numpy(float)
    weight = neurons[WEIGHT + label].to_numpy(float)
    if against is None:
        return weight
    return weight - neurons[WEIGHT + against].to_numpy(float)


def chosen_neurons(
    neurons: pd.DataFrame,
    *,
    kind: str | None = None,
    pooling: str | None = None,
    layer: int | None = None,
    label: str | None = None,
    against: str | None = None,
    order: NeuronOrder = "importance",
    ranks: Int[np.ndarray, " n"] | None = None,
) -> pd.DataFrame:
    """The neurons of this kind, pooling and layer (None: any), layer by layer.

    Within a site by falling importance, by falling `strength` for the class `label`, or
    so that those that are alike follow each other: by `ranks`, which are those of
    `alike_ranks` unless they are given.
    """
    keep = pd.Series(True, index=neurons.index)
    for column, wanted in (("kind", kind), ("pooling", pooling), ("layer", layer)):
        if wanted is not None:
            keep &= neurons[column] == wanted
    found = neurons.loc[keep]
    by = found[IMPORTANCE].to_numpy(float)
    if order == "weight" and label is not None:
        by = strength(found, label, against)
    if order == "alike":
        by = -(alike_ranks(neurons) if ranks is None else ranks)[keep.to_numpy()]
    kinds = found["kind"].map(list(SITE_KINDS).index).to_numpy()
    places = np.lexsort((-by, kinds, found["layer"].to_numpy()))
    return found.iloc[places].reset_index(drop=True)


def alike_ranks(neurons: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """The place of each neuron in its site, so that neurons whose weights over the
    classes go the same way stand side by side."""
    weights = neurons[[WEIGHT + name for name in classes_of(neurons)]].to_numpy(float)
    ranks = np.zeros(len(neurons), int)
    for rows in neurons.groupby("site").indices.values():
        ranks[rows[seriated(weights[rows])]] = np.arange(len(rows))
    return ranks


def binned(
    shown: pd.DataFrame, label: str | None = None, against: str | None = None
) -> pd.DataFrame:
    """A row per bin of neurons that follow each other in a site of `chosen_neurons`.

    n, `first` and `last` rank in the site, the mean importance, and as `value` the
    `strength` of its strongest neuron, whose row it otherwise is: means of signed
    weights would fade. A site's bins hold each of its neurons once, and all bins
    together are MOST_BINS, or as many as there are sites, or fewer.
    """
    rank = shown.groupby("site", sort=False).cumcount().to_numpy()
    n_sites = shown["site"].nunique()
    size = max(1, -(-len(shown) // max(MOST_BINS - n_sites, 1)))
    value = strength(shown, label, against)
    # A site's neurons follow each other, so a bin is all from one start to the next.
    starts = np.flatnonzero(rank % size == 0)
    counts = np.diff(starts, append=len(shown))
    of_bin = np.repeat(np.arange(len(starts)), counts)
    strongest = np.lexsort((np.arange(len(shown)), -np.abs(value), of_bin))[starts]
    importance = shown[IMPORTANCE].to_numpy(float)
    rows = shown.iloc[strongest].reset_index(drop=True)
    return rows.assign(
        value=value[strongest],
        n=counts,
        first=rank[starts] + 1,
        last=rank[starts] + counts,
        importance=np.add.reduceat(importance, starts) / counts,
    )


def bin_of(shown: pd.DataFrame, bins: pd.DataFrame, neuron: int) -> int | None:
    """The row of `bins`, which are those of `shown`, that holds `neuron`, if one does.

    The same bin while one goes from neuron to neuron in it, so that their map stays as
    it is.
    """
    places = np.flatnonzero(shown["neuron"].to_numpy() == neuron)
    ends = np.cumsum(bins["n"].to_numpy())
    return int(np.searchsorted(ends, places[0], "right")) if len(places) else None


def page_of(shown: Sequence[int], neuron: int) -> int:
    """The page of MOST neurons that holds `neuron`; the first if none does."""
    return list(shown).index(neuron) // MOST_SINGLE if neuron in shown else 0


def neuron_names(neurons: pd.DataFrame) -> dict[int, str]:
    """The name of each neuron by its number."""
    columns = ("neuron", "site", "index", "pooling")
    rows = zip(*(neurons[name].tolist() for name in columns), strict=True)
    return {n: f"{site} #{index} · {pooling}" for n, site, index, pooling in rows}


def one_of(neurons: pd.DataFrame, number: int) -> dict[str, Any]:
    """The row of the neuron `number`, by column name."""
    rows = neurons.loc[neurons["neuron"] == number].to_dict("records")
    return {str(name): value for name, value in rows[0].items()}


def weights_of(neuron: Mapping[str, Any]) -> dict[str, float]:
    """The neuron's weight for each class: logit change per standard deviation."""
    return {
        name.removeprefix(WEIGHT): float(value)
        for name, value in neuron.items()
        if name.startswith(WEIGHT)
    }


def strongest_weight(neuron: Mapping[str, Any]) -> tuple[str, float]:
    """The class that the neuron weighs most for or against, and that weight."""
    weights = weights_of(neuron)
    name = max(weights, key=lambda one: abs(weights[one]))
    return name, weights[name]
