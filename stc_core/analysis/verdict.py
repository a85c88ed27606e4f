"""What a result is worth: better than, level with or worse than its baselines."""

from typing import Literal, NamedTuple

from stc_core.display import OURS, baseline_name, percent
from stc_core.runs.metrics import BaselineScores, RunMetrics

Standing = Literal["better", "level", "worse", "unknown"]


class ResultVerdict(NamedTuple):
    """How the classifier stands beside its best baseline, and a sentence on it.

    `baseline` is the key of that baseline, None without any. `unknown`: no paired
    interval of the difference is known.
    """

    standing: Standing
    baseline: str | None
    sentence: str


def result_verdict(metrics: RunMetrics) -> ResultVerdict:
    """The verdict on a result, by accuracy on the test texts.

    The best baseline is the one with the highest accuracy. The classifier is better or
    worse only if the 95 % interval of the difference, text by text, leaves out zero.
    That interval does not know that the baseline is the best of several; so a `worse`
    is a little too frequent, and a `better` is not.
    """
    baselines = metrics["baselines"]
    ours = f"{OURS} ({percent(metrics['test']['accuracy'])})"
    if not baselines:
        said = f"{ours} stands alone: there is no baseline."
        return ResultVerdict("unknown", None, said)
    key = max(baselines, key=lambda name: baselines[name]["accuracy"])
    best = baselines[key]
    name = f"{baseline_name(key, metrics)} ({percent(best['accuracy'])})"
    gap = 100 * (metrics["test"]["accuracy"] - best["accuracy"])
    bounds = f"{gap:+.1f} points"
    if (lead := best.get("lead_interval")) is not None:
        low, high = (100 * end for end in lead)
        bounds += f", 95 %: {low:+.1f} to {high:+.1f}"
    standing = _standing(best)
    claim = {
        "better": "is **better than every baseline**; next is",
        "level": "is **level with the best baseline**,",
        "worse": "is **worse than a baseline**,",
        "unknown": "stands beside its best baseline,",
    }[standing]
    chance = {
        "level": " The difference may be chance.",
        "unknown": " Whether that is chance is not known.",
    }.get(standing, "")
    sentence = f"{ours} {claim} {name}: {bounds}.{chance}"
    return ResultVerdict(standing, key, sentence)


def _standing(best: BaselineScores) -> Standing:
    bounds = best.get("lead_interval")
    if bounds is None:
        return "unknown"
    low, high = bounds
    if low > 0:
        return "better"
    return "worse" if high < 0 else "level"
