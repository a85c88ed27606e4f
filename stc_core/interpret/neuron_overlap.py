"""How far two runs on one backbone chose the same neurons, compared with chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

CHANCE_SDS = 1.645
"""Chance exceeds its mean by this many standard deviations in 5 % of the cases."""


def comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """True if two runs have the same backbone, with the same tuning.

    `a` and `b` are the `backbone` part of their metrics.json.
    """
    return all(a.get(name) == b.get(name) for name in ("identity", "tuned"))


def agreement(
    a: pd.DataFrame, b: pd.DataFrame, widths: Mapping[str, int]
) -> pd.DataFrame:
    """A table by layer: layer, a, b, both, jaccard, chance, limit, times.

    A kept neuron is a site, an index and a pooling, as everywhere. `both` counts those
    in both tables. `chance` is the mean overlap if each run had drawn the same number
    at random from each pooling of each site, which has `widths` neurons. Such an
    overlap is below `limit` in 19 of 20 cases (normal approximation). `times` is both /
    chance. Values are NaN if the width of a site is not known.
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
    """The values of `agreement` for all layers together, by column name."""
    names = ["a", "b", "both", "chance", "variance"]
    sums = {name: [layers[name].sum(skipna=False)] for name in names}
    row = _rates(pd.DataFrame(sums)).iloc[0]
    return {str(name): value for name, value in row.items()}


def _counts(
    a: pd.DataFrame, b: pd.DataFrame, widths: Mapping[str, int]
) -> pd.DataFrame:
    """A table by site and pooling, with mean and variance of a random overlap.

    If b of N neurons are drawn at random, the number among a given set of a neurons is
    hypergeometric.
    """
    rows = []
    of_a, of_b = _chosen(a), _chosen(b)
    layer_of = {
        str(site): int(layer)
        for frame in (a, b)
        for site, layer in zip(frame["site"], frame["layer"], strict=True)
    }
    for place in dict.fromkeys([*of_a, *of_b]):
        left, right = of_a.get(place, set()), of_b.get(place, set())
        n, n_a, n_b = widths.get(place[0], 0), len(left), len(right)
        share = n_a / n if n else np.nan
        spread = (n - n_b) / (n - 1) if n > 1 else np.nan
        rows.append(
            {
                "layer": layer_of[place[0]],
                "a": n_a,
                "b": n_b,
                "both": len(left & right),
                "chance": n_b * share,
                "variance": n_b * share * (1 - share) * spread,
            }
        )
    columns = ["layer", "a", "b", "both", "chance", "variance"]
    return pd.DataFrame(rows, columns=columns)


def _chosen(neurons: pd.DataFrame) -> dict[tuple[str, str], set[int]]:
    """The neurons by site and pooling."""
    chosen: dict[tuple[str, str], set[int]] = {}
    names = ("site", "pooling", "index")
    for site, pooling, index in zip(*(neurons[name] for name in names), strict=True):
        chosen.setdefault((str(site), str(pooling)), set()).add(int(index))
    return chosen


def _rates(counts: pd.DataFrame) -> pd.DataFrame:
    union = counts["a"] + counts["b"] - counts["both"]
    return counts.assign(
        jaccard=counts["both"] / union,
        limit=counts["chance"] + CHANCE_SDS * np.sqrt(counts["variance"].astype(float)),
        times=counts["both"] / counts["chance"].where(counts["chance"] > 0),
    )
