"""What is read at each place of the model: the probes' scores as one frame to draw."""

from typing import Literal

import numpy as np
import pandas as pd

from stc_core.frames import records
from stc_core.metrics.scores import METRICS

Score = Literal["accuracy", "macro_f1", "auc"]
SCORES: dict[Score, str] = {**METRICS, "auc": "AUC"}
OF_A_CLASS: dict[Score, str] = {"accuracy": "recall", "macro_f1": "F1", "auc": "AUC"}
"""What the scores are called where they are of one class."""
_PLACE = ["site", "pooling"]


def best_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """One row per site and pooling: the probe with the C that validation chose.

    Places of `mute_places` are left out, unless there is no other.
    """
    best = probes.loc[probes["best"].astype(bool)]
    telling = best.loc[~_is_mute(best, probes)]
    best = best if telling.empty else telling
    return best.sort_values(["kind", "pooling", "layer"], kind="stable").reset_index(
        drop=True
    )


def mute_places(probes: pd.DataFrame) -> list[str]:
    """'resid.0 by first' for each place where every weight of every C is zero.

    The embedding of the first special token is one: it is the same for every text.
    """
    best = probes.loc[probes["best"].astype(bool)]
    mute = best.loc[_is_mute(best, probes)]
    return [f"{row['site']} by {row['pooling']}" for row in records(mute)]


def _is_mute(best: pd.DataFrame, probes: pd.DataFrame) -> pd.Series:
    reads = probes.loc[probes["nonzeros"] > 0]
    telling = set(_places(reads))
    return pd.Series([p not in telling for p in _places(best)], best.index, dtype=bool)


def readings(
    probes: pd.DataFrame,
    score: Score = "accuracy",
    *,
    by_class: pd.DataFrame | None = None,
    label: str | None = None,
    control: pd.DataFrame | None = None,
    selectivity: bool = False,
) -> pd.DataFrame:
    """The best probe of each place with its `value`, and `low` and `high` if known.

    Of all classes, or of the class `label`, which needs `by_class`, as an AUC does:
    over all classes that is the mean of theirs. `control` is the score that the probe
    of shuffled labels has at the place, NaN if not known; the selectivity is what the
    value has over it, with the interval of the value alone.
    """
    points = best_probes(probes)
    if label is not None or score == "auc":
        assert by_class is not None, "scores by class are needed"
        points = _of_classes(points, by_class, label)
    bounded = score == "accuracy"
    points["value"] = points[score].astype(float)
    points["low"] = points["accuracy_low"].astype(float) if bounded else np.nan
    points["high"] = points["accuracy_high"].astype(float) if bounded else np.nan
    points["control"] = np.nan
    if control is not None and label is None and score != "auc":
        best = control.loc[control["best"].astype(bool)]
        found = dict(zip(_places(best), best[score].tolist(), strict=True))
        points["control"] = [found.get(place, np.nan) for place in _places(points)]
    if selectivity:
        for name in ("value", "low", "high"):
            points[name] -= points["control"]
    return points.dropna(subset="value").reset_index(drop=True)


def _of_classes(
    points: pd.DataFrame, by_class: pd.DataFrame, label: str | None
) -> pd.DataFrame:
    """`points` with the scores of a class, or with the mean AUC of all of them."""
    if label is None:
        means = by_class.pivot_table(index=_PLACE, values="auc").reset_index()
        return points.merge(means, on=_PLACE)
    names = ["n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "auc"]
    found = by_class.loc[by_class["label"] == label, [*_PLACE, *names]]
    kept = points.drop(columns=[name for name in names if name in points])
    return kept.merge(found, on=_PLACE)


def _places(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(*(frame[name].tolist() for name in _PLACE), strict=True))
