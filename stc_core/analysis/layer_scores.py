"""The scores of the probes at each place of the model, as one table to draw.

A place is a site with a pooling.
"""

from typing import Literal

import numpy as np
import pandas as pd

from stc_core.frames import records
from stc_core.metrics.scores import METRICS

Score = Literal["accuracy", "macro_f1", "auc"]
SCORES: dict[Score, str] = {**METRICS, "auc": "AUC"}
OF_A_CLASS: dict[Score, str] = {"accuracy": "recall", "macro_f1": "F1", "auc": "AUC"}
"""The names of the scores of a single class."""
_PLACE = ["site", "pooling"]


def best_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """The probe of each site and pooling with the C that validation chose.

    The places of `mute_places` are left out, unless there are no others.
    """
    best = probes.loc[probes["best"].astype(bool)]
    readable = best.loc[~_is_mute(best, probes)]
    best = best if readable.empty else readable
    return best.sort_values(["kind", "pooling", "layer"], kind="stable").reset_index(
        drop=True
    )


def mute_places(probes: pd.DataFrame) -> list[str]:
    """The places where every probe has only zero weights, as 'resid.0 by first'.

    An example is the embedding of the first special token, which is the same for every
    text.
    """
    best = probes.loc[probes["best"].astype(bool)]
    mute = best.loc[_is_mute(best, probes)]
    return [f"{row['site']} by {row['pooling']}" for row in records(mute)]


def _is_mute(best: pd.DataFrame, probes: pd.DataFrame) -> pd.Series:
    readable = set(_places(probes.loc[probes["nonzeros"] > 0]))
    mute = [place not in readable for place in _places(best)]
    return pd.Series(mute, best.index, dtype=bool)


def readings(
    probes: pd.DataFrame,
    score: Score = "accuracy",
    *,
    by_class: pd.DataFrame | None = None,
    label: str | None = None,
    control: pd.DataFrame | None = None,
    selectivity: bool = False,
    band: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The best probe of each place with its `value`, and `low` and `high` if known.

    `band` has site, pooling, low and high: ends for the score of all classes that hold
    for all places at once. Without it an accuracy has the interval of each by itself.

    The score is that of all classes, or of the class `label`. A class needs `by_class`,
    and so does the AUC, which is the mean over the classes. The column `control` is the
    score of the probe on shuffled labels at the same place, NaN if not known. With
    `selectivity` the control is subtracted from the value and its interval.
    """
    points = best_probes(probes)
    if label is not None or score == "auc":
        assert by_class is not None, "scores by class are needed"
        points = _of_classes(points, by_class, label)
    bounded = score == "accuracy"
    points["value"] = points[score].astype(float)
    points["low"] = points["accuracy_low"].astype(float) if bounded else np.nan
    points["high"] = points["accuracy_high"].astype(float) if bounded else np.nan
    if band is not None and label is None and score != "auc":
        ends = band.set_index(_PLACE)[["low", "high"]]
        points[["low", "high"]] = ends.reindex(_places(points)).to_numpy(float)
    points["control"] = np.nan
    if control is not None and label is None and score != "auc":
        best = control.loc[control["best"].astype(bool)]
        scores = dict(zip(_places(best), best[score].tolist(), strict=True))
        points["control"] = [scores.get(place, np.nan) for place in _places(points)]
    if selectivity:
        for name in ("value", "low", "high"):
            points[name] -= points["control"]
    return points.dropna(subset="value").reset_index(drop=True)


def _of_classes(
    points: pd.DataFrame, by_class: pd.DataFrame, label: str | None
) -> pd.DataFrame:
    """`points` with the scores of one class, or with the mean AUC of all classes."""
    if label is None:
        means = by_class.pivot_table(index=_PLACE, values="auc").reset_index()
        return points.merge(means, on=_PLACE)
    names = ["n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "auc"]
    scores = by_class.loc[by_class["label"] == label, [*_PLACE, *names]]
    kept = points.drop(columns=[name for name in names if name in points])
    return kept.merge(scores, on=_PLACE)


def _places(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(*(frame[name].tolist() for name in _PLACE), strict=True))
