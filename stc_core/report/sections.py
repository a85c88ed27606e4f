"""The sections of a report that show the results of a run: figures, tables, captions.

Each function takes the run and its metrics and returns HTML, which is empty if the run
has nothing to show there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stc_core.analysis.best_probe import ComparedProbes, band, compare_probes
from stc_core.analysis.calibration import (
    LEAST,
    answer_above,
    calibration_bins,
    coverage_curve,
    temperature_of,
    untempered,
)
from stc_core.analysis.confusion import (
    Confusion,
    class_scores,
    confused_pairs,
    confusion,
    most_confused,
)
from stc_core.analysis.inside.stability import (
    chosen_times,
    ranking_choice,
    stable_choice,
)
from stc_core.analysis.layer_scores import readings
from stc_core.analysis.summary import (
    PARENT_CURVES,
    layer_story,
    more_rows,
)
from stc_core.analysis.verdict import result_verdict
from stc_core.data.statistics import balance_of, class_balance
from stc_core.display import formatted, interval, percent
from stc_core.figures.data import class_bars, result_dots, result_table
from stc_core.figures.errors import (
    MOST_CONFUSED,
    calibration_curve,
    confusion_matrix,
    coverage_figure,
)
from stc_core.figures.frontier import frontier
from stc_core.figures.layers import layer_curves, reference_lines
from stc_core.figures.neurons import neuron_map
from stc_core.figures.trade import depth_curve, neuron_curve, rows_curve
from stc_core.frames import records
from stc_core.interpret.exemplars import TOP, pick_texts
from stc_core.interpret.neuron_table import chosen_neurons, neuron_name, weights_of
from stc_core.recipe_table import RECIPES
from stc_core.report.html import bullets, html_chart, html_table, paragraph
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.run_summary import result_of

TOP_NEURONS, TOP_TEXTS = 12, 3
MOST_SQUARES = 2000
MOST_MISTAKES = 12
LONGEST_TEXT = 300
_SURE = 0.5


def baselines(run: Run, metrics: RunMetrics) -> str:
    """The test scores of the classifier and its baselines."""
    results = result_table(metrics)
    rows = [
        (
            row["name"],
            percent(row["accuracy"]),
            interval((row["low"], row["high"])),
            percent(row["macro_f1"]),
            row["detail"],
        )
        for row in records(results)
    ]
    note = (
        f"All on the same {metrics['test']['n']:,} test texts. The band is the "
        "interval of this classifier."
    )
    alt = "Test accuracy of this classifier and its baselines, with 95 % intervals"
    said = paragraph(result_verdict(metrics).sentence)
    chart = html_chart(result_dots(results), "baselines", alt=alt, note=note)
    return f"{said}{chart}" + html_table(
        "baselines", ["classifier", "accuracy", "95 %", "macro-F1", "how"], rows
    )


def layers(run: Run, metrics: RunMetrics) -> str:
    """The scores of the probes by layer, in sentences, a figure and a table."""
    probes, curves, compared = run.probes, run.curves, compared_of(run, metrics)
    bounds = None if compared is None else band(compared)
    points = readings(probes, band=bounds)
    each = "each on its own" if compared is None else "which hold for all together"
    figure = layer_curves(
        points,
        reference_lines(metrics, "accuracy"),
        layer_names=metrics["backbone"]["layer_names"],
    )
    note = (
        "Points: the best sparse probe of each site and pooling on "
        f"**{points['n'].iloc[0]:,} validation texts**, with 95 % intervals, {each}. "
        f"Lines: results on the **{metrics['test']['n']:,} test texts**."
    )
    alt = "Validation accuracy of the probes by layer, with baselines as lines"
    best = points.sort_values("accuracy", ascending=False).head(10)
    rows = [
        (
            row["site"],
            row["pooling"],
            percent(row["accuracy"]),
            interval((row["low"], row["high"])),
            f"{row['nonzeros']:,}",
        )
        for row in records(best)
    ]
    columns = ["site", "pooling", "accuracy", "95 %", "weights not zero"]
    return (
        bullets(layer_story(probes, curves, metrics, compared=compared))
        + html_chart(figure, "layers", alt=alt, note=note)
        + html_table("best_probes", columns, rows)
    )


def compared_of(run: Run, metrics: RunMetrics) -> ComparedProbes | None:
    """The probes compared by accuracy; None for an older run without their answers."""
    if not run.has(RunFile.GUESSES):
        return None
    n_class = len(metrics["classes"])
    return compare_probes(run.probes, run.guesses, "accuracy", n_class=n_class)


def enough(run: Run, metrics: RunMetrics) -> str:
    """The curves by number of neurons and by depth, and the cheaper classifiers."""
    curves, body = run.curves, ""
    drawn = set(curves["curve"])
    if "neurons" in drawn:
        alt = "Validation accuracy by number of neurons kept"
        body += html_chart(neuron_curve(curves), "by_neurons", alt=alt)
    if "depth" in drawn:
        alt = "Validation accuracy and compute saved by depth"
        body += html_chart(depth_curve(curves), "by_depth", alt=alt)
    body = f'<div class="two">{body}</div>' if body else ""
    if body and "recipe" in metrics:
        body = paragraph(f"{PARENT_CURVES}, not the final classifier.") + body
    if run.has(RunFile.FRONTIER) and not RECIPES[run.config.train.recipe].tunes:
        note = (
            "A point is a classifier that reads no layer above its own. Darker: more "
            "neurons. A point is on the line if no cheaper point is as good."
        )
        alt = "Validation accuracy of cheaper classifiers against measured time"
        body += html_chart(frontier(run.frontier), "frontier", alt=alt, note=note)
    return body


def more_rows_section(run: Run, metrics: RunMetrics) -> str:
    """What more rows would bring: sentences and the learning curve."""
    learning = run.learning
    alt = "Accuracy by number of rows, continued with its 95 % band"
    note = (
        "Points: simple models trained on a part of the rows and scored on texts that "
        "they have not seen, moved to the level of this classifier."
    )
    figure = html_chart(rows_curve(learning), "more_rows", alt=alt, note=note)
    return bullets(more_rows(learning)) + figure


def neurons(run: Run, metrics: RunMetrics) -> str:
    """The map of the kept neurons, and a table of the most important ones."""
    if not (run.has(RunFile.NEURONS) and run.has(RunFile.ACTIVATIONS)):
        return ""
    neurons, texts = run.neurons, run.corpus["text"].tolist()
    alt = "A square for each neuron that was kept, by site, coloured by importance"
    shown = chosen_neurons(neurons.nlargest(MOST_SQUARES, "importance"))
    note = f"The {len(shown):,} most important of {len(neurons):,}, layer 0 below."
    top = neurons.nlargest(TOP_NEURONS, "importance")
    values = np.asarray(run.activations[:, top["neuron"].to_numpy()], dtype=float)
    rows = [
        (
            neuron_name(row),
            f"{row['importance']:.3g}",
            _weights(row),
            _highest(values[:, place], texts),
        )
        for place, row in enumerate(records(top))
    ]
    columns = ["neuron", "importance", "strongest weights", "highest texts"]
    about = ""
    if run.has(RunFile.STABILITY):
        columns.insert(2, "chosen again")
        times = chosen_times(run.stability)
        about = paragraph(
            "Chosen again: by how many of the selections on halves of the rows, on "
            "bootstrap samples, and on the rows of other seeds."
        )
        rows = [
            (*row[:2], times[place], *row[2:])
            for place, row in zip(top["neuron"], rows, strict=True)
        ]
    chart = html_chart(neuron_map(shown), "neurons", alt=alt, note=note)
    said = bullets([*ranking_choice(metrics), *stable_choice(metrics)])
    return said + chart + html_table("neurons", columns, rows) + about


def _weights(neuron: dict[str, Any]) -> str:
    """The three classes with the largest weights of the neuron, and these weights."""
    weights = weights_of(neuron)
    strongest = sorted(weights, key=lambda name: -abs(weights[name]))[:3]
    return ", ".join(f"{name} {formatted(weights[name], '+.2f')}" for name in strongest)


def _highest(values: np.ndarray, texts: list[str]) -> str:
    picked = pick_texts(values, texts, n_top=TOP_TEXTS)
    rows = records(picked.loc[picked["group"] == TOP])
    return "\n".join(
        f"[{row['value']:.2f}] {_short(texts[row['row']])}" for row in rows
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def mistakes(run: Run, metrics: RunMetrics) -> str:
    """The confusion matrix, the scores of each class, and the confused pairs."""
    test = _tested(run)
    classes = metrics["classes"]
    counts = confusion(test["label"].to_numpy(), test["predicted"].to_numpy(), classes)
    shown = most_confused(counts, MOST_CONFUSED)
    cut = f" Shown: the {MOST_CONFUSED} of {len(classes):,} classes with most errors."
    matrix = html_chart(
        confusion_matrix(counts, shown),
        "confusion",
        alt="Test texts by label and by predicted class",
        note="Green is right, red is wrong. Stronger: a larger share of the row."
        + (cut if len(shown) < len(classes) else ""),
    )
    figures = matrix + _class_table(counts)
    body = f'<div class="two">{figures}</div>'
    pairs = confused_pairs(counts).head(MOST_MISTAKES)
    if pairs.empty:
        return body + paragraph("No test text is wrong.")
    rows = [
        (row["label"], row["predicted"], f"{row['n']:,}", percent(row["share"]))
        for row in records(pairs)
    ]
    columns = ["label", "predicted", "test texts", "of the label"]
    return body + html_table("mistakes", columns, rows)


def _class_table(counts: Confusion) -> str:
    scores = class_scores(counts)
    rows = [
        (row["class"], f"{row['n']:,}", percent(row["f1"]), interval(bounds))
        if row["f1"] == row["f1"]
        else (row["class"], f"{row['n']:,}", "–", "–")
        for row in records(scores)
        for bounds in [(row["f1_low"], row["f1_high"])]
    ]
    return html_table("classes", ["class", "texts", "F1", "95 %"], rows)


def trust_section(run: Run, metrics: RunMetrics) -> str:
    """The calibration curve, and the accuracy if unsure answers are left out."""
    test = _tested(run)
    classes = metrics["classes"]
    shares = test[[f"p:{name}" for name in classes]].to_numpy(float)
    codes = pd.Index(classes).get_indexer_for(test["label"].to_numpy())
    temperature = temperature_of(metrics)
    before = None
    if temperature is not None:
        before = calibration_bins(codes, untempered(shares, temperature), least=LEAST)
    curve = html_chart(
        calibration_curve(calibration_bins(codes, shares, least=LEAST), before),
        "calibration",
        alt="Accuracy by confidence, with 95 % intervals",
        note="On the line, the confidence is exactly right. Expected calibration error "
        f"(ECE): **{percent(result_of(metrics).ece)}**.",
    )
    sure, right = test["probability"].to_numpy(float), test["correct"].to_numpy(bool)
    kept = answer_above(sure, right, _SURE)
    bounds = interval((kept.low, kept.high))
    right_share = f"; {percent(kept.accuracy)} of these are right (95 %: {bounds})"
    answers = (
        f"With a confidence of at least {100 * _SURE:.0f} %, {percent(kept.coverage)} "
        f"of the texts are answered{right_share if kept.n else ''}."
    )
    coverage = html_chart(
        coverage_figure(coverage_curve(sure, right), kept),
        "coverage",
        alt="Accuracy by the share of texts that are answered",
        note=f"Accuracy if unsure answers are left out. {answers}",
    )
    return f'<div class="two">{curve}{coverage}</div>'


def _tested(run: Run) -> pd.DataFrame:
    predictions = run.predictions
    return predictions.loc[predictions["split"] == "test"]


def data(run: Run, metrics: RunMetrics) -> str:
    """The facts about the table, its classes, and the findings in it."""
    report = run.report
    balance = (
        class_balance(run.corpus)
        if run.has(RunFile.CORPUS)  # it may have come without its texts
        else balance_of(report.classes)
    )
    splits: Any = balance.groupby("split", sort=False)["rows"].sum()
    columns, test_path = report.columns, run.config.data.test_path
    drawn = f"{'validation ' if test_path else ''}drawn by class, with the seed"
    rows = [
        ("file", report.source["name"]),
        *([("test file", Path(test_path).name)] if test_path else []),
        ("rows", f"{report.n_rows:,}, of which {report.n_used:,} are used"),
        ("text", columns.text),
        ("label", " › ".join(columns.labels)),
        ("split", columns.split or drawn),
        *((f"{name} texts", f"{count:,}") for name, count in splits.items() if count),
        ("texts that were cut", f"{metrics['tokens']['cut']:,}"),
    ]
    alt = "Rows of each class in each split"
    listed = [(finding.severity, finding.message) for finding in report.findings]
    findings = (
        html_table("findings", ["severity", "finding"], listed)
        if listed
        else paragraph("No problems were found in the data.")
    )
    return (
        html_table("data", ["fact", "value"], rows)
        + html_chart(class_bars(balance), "classes", alt=alt)
        + findings
    )
