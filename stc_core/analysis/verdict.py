"""What a result is worth: better than, level with or worse than its baselines."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from stc_core.display import OURS, baseline_name, formatted, percent
from stc_core.metrics.scores import METRICS, Metric
from stc_core.runs.metrics import RunMetrics

_LEADS: dict[Metric, str] = {
    "accuracy": "lead_interval",
    "macro_f1": "macro_f1_lead_interval",
}
Standing = Literal["better", "level", "worse", "unknown"]


class ResultVerdict(NamedTuple):
    """How the classifier stands beside its best baseline, and a sentence on it.

    `baseline` is the key of that baseline, None without any. `unknown`: no paired
    interval of the difference is known. `claim` is the sentence in a few words.
    """

    standing: Standing
    baseline: str | None
    sentence: str
    claim: str


def result_verdict(metrics: RunMetrics) -> ResultVerdict:
    """The verdict on a result, on the test texts.

    It goes by accuracy, or by macro-F1 if another score than accuracy chose. The best
    baseline is the one that scores highest. The classifier is better or worse only if
    the 95 % interval of the difference, text by text, leaves out zero; better than
    every baseline only if each of these intervals does. Nothing is corrected for the
    best baseline being the best of several.
    """
    by: Metric = "accuracy"
    if (goal := metrics.get("goal")) is not None and goal["criterion"] != "accuracy":
        by = "macro_f1"
    baselines, lead_by = metrics["baselines"], _LEADS[by]
    ours = f"{OURS} ({percent(metrics['test'][by])} {METRICS[by]})"
    if not baselines:
        said = f"{ours} has no baseline to compare with."
        return ResultVerdict("unknown", None, said, "No baseline to compare with")
    key = max(baselines, key=lambda name: baselines[name][by])
    name = f"{baseline_name(key, metrics)} ({percent(baselines[key][by])})"
    gap = 100 * (metrics["test"][by] - baselines[key][by])
    bounds, lead = f"{formatted(gap, '+.1f')} points", baselines[key].get(lead_by)
    if lead is not None:
        low, high = (100 * end for end in lead)
        bounds += f", 95 %: {formatted(low, '+.1f')} to {formatted(high, '+.1f')}"
    standing = _standing(lead)
    others = [scores.get(lead_by) for scores in baselines.values()]
    above_all = all(_standing(other) == "better" for other in others)
    claim = {
        "better": "is **better than every baseline**; next is"
        if above_all
        else "is **better than the best baseline**,",
        "level": "is **level with the best baseline**,",
        "worse": "is **worse than a baseline**,",
        "unknown": "stands beside its best baseline,",
    }[standing]
    chance = {
        "level": " The difference may be chance.",
        "unknown": " It is not known whether that is chance.",
    }.get(standing, "")
    sentence = f"{ours} {claim} {name}: {bounds}.{chance}"
    short = {
        "better": f"**Better** than {'every' if above_all else 'the best'} baseline",
        "level": "**Level** with the best baseline",
        "worse": "**Worse** than a baseline",
        "unknown": "Beside the best baseline",
    }[standing]
    return ResultVerdict(
        standing, key, sentence, f"{short}: {formatted(gap, '+.1f')} points"
    )


def _standing(lead: Sequence[float] | None) -> Standing:
    """How we stand beside a baseline over which we have this lead."""
    if lead is None:
        return "unknown"
    low, high = lead
    if low > 0:
        return "better"
    return "worse" if high < 0 else "level"
