"""The selected neurons as a frame: their names, order, weights and texts to show."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

IMPORTANCE = "importance"
WEIGHT = "weight:"
Order = Literal["importance", "weight"]


def classes_of(neurons: pd.DataFrame) -> list[str]:
    """The classes that `neurons` has weights for, in their order."""
    names = (str(name) for name in neurons.columns)
    return [name.removeprefix(WEIGHT) for name in names if name.startswith(WEIGHT)]


def neuron_name(neuron: Mapping[str, Any]) -> str:
    """'mlp.5 #1034 · max'."""
    return f"{neuron['site']} #{neuron['index']} · {neuron['pooling']}"


def chosen_neurons(
    neurons: pd.DataFrame,
    *,
    kind: str | None = None,
    pooling: str | None = None,
    layer: int | None = None,
    label: str | None = None,
    order: Order = "importance",
) -> pd.DataFrame:
    """The neurons of this kind, pooling and layer (None: any), layer by layer.

    Within a site by falling importance, or by falling weight for the class `label`.
    """
    keep = pd.Series(True, index=neurons.index)
    for column, wanted in (("kind", kind), ("pooling", pooling), ("layer", layer)):
        if wanted is not None:
            keep &= neurons[column] == wanted
    by = IMPORTANCE if order == "importance" or label is None else WEIGHT + label
    return (
        neurons.loc[keep]
        .sort_values(
            ["layer", "kind", by], ascending=[True, False, False], kind="stable"
        )
        .reset_index(drop=True)
    )


def names_of(neurons: pd.DataFrame) -> dict[int, str]:
    """The name of each neuron by its number."""
    columns = ("neuron", "site", "index", "pooling")
    rows = zip(*(neurons[name] for name in columns), strict=True)
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


def neighbour(shown: Sequence[int], neuron: int, step: int) -> int | None:
    """The neuron `step` places from `neuron` in the order shown; None at the ends."""
    if neuron not in shown:
        return None
    place = list(shown).index(neuron) + step
    return int(shown[place]) if 0 <= place < len(shown) else None
