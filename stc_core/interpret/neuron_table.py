"""The selected neurons as a table: their names, order and weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.interpret.neuron_order import seriation
from stc_core.types import SITE_KINDS

IMPORTANCE = "importance"
WEIGHT = "weight:"
MOST_SINGLE = 2000
"""The most neurons that a map shows one by one; if there are more, it shows bins or
pages."""
MOST_BINS = 700
USED = "used"
CHOSEN = "chosen"
"""The column of what the classifier loses if the model gives the neuron its mean."""
NeuronOrder = Literal["importance", "use", "chosen", "weight", "alike"]


def classes_of(neurons: pd.DataFrame) -> list[str]:
    """The classes that `neurons` has weights for, in their order."""
    names = (str(name) for name in neurons.columns)
    return [name.removeprefix(WEIGHT) for name in names if name.startswith(WEIGHT)]


def classes_with_neurons(neurons: pd.DataFrame) -> list[str]:
    """The classes for which some neuron has its largest weight, in their order."""
    classes = classes_of(neurons)
    if neurons.empty or not classes:
        return []
    best = neurons[[WEIGHT + name for name in classes]].to_numpy(float).argmax(axis=1)
    return [classes[code] for code in np.unique(best).tolist()]


def neuron_name(neuron: Mapping[str, Any]) -> str:
    """The name of a neuron, as 'mlp.5 #1034 · max'."""
    return f"{neuron['site']} #{neuron['index']} · {neuron['pooling']}"


def neuron_address(neuron: Mapping[str, Any]) -> str:
    """The place of a neuron in one word for a URL, as 'mlp.5.1034.max'."""
    return f"{neuron['site']}.{neuron['index']}.{neuron['pooling']}"


def addresses_of(neurons: pd.DataFrame) -> list[str]:
    """The address of each neuron, in the order of the rows."""
    columns = (neurons[name].tolist() for name in ("site", "index", "pooling"))
    return [".".join(map(str, row)) for row in zip(*columns, strict=True)]


def number_at(neurons: pd.DataFrame, address: str) -> int | None:
    """The number of the neuron at `address`; None if the run did not keep it.

    A plain number, as older links have, is the number itself.
    """
    if address.isdecimal():
        is_here = (neurons["neuron"] == int(address)).to_numpy()
    else:
        site, index, pooling = (address.rsplit(".", 2) + [""] * 2)[:3]
        is_here = (
            (neurons["site"].astype(str) == site)
            & (neurons["index"].astype(str) == index)
            & (neurons["pooling"].astype(str) == pooling)
        ).to_numpy()
    rows = np.flatnonzero(is_here)
    return int(neurons["neuron"].iloc[rows[0]]) if len(rows) else None


def strength(
    neurons: pd.DataFrame, label: str | None = None, against: str | None = None
) -> Float[np.ndarray, " n"]:
    """The value that colours each neuron.

    It is the weight for `label`, minus the weight for `against` if given; without a
    label it is the importance.
    """
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

    Within a site they are sorted by falling importance, use (the column USED),
    frequency (the column CHOSEN) or `strength` for the class `label`, or by similarity,
    so that similar neurons follow each other. The last order goes by `ranks`, which
    come from `alike_ranks` unless they are given.
    """
    keep = pd.Series(True, index=neurons.index)
    for column, wanted in (("kind", kind), ("pooling", pooling), ("layer", layer)):
        if wanted is not None:
            keep &= neurons[column] == wanted
    kept = neurons.loc[keep]
    by = kept[IMPORTANCE].to_numpy(float)
    if order in ("use", "chosen"):
        by = kept[USED if order == "use" else CHOSEN].to_numpy(float)
    if order == "weight" and label is not None:
        by = strength(kept, label, against)
    if order == "alike":
        by = -(alike_ranks(neurons) if ranks is None else ranks)[keep.to_numpy()]
    kinds = kept["kind"].map(list(SITE_KINDS).index).to_numpy()
    important = -kept[IMPORTANCE].to_numpy(float)  # among equals
    places = np.lexsort((important, -by, kinds, kept["layer"].to_numpy()))
    return kept.iloc[places].reset_index(drop=True)


def alike_ranks(neurons: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """The rank of each neuron in its site, so that similar neurons are neighbours.

    Neurons are similar if their weights over the classes have similar directions.
    """
    weights = neurons[[WEIGHT + name for name in classes_of(neurons)]].to_numpy(float)
    ranks = np.zeros(len(neurons), int)
    for rows in neurons.groupby("site").indices.values():
        ranks[rows[seriation(weights[rows])]] = np.arange(len(rows))
    return ranks


def binned(
    shown: pd.DataFrame, label: str | None = None, against: str | None = None
) -> pd.DataFrame:
    """A table with a row for each bin of neighbouring neurons in a site.

    A row is that of the strongest neuron of the bin, with its `strength` as `value`,
    because means of signed weights would cancel. It also has n, the ranks `first` and
    `last` in the site, and the mean importance. The bins of a site contain each of its
    neurons once. There are at most MOST_BINS bins, or one for each site if that is
    more.
    """
    rank = shown.groupby("site", sort=False).cumcount().to_numpy()
    n_sites = shown["site"].nunique()
    size = max(1, -(-len(shown) // max(MOST_BINS - n_sites, 1)))
    value = strength(shown, label, against)
    # The neurons of a site are neighbours, so a bin goes from one start to the next.
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
    """The row of `bins` that contains `neuron`; None if there is none.

    `bins` are the bins of `shown`.
    """
    places = np.flatnonzero(shown["neuron"].to_numpy() == neuron)
    ends = np.cumsum(bins["n"].to_numpy())
    return int(np.searchsorted(ends, places[0], "right")) if len(places) else None


def page_of(shown: Sequence[int], neuron: int) -> int:
    """The page (of MOST_SINGLE neurons) with `neuron`; 0 if no page has it."""
    return list(shown).index(neuron) // MOST_SINGLE if neuron in shown else 0


def neuron_names(neurons: pd.DataFrame) -> dict[int, str]:
    """The name of each neuron by its number."""
    columns = ("neuron", "site", "index", "pooling")
    rows = zip(*(neurons[name].tolist() for name in columns), strict=True)
    return {n: f"{site} #{index} · {pooling}" for n, site, index, pooling in rows}


def one_of(neurons: pd.DataFrame, number: int) -> dict[str, Any]:
    """The row of the neuron `number`, as a dictionary by column name."""
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
    """The class with the largest absolute weight of the neuron, and that weight."""
    weights = weights_of(neuron)
    strongest = max(weights, key=lambda name: abs(weights[name]))
    return strongest, weights[strongest]
