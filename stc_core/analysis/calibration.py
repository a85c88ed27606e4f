"""How far probabilities can be trusted: calibration, and accuracy when abstaining."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from stc_core.metrics.scores import wilson_interval

BINS = 15
"""As many as `metrics.expected_calibration_error` has."""


def temperature_of(metrics: Mapping[str, Any]) -> float | None:
    """What the logits of a run were divided by; None where that is not kept.

    A preset without a temperature keeps 1.0.
    """
    found = metrics.get("chosen", {}).get("temperature")
    return None if found is None else float(found)


def untempered(
    probabilities: Float[np.ndarray, "n n_class"], temperature: float
) -> Float[np.ndarray, "n n_class"]:
    """The probabilities before their logits were divided by `temperature`.

    softmax(z) is proportional to softmax(z / T) ** T, so no logits are needed; the
    order of the classes stays. What was rounded to 0 stays 0.
    """
    shares = probabilities.astype(np.float64)
    powers = (shares / shares.max(axis=1, keepdims=True)) ** temperature
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_bins(
    codes: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n n_class"],
    *,
    n_bins: int = BINS,
) -> pd.DataFrame:
    """A row per bin of confidence that has rows: start, end, n, confidence (its mean),
    accuracy and accuracy_low, accuracy_high (Wilson, 95 %).

    Bins are those of `expected_calibration_error`, which is the mean distance of
    accuracy and confidence, weighted by n. Source: Guo et al. 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == codes).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    n = np.bincount(bins, minlength=n_bins)
    full = np.flatnonzero(n)
    hits = np.bincount(bins, right, n_bins)[full]
    low, high = wilson_interval(hits, n[full])
    return pd.DataFrame(
        {
            "start": full / n_bins,
            "end": (full + 1) / n_bins,
            "n": n[full],
            "confidence": np.bincount(bins, confidence, n_bins)[full] / n[full],
            "accuracy": hits / n[full],
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )


class Kept(NamedTuple):
    """What is answered with at least some confidence, and how well.

    `accuracy` is that of the `n` answered rows of `of`, with its 95 % interval
    (Wilson); NaN, and from 0 to 1, where nothing is answered.
    """

    n: int
    of: int
    accuracy: float
    low: float
    high: float

    @property
    def coverage(self) -> float:
        return self.n / self.of if self.of else 0.0


def answered(
    confidence: Float[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    threshold: float,
) -> Kept:
    """The rows whose confidence reaches `threshold`; of the others nothing is said."""
    kept = correct[confidence >= threshold]
    n, hits = len(kept), int(kept.sum())
    low, high = wilson_interval(np.array([hits]), np.array([n]))
    share = hits / n if n else float("nan")
    return Kept(n, len(correct), share, float(low[0]), float(high[0]))


def coverage_curve(
    confidence: Float[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    *,
    most: int = 200,
) -> pd.DataFrame:
    """threshold, n, coverage, accuracy, low, high, from few rows answered to all.

    Each point is a threshold that some row just reaches, `most` of them, evenly over
    the rows. Source: El-Yaniv & Wiener 2010.
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    if len(last) > most:
        last = last[np.linspace(0, len(last) - 1, most).round().astype(int)]
    n = last + 1
    hits = correct[order].cumsum()[last]
    low, high = wilson_interval(hits, n)
    return pd.DataFrame(
        {
            "threshold": falling[last],
            "n": n,
            "coverage": n / len(confidence),
            "accuracy": hits / n,
            "low": low,
            "high": high,
        }
    )
