"""Whether two runs on one backbone chose the same neurons, against chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

CHANCE_SDS = 1.645
"""An overlap above the mean of chance by so many deviations has 5 % odds or less."""


def comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """True if the `backbone` of two metrics.json is one and the same, tuning too."""
    return all(a.get(name) == b.get(name) for name in ("identity", "tuned"))


def agreement(
    a: pd.DataFrame, b: pd.DataFrame, widths: Mapping[str, int]
) -> pd.DataFrame:
    """A row per layer: layer, a, b, both, jaccard, chance, limit, times.

    A neuron is a site and an index; the poolings that it is read by do not count.
    `both` are in the two tables of neurons. `chance` is the mean overlap if each run
    had drawn as many at random from each site of `widths`, `limit` what such an
    overlap stays below 19 times of 20 (normal approximation), `times` both / chance.
    NaN where the width of a site is not known.
    """
    sites = _counts(a, b, widths)
    layers = sites.groupby("layer", sort=True).agg(
        a=("a", "sum"),
        b=("b", "sum"),
        both=("both", "sum"),
        chance=("chance", lambda part: part.sum(skipna=False)),
        variance=("variance", lambda part: part.sum(skipna=False)),
    )
    return _rates(layers.reset_index())


def total(layers: pd.DataFrame) -> dict[str, Any]:
    """The same of all layers together, by column name but `layer`."""
    names = ["a", "b", "both", "chance", "variance"]
    sums = {name: [layers[name].sum(skipna=False)] for name in names}
    row = _rates(pd.DataFrame(sums)).iloc[0]
    return {str(name): value for name, value in row.items()}


def _counts(
    a: pd.DataFrame, b: pd.DataFrame, widths: Mapping[str, int]
) -> pd.DataFrame:
    """A row per site that either reads, with mean and variance of a random overlap.

    Of a random draw of b from N neurons the number among a given a is hypergeometric.
    """
    rows = []
    of_a, of_b = _chosen(a), _chosen(b)
    layer_of = {
        str(site): int(layer)
        for frame in (a, b)
        for site, layer in zip(frame["site"], frame["layer"], strict=True)
    }
    for site, layer in layer_of.items():
        left, right = of_a.get(site, set()), of_b.get(site, set())
        n, n_a, n_b = widths.get(site, 0), len(left), len(right)
        share = n_a / n if n else np.nan
        spread = (n - n_b) / (n - 1) if n > 1 else np.nan
        rows.append(
            {
                "layer": layer,
                "a": n_a,
                "b": n_b,
                "both": len(left & right),
                "chance": n_b * share,
                "variance": n_b * share * (1 - share) * spread,
            }
        )
    columns = ["layer", "a", "b", "both", "chance", "variance"]
    return pd.DataFrame(rows, columns=columns)


def _chosen(neurons: pd.DataFrame) -> dict[str, set[int]]:
    return {
        str(site): set(part["index"].astype(int))
        for site, part in neurons.groupby("site")
    }


def _rates(found: pd.DataFrame) -> pd.DataFrame:
    union = found["a"] + found["b"] - found["both"]
    return found.assign(
        jaccard=found["both"] / union,
        limit=found["chance"] + CHANCE_SDS * np.sqrt(found["variance"].astype(float)),
        times=found["both"] / found["chance"].where(found["chance"] > 0),
    )
