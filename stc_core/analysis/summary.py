"""The results of a run in plain sentences. No Streamlit, no figures."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stc_core.analysis.best_probe import (
    ComparedProbes,
    best_among,
    best_of_all,
    contenders,
    layer_ranges,
)
from stc_core.analysis.layer_scores import best_probes
from stc_core.analysis.verdict import result_verdict
from stc_core.display import baseline_name, count, interval, percent
from stc_core.frames import records
from stc_core.metrics.best_of import BestOf
from stc_core.metrics.scores import METRICS, Metric
from stc_core.runs.metrics import RunMetrics
from stc_core.selection.stability import NEARLY_ALWAYS
from stc_core.types import SITE_KINDS

OVERLAP = ", though the two 95 % intervals overlap."
UNCORRECTED = (
    " It is the best of {n:,} tried on these texts and not corrected for that choice, "
    "so it is too high: this run kept no answers of its probes."
)
_HARDLY = 1.0
"""A gain that is surely less than so many points hardly helps."""
PARENT_CURVES = "The sparse classifier that this run began with"
"""What the curves describe if the metrics name a recipe: that recipe starts from the
sparse classifier and trains another one."""


def layer_story(
    probes: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: RunMetrics,
    *,
    metric: Metric = "accuracy",
    compared: ComparedProbes | None = None,
) -> list[str]:
    """Sentences on the curves, as Markdown.

    They say which place is best, how much better it is than the last layer, and what it
    costs. Every number comes from `probes`, `curves`, `metrics`, or from `compared`,
    which is None for an older run: then no score is corrected, and the first sentence
    says so.
    """
    best = best_probes(probes)
    if compared is None:
        first = _place(best, metric) + UNCORRECTED.format(n=len(probes))
        sentences = [first, _over_last(best, metric)]
    else:
        assert compared.metric == metric, (compared.metric, metric)
        sentences = [_best_place(compared), _told_from_last(best, compared)]
    sentences.append(_beside(metrics, metric))
    sentences += _few_neurons(curves, metric)
    sentences += _shallow(curves, metrics, metric)
    return [sentence for sentence in sentences if sentence]


def stable_neurons(stability: Mapping[str, Any]) -> list[str]:
    """Whether other rows would keep the same neurons: sentences on a `Stability`."""
    kept, always = stability["kept"], stability["always"]
    times = stability["n_selections"]
    least = math.ceil(NEARLY_ALWAYS * times)
    said = [
        f"We chose the neurons again on {times} random halves of the rows "
        f"({stability['half']:,} rows each). {always:,} of the {kept:,} neurons were "
        f"chosen at least {least} times.",
        f"Two halves share {percent(stability['overlap'])} of their neurons; random "
        f"sets of this size would share {percent(stability['chance'])}.",
    ]
    if always < kept / 2:
        said.append(
            "So the neurons are one of many sets that do as well. Trust what a single "
            "neuron says only if it is chosen nearly always."
        )
    return said


def more_rows(learning: Mapping[str, Any]) -> list[str]:
    """Sentences on what more rows would bring, from the record of a `LearningCurve`."""
    now, *later = learning["forecasts"]
    some, most = later[0], later[-1]
    if 100 * most["gain_high"] < _HARDLY:
        return [
            f"**More rows would hardly help**: {most['more']:,} more would add "
            f"{_points(most)} to the accuracy."
        ]
    told = [
        f"with **{one['more']:,} more rows** about **{round(100 * one['score'])} %** "
        f"({round(100 * one['low'])} to {round(100 * one['high'])})"
        for one in later
    ]
    first = (
        f"Accuracy on new texts, by all held-out and test texts: about "
        f"{round(100 * now['score'])} % with the {learning['rows']:,} rows of now, "
        f"{', '.join(told)}."
    )
    if some["gain_low"] > 0:
        return [first, f"The first {some['more']:,} would add {_points(some)}."]
    doubt = f"It is not certain that they help: {most['more']:,} would add "
    return [first, doubt + f"{_points(most)}."]


def _points(forecast: Mapping[str, Any]) -> str:
    """A gain as 'about 1.2 points (95 %: 0.4 to 2.1)'."""
    gain, low, high = (
        100 * forecast[name] for name in ("gain", "gain_low", "gain_high")
    )
    return f"about {gain:.1f} points (95 %: {low:.1f} to {high:.1f})"


def _top(frame: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    row = frame.loc[frame[metric].astype(float).idxmax()]
    return {str(name): value for name, value in row.items()}


def _place(best: pd.DataFrame, metric: Metric) -> str:
    top = _top(best, metric)
    score = f"{METRICS[metric]} {percent(top[metric])} on {top['n']:,} validation texts"
    if metric == "accuracy":
        bounds = interval((top["accuracy_low"], top["accuracy_high"]))
        score = (
            f"{percent(top[metric])} of {top['n']:,} validation texts are right "
            f"(95 %: {bounds})"
        )
    kind = SITE_KINDS[top["kind"]]
    return (
        f"The labels are read best at **layer {top['layer']}**, from its {kind} "
        f"(`{top['site']}`) pooled by {top['pooling']}: {score}.{_level(best, metric)}"
    )


def _best_place(compared: ComparedProbes) -> str:
    """Sentences on the best place, its corrected score, and who else may be best."""
    found = best_of_all(compared)
    top = compared.probes.iloc[found.at]
    layers = sorted({int(top["layer"]), *map(int, contenders(compared)["layer"])})
    n = len(compared.guesses.label)
    where = (
        f"from its {SITE_KINDS[top['kind']]} (`{top['site']}`) pooled by "
        f"{top['pooling']}: {corrected(found, compared.metric)}."
    )
    if len(layers) == 1:
        return f"The labels are read best at **layer {top['layer']}**, {where}"
    alike = layer_ranges(layers)
    return (
        f"The score is highest at **layer {top['layer']}**, {where} But **{alike} "
        f"cannot be told apart** on {count(n, 'validation text')}: their differences "
        "may be chance (95 %)."
    )


def corrected(found: BestOf, metric: Metric) -> str:
    """'accuracy 85.1 % (95 %: 82.0 to 89.1 %), the best of 117 tried, ...'."""
    bounds = f"no interval: {found.reason}"
    if found.low is not None and found.high is not None:
        bounds = f"95 %: {interval((found.low, found.high))}"
    return (
        f"{METRICS[metric]} **{percent(found.value)}** ({bounds}), the best of "
        f"{found.tried:,} tried, which scored {percent(found.raw)} on the validation "
        "texts that chose it"
    )


def _told_from_last(best: pd.DataFrame, compared: ComparedProbes) -> str:
    """A sentence on the gain over the last layer, if it is more than chance."""
    states = best.loc[best["kind"] == "resid"]
    if states.empty:
        return ""
    top, deepest = _top(best, compared.metric), states["layer"].max()
    last = _top(states.loc[states["layer"] == deepest], compared.metric)
    if top["site"] == last["site"]:
        return "No place is better than the hidden states of the last layer."
    name = f"the sparse probes of the last layer's hidden states (`{last['site']}`)"
    if last["site"] in set(contenders(compared)["site"]):
        return f"It cannot be told apart from {name} on these texts."
    of_last = (compared.probes["site"] == last["site"]).to_numpy()
    there = best_among(compared, of_last).value
    points = 100 * (best_of_all(compared).value - there)
    return (
        f"The best place is **{points:.1f} points** above {name}, which is more than "
        "chance."
    )


def _level(best: pd.DataFrame, metric: Metric) -> str:
    """A sentence on the places with exactly the best score, if there are several."""
    tied = best.loc[best[metric] == best[metric].max()].sort_values(
        "layer", kind="stable"
    )
    if len(tied) == 1:
        return ""
    first = records(tied)[0]
    return (
        f" **{len(tied)} of the {len(best)} places** have exactly this score, the "
        f"shallowest at layer {first['layer']} (`{first['site']}`, {first['pooling']})."
    )


def _over_last(best: pd.DataFrame, metric: Metric) -> str:
    """A sentence on the gain over the last layer, which people use by default."""
    states = best.loc[best["kind"] == "resid"]
    if states.empty:
        return ""
    top = _top(best, metric)
    last = _top(states.loc[states["layer"] == states["layer"].max()], metric)
    if top["site"] == last["site"]:
        return "No place is better than the hidden states of the last layer."
    points = 100 * (top[metric] - last[metric])
    sentence = (
        f"That is **{points:.1f} points** above the sparse probe of the last layer's "
        f"hidden states (`{last['site']}`, {last['pooling']}: {percent(last[metric])})"
    )
    if metric == "accuracy" and top["accuracy_low"] <= last["accuracy_high"]:
        return sentence + OVERLAP
    return sentence + "."


def _beside(metrics: RunMetrics, metric: Metric) -> str:
    """A sentence that compares the classifier with the best baseline on test texts."""
    if metric == "accuracy":
        return result_verdict(metrics).sentence
    test, baselines = metrics["test"], metrics["baselines"]
    if not baselines:
        return ""
    key = max(baselines, key=lambda name: baselines[name][metric])
    points = 100 * (test[metric] - baselines[key][metric])
    by = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
    return (
        f"On the {test['n']:,} test texts the classifier of this run has "
        f"{METRICS[metric]} {percent(test[metric])}, "
        f"**{by if round(points, 1) else 'equal to'}** the best baseline "
        f"({baseline_name(key, metrics)}, {percent(baselines[key][metric])})."
    )


def _few_neurons(curves: pd.DataFrame, metric: Metric) -> list[str]:
    part = curves.loc[curves["curve"] == "neurons"].sort_values(
        "neurons", kind="stable"
    )
    enough = _smallest(part, metric, share=0.95)
    chosen = part.loc[part["chosen"].astype(bool)]
    if enough is None or chosen.empty:
        return []
    kept = int(chosen.iloc[0]["neurons"])
    few = int(enough["neurons"])
    if few >= kept:
        return [f"All **{kept:,} kept neurons** are needed for this score."]
    return [
        f"**{few:,} neurons** are enough for 95 % of the score of the {kept:,} kept "
        "neurons; every larger number that was tried reaches this, too."
    ]


def _shallow(curves: pd.DataFrame, metrics: RunMetrics, metric: Metric) -> list[str]:
    part = curves.loc[curves["curve"] == "depth"].sort_values("layer", kind="stable")
    chosen = part.loc[part["chosen"].astype(bool)]
    if chosen.empty:
        return []
    row, total = chosen.iloc[0], metrics["layers"]["total"]
    who = PARENT_CURVES if "recipe" in metrics else "The classifier"
    sentences = [_reads(who, int(row["layer"]), total, 1 - float(row["flops_share"]))]
    early = _smallest(part, metric, share=0.95)
    if early is not None and early["layer"] < row["layer"]:
        saved = percent(1 - float(early["flops_share"]))
        keeps = percent(early[metric] / float(row[metric]))
        sentences.append(
            f"Stopping at layer {early['layer']} would keep {keeps} of its score on "
            f"held-out texts and save {saved} of the compute."
        )
    return sentences


def _reads(who: str, layer: int, total: int, saved: float) -> str:
    if layer >= total:
        return f"{who} reads all {total} layers."
    return (
        f"{who} reads up to **layer {layer} of {total}**, which saves "
        f"{percent(saved)} of the compute."
    )


def _smallest(
    part: pd.DataFrame, metric: Metric, *, share: float
) -> dict[str, Any] | None:
    """The first row from which on all scores are at least `share` of the chosen score.

    A single lucky row is not enough: all later rows must reach the score, too.
    """
    chosen = part.loc[part["chosen"].astype(bool)]
    if chosen.empty:
        return None
    rows, least = records(part), share * float(chosen.iloc[0][metric])
    first = max((at for at, row in enumerate(rows) if row[metric] < least), default=-1)
    return rows[first + 1] if first + 1 < len(rows) else None
