"""The results of a run in plain sentences. No Streamlit, no figures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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
from stc_core.display import baseline_name, count, formatted, interval, percent
from stc_core.frames import records
from stc_core.metrics.best_of import BestOf
from stc_core.metrics.scores import METRICS, Metric
from stc_core.runs.metrics import RunMetrics
from stc_core.types import SITE_KINDS

OVERLAP = ", though the two 95 % intervals overlap."
UNCORRECTED = (
    " It is the best of {n:,} tried on these texts, so it is too high. It is not "
    "corrected for that choice, because this run kept no answers of its probes."
)
_HARDLY = 1.0
"""A gain that is surely less than so many points hardly helps."""
PARENT_CURVES = "The sparse classifier that this run began with"
"""What the curves describe if the metrics name a recipe: that recipe starts from the
sparse classifier and trains another one."""


class LayerFinding(NamedTuple):
    """One result as a short `line` for beside a figure, and as a whole `sentence`."""

    line: str
    sentence: str


def layer_findings(
    probes: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: RunMetrics,
    *,
    metric: Metric = "accuracy",
    compared: ComparedProbes | None = None,
) -> list[LayerFinding]:
    """What the curves show, as Markdown.

    It says which place is best, how much better it is than the last layer, and what it
    costs. Every number comes from `probes`, `curves`, `metrics`, or from `compared`,
    which is None for an older run: then no score is corrected, and the first sentence
    says so.
    """
    best = best_probes(probes)
    if compared is None:
        top = _top(best, metric)
        line = f"**Layer {top['layer']}** scores highest: {percent(top[metric])}"
        first = _place(best, metric) + UNCORRECTED.format(n=len(probes))
        findings = [LayerFinding(line, first), _over_last(best, metric)]
    else:
        assert compared.metric == metric, (compared.metric, metric)
        findings = [_best_place(compared), _told_from_last(best, compared)]
    findings.append(_beside(metrics, metric))
    if "own_head" in metrics:
        total = metrics["layers"]["total"]
        findings.append(_reads("The model's own head", total, total, 0.0))
    else:
        findings += _few_neurons(curves, metric)
        findings += _shallow(curves, metrics, metric)
        findings.append(words_finding(metrics))
    return [found for found in findings if found is not None]


def layer_story(
    probes: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: RunMetrics,
    *,
    metric: Metric = "accuracy",
    compared: ComparedProbes | None = None,
) -> list[str]:
    """The sentences of `layer_findings`."""
    findings = layer_findings(probes, curves, metrics, metric=metric, compared=compared)
    return [found.sentence for found in findings]


def words_finding(metrics: RunMetrics) -> LayerFinding | None:
    """What words add to the neurons; None if it was not tried."""
    if (words := metrics.get("words")) is None:
        return None
    gain, error = 100 * words["gain"], 100 * words["error"]
    gained = f"{formatted(gain, '+.1f')} points"
    measured = f"{gained} on held-out texts (standard error {error:.1f})"
    if not (n := words["selected"]):
        return LayerFinding(
            f"Words beside the neurons hardly help: {gained}",
            f"Words beside the neurons do not clearly help: {measured}. So the "
            "classifier does not read them.",
        )
    return LayerFinding(
        f"**Words** beside the neurons add {gained}",
        f"Beside the neurons the classifier reads **{n:,} words** and pairs of words: "
        f"{measured}.",
    )


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
        f"Accuracy to expect on new texts: about {round(100 * now['score'])} % with "
        f"the {learning['rows']:,} rows of today, "
        f"{', '.join(told)}."
    )
    if some["gain_low"] > 0:
        return [first, f"The first {some['more']:,} would add {_points(some)}."]
    doubt = f"It is not certain that they help: {most['more']:,} would add "
    return [first, doubt + f"{_points(most)}."]


def _points(forecast: Mapping[str, Any]) -> str:
    """A gain as 'about 1.2 points (95 %: 0.4 to 2.1)'."""
    gain, low, high = (
        formatted(100 * forecast[name], ".1f")
        for name in ("gain", "gain_low", "gain_high")
    )
    return f"about {gain} points (95 %: {low} to {high})"


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


def _best_place(compared: ComparedProbes) -> LayerFinding:
    """The best place, its corrected score, and who else may be best."""
    found = best_of_all(compared)
    top = compared.probes.iloc[found.at]
    layers = sorted({int(top["layer"]), *map(int, contenders(compared)["layer"])})
    n = len(compared.guesses.label)
    where = (
        f"from its {SITE_KINDS[top['kind']]} (`{top['site']}`) pooled by "
        f"{top['pooling']}: {corrected(found, compared.metric)}."
    )
    line = f"**Layer {top['layer']}** scores highest: {percent(found.value)}"
    if len(layers) == 1:
        best = f"The labels are read best at **layer {top['layer']}**, {where}"
        return LayerFinding(line, best)
    alike = layer_ranges(layers)
    return LayerFinding(
        f"{line}, but **{alike}** cannot be told apart",
        f"The score is highest at **layer {top['layer']}**, {where} But **{alike} "
        f"cannot be told apart** on {count(n, 'validation text')}: their differences "
        "may be chance (95 %).",
    )


def corrected(found: BestOf, metric: Metric) -> str:
    """'accuracy 85.1 % (95 %: 82.0 to 89.1 %), the best of 117 tried, ...'."""
    bounds = f"no interval: {found.reason}"
    if found.low is not None and found.high is not None:
        bounds = f"95 %: {interval((found.low, found.high))}"
    return (
        f"{METRICS[metric]} **{percent(found.value)}** ({bounds}), corrected for being "
        f"the best of {found.tried:,} tried, which scored {percent(found.raw)} on the "
        "same validation texts"
    )


LAST_IS_BEST = LayerFinding(
    "The **last layer** is as good as any",
    "No place is better than the hidden states of the last layer.",
)


def _told_from_last(
    best: pd.DataFrame, compared: ComparedProbes
) -> LayerFinding | None:
    """The gain over the last layer, if it is more than chance."""
    states = best.loc[best["kind"] == "resid"]
    if states.empty:
        return None
    top, deepest = _top(best, compared.metric), states["layer"].max()
    last = _top(states.loc[states["layer"] == deepest], compared.metric)
    if top["site"] == last["site"]:
        return LAST_IS_BEST
    name = f"the sparse probes of the last layer's hidden states (`{last['site']}`)"
    if last["site"] in set(contenders(compared)["site"]):
        return LayerFinding(
            "Its lead over the last layer's hidden states may be chance",
            f"It cannot be told apart from {name} on these texts.",
        )
    of_last = (compared.probes["site"] == last["site"]).to_numpy()
    there = best_among(compared, of_last).value
    points = 100 * (best_of_all(compared).value - there)
    return LayerFinding(
        f"**{points:.1f} points** above the last layer's hidden states",
        f"The best place is **{points:.1f} points** above {name}, which is more than "
        "chance.",
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


def _over_last(best: pd.DataFrame, metric: Metric) -> LayerFinding | None:
    """The gain over the last layer, which people use by default."""
    states = best.loc[best["kind"] == "resid"]
    if states.empty:
        return None
    top = _top(best, metric)
    last = _top(states.loc[states["layer"] == states["layer"].max()], metric)
    if top["site"] == last["site"]:
        return LAST_IS_BEST
    points = 100 * (top[metric] - last[metric])
    line = f"**{points:.1f} points** above the last layer's hidden states"
    sentence = (
        f"That is **{points:.1f} points** above the sparse probe of the last layer's "
        f"hidden states (`{last['site']}`, {last['pooling']}: {percent(last[metric])})"
    )
    if metric == "accuracy" and top["accuracy_low"] <= last["accuracy_high"]:
        return LayerFinding(line, sentence + OVERLAP)
    return LayerFinding(line, sentence + ".")


def _beside(metrics: RunMetrics, metric: Metric) -> LayerFinding | None:
    """The classifier beside the best baseline, on the test texts."""
    if metric == "accuracy":
        verdict = result_verdict(metrics)
        return LayerFinding(verdict.claim, verdict.sentence)
    test, baselines, name = metrics["test"], metrics["baselines"], METRICS[metric]
    if not baselines:
        return None
    key = max(baselines, key=lambda name: baselines[name][metric])
    points = 100 * (test[metric] - baselines[key][metric])
    by = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
    by = by if round(points, 1) else "equal to"
    return LayerFinding(
        f"{name[0].upper() + name[1:]} **{by}** the best baseline",
        f"On the {test['n']:,} test texts the classifier of this run has "
        f"{name} {percent(test[metric])}, **{by}** the best baseline "
        f"({baseline_name(key, metrics)}, {percent(baselines[key][metric])}).",
    )


def _few_neurons(curves: pd.DataFrame, metric: Metric) -> list[LayerFinding]:
    part = curves.loc[curves["curve"] == "neurons"].sort_values(
        "neurons", kind="stable"
    )
    enough = _smallest(part, metric, share=0.95)
    chosen = part.loc[part["chosen"].astype(bool)]
    if enough is None or chosen.empty:
        return []
    kept, few = int(chosen.iloc[0]["neurons"]), int(enough["neurons"])
    if few >= kept:
        line = f"All **{kept:,} kept neurons** are needed"
        return [LayerFinding(line, f"{line} for this score.")]
    line = f"**{few:,} neurons** are enough for 95 % of the score"
    return [LayerFinding(line, f"{line}. The classifier keeps {kept:,}.")]


def _shallow(
    curves: pd.DataFrame, metrics: RunMetrics, metric: Metric
) -> list[LayerFinding]:
    part = curves.loc[curves["curve"] == "depth"].sort_values("layer", kind="stable")
    chosen = part.loc[part["chosen"].astype(bool)]
    if chosen.empty:
        return []
    row, total = chosen.iloc[0], metrics["layers"]["total"]
    who = PARENT_CURVES if "recipe" in metrics else "The classifier"
    findings = [_reads(who, int(row["layer"]), total, 1 - float(row["flops_share"]))]
    early = _smallest(part, metric, share=0.95)
    if early is not None and early["layer"] < row["layer"]:
        saved = percent(1 - float(early["flops_share"]))
        keeps = percent(early[metric] / float(row[metric]))
        findings.append(
            LayerFinding(
                f"**Layer {early['layer']}** is nearly enough: saves {saved} of the "
                "compute",
                f"A classifier that stops at layer {early['layer']} keeps {keeps} of "
                f"the score on held-out texts and saves {saved} of the compute.",
            )
        )
    return findings


def _reads(who: str, layer: int, total: int, saved: float) -> LayerFinding:
    if layer >= total:
        return LayerFinding(
            f"All **{total} layers** are read", f"{who} reads all {total} layers."
        )
    return LayerFinding(
        f"**Layers up to {layer} of {total}** are read: saves {percent(saved)} of the "
        "compute",
        f"{who} reads up to **layer {layer} of {total}**, which saves "
        f"{percent(saved)} of the compute.",
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
