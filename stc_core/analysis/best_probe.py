"""Which probe of a run is the best, with the flattery of that choice taken off."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from stc_core.analysis.layer_scores import best_probes
from stc_core.metrics.bands import may_be_best, simultaneous_level
from stc_core.metrics.best_of import BestOf, best_of, score_interval
from stc_core.metrics.intervals import exact_interval
from stc_core.metrics.resampling import Resamples, resample_scores
from stc_core.metrics.scores import Metric
from stc_core.runs.run_frames import ProbeGuesses


class ComparedProbes(NamedTuple):
    """The probes of a run, their answers, and their scores in the same resamples.

    A row of `probes` is a pooled site and a C; `guesses` has the same order. `n_class`
    is the number of classes of the run.
    """

    probes: pd.DataFrame
    guesses: ProbeGuesses
    resamples: Resamples
    metric: Metric
    n_class: int


def compare_probes(
    probes: pd.DataFrame, guesses: ProbeGuesses, metric: Metric, *, n_class: int
) -> ComparedProbes:
    """The scores of all probes in bootstraps of the validation rows."""
    y = guesses.label.astype(np.int64)
    assert len(probes) == len(guesses.predicted), (len(probes), guesses)
    resamples = resample_scores(y, guesses.predicted, metric)
    known = probes.reset_index(drop=True)
    return ComparedProbes(known, guesses, resamples, metric, n_class)


def best_among(compared: ComparedProbes, kept: Bool[np.ndarray, " n_probe"]) -> BestOf:
    """The best of the probes where `kept` is true, of every C, and its true score."""
    return best_of(
        compared.guesses.label,
        compared.guesses.predicted[kept],
        compared.resamples.only(kept),
        compared.metric,
        n_class=compared.n_class,
    )


def best_of_all(compared: ComparedProbes) -> BestOf:
    """The best of all probes."""
    return best_among(compared, np.ones(len(compared.probes), bool))


def contenders(compared: ComparedProbes) -> pd.DataFrame:
    """The places that may hold the labels best: chance alone can explain their gap.

    Each row is the best probe of a place, as in `best_probes`. The place that is truly
    best is among them with probability 95 %.
    """
    best = _places_of(compared)
    rows = best.index.to_numpy()
    kept = np.zeros(len(compared.probes), bool)
    kept[rows] = True
    of_places = compared.resamples.only(kept)
    order = np.argsort(np.argsort(rows))  # where each place is among the kept rows
    return best.loc[may_be_best(of_places)[order]].reset_index(drop=True)


def band(compared: ComparedProbes) -> pd.DataFrame:
    """Ends `low` and `high` for each place (site, pooling) that hold for all at once.

    They are NaN where the score has no interval.
    """
    best = _places_of(compared)
    rows = best.index.to_numpy()
    kept = np.zeros(len(compared.probes), bool)
    kept[rows] = True
    level = simultaneous_level(compared.resamples.only(kept))
    y, predicted = compared.guesses.label, compared.guesses.predicted[rows]
    if compared.metric == "accuracy":
        hits = (predicted == y).sum(axis=1)
        low, high = exact_interval(hits, np.full(len(hits), len(y)), level)
    else:
        n_class = compared.n_class
        found = [
            score_interval(y, one, compared.metric, n_class=n_class, level=level)
            for one in predicted
        ]
        ends = [one.bounds or (np.nan, np.nan) for one in found]
        low, high = np.array(ends).T
    places = best[["site", "pooling"]].reset_index(drop=True)
    return places.assign(low=low, high=high)


def _places_of(compared: ComparedProbes) -> pd.DataFrame:
    """The best probe of each place; the index is its row among all probes."""
    known = compared.probes
    best = best_probes(known.assign(row=np.arange(len(known))))
    return best.set_index("row")


def layer_ranges(layers: Iterable[int]) -> str:
    """'layers 3 to 6', 'layers 1, 3 and 5 to 7', 'layer 4'."""
    ordered = sorted(set(layers))
    breaks = [at + 1 for at, (a, b) in enumerate(pairwise(ordered)) if b > a + 1]
    parts = []
    for start, end in pairwise([0, *breaks, len(ordered)]):
        first, last = ordered[start], ordered[end - 1]
        if last > first + 1:
            parts.append(f"{first} to {last}")
        else:
            parts += [str(layer) for layer in dict.fromkeys((first, last))]
    words = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"layer{'s' if len(ordered) > 1 else ''} {words}"
