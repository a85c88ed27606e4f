"""How reliable probabilities are: calibration, and accuracy without unsure answers."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from stc_core.metrics.intervals import wilson_interval
from stc_core.runs.metrics import RunMetrics

BINS = 15
"""The number of bins, as in `metrics.expected_calibration_error`."""

LEAST = 20
"""The fewest texts of a bin that is drawn, if there are as many texts."""


def temperature_of(metrics: RunMetrics) -> float | None:
    """The temperature that the logits of a run were divided by; None if not kept.

    It is 1.0 for a preset without a temperature.
    """
    temperature = metrics.get("chosen", {}).get("temperature")
    return None if temperature is None else float(temperature)


def untempered(
    probabilities: Float[np.ndarray, "n n_class"], temperature: float
) -> Float[np.ndarray, "n n_class"]:
    """The probabilities before their logits were divided by `temperature`.

    softmax(z) is proportional to softmax(z / T) ** T, so no logits are needed, and the
    order of the classes stays. A probability that was rounded to 0 stays 0.
    """
    shares = probabilities.astype(np.float64)
    powers = (shares / shares.max(axis=1, keepdims=True)) ** temperature
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_bins(
    codes: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n n_class"],
    *,
    n_bins: int = BINS,
    least: int = 1,
) -> pd.DataFrame:
    """A table with a row for each bin of confidence that is not empty.

    Its columns are start, end, n, confidence (the mean), accuracy, accuracy_low and
    accuracy_high (Wilson, 95 %). The bins are those of `expected_calibration_error`,
    which is the mean of |accuracy - confidence| weighted by n. Source: Guo et al. 2017.
    A bin of fewer than `least` texts is joined with the next ones above it until it has
    as many; what is left at the top joins the bin below.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == codes).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    starts, ends = _joined(counts, least)
    n, hits, total = (
        np.array([sums[a:b].sum() for a, b in zip(starts, ends, strict=True)], float)
        for sums in (
            counts,
            np.bincount(bins, right, n_bins),
            np.bincount(bins, confidence, n_bins),
        )
    )
    low, high = wilson_interval(hits, n.astype(int))
    return pd.DataFrame(
        {
            "start": starts / n_bins,
            "end": ends / n_bins,
            "n": n.astype(int),
            "confidence": total / n,
            "accuracy": hits / n,
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )


def _joined(
    counts: Int[np.ndarray, " bin"], least: int
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """The first bin of each joined bin, and the bin after its last one."""
    edges: list[tuple[int, int]] = []
    start, held = 0, 0
    for place, n in enumerate(counts.tolist()):
        if n and not held:
            start = place
        held += n
        if n and held >= least:
            edges.append((start, place + 1))
            held = 0
    if held:  # too few are left at the top
        last = int(np.flatnonzero(counts)[-1]) + 1
        start = edges.pop()[0] if edges else start
        edges.append((start, last))
    pairs = np.array(edges, int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


class Kept(NamedTuple):
    """How many rows are answered above a threshold, and with which accuracy.

    `n` of the `of` rows are answered; `accuracy` is theirs, with its 95 % interval
    (Wilson). If no row is answered, it is NaN with the interval 0 to 1.
    """

    n: int
    of: int
    accuracy: float
    low: float
    high: float

    @property
    def coverage(self) -> float:
        return self.n / self.of if self.of else 0.0


def answer_above(
    confidence: Float[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    threshold: float,
) -> Kept:
    """The number and accuracy of the rows whose confidence is at least `threshold`."""
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
    """A table with threshold, n, coverage, accuracy, low, high, from few rows to all.

    Each threshold is the confidence of a row. There are at most `most` of them, spread
    evenly over the rows. Source: El-Yaniv & Wiener 2010.
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
