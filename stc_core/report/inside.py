"""The sections of a report on stable neurons, on their use, and on explanations."""

from typing import Any

from stc_core.analysis.inside.kept import is_current
from stc_core.analysis.inside.stability import (
    ABOUT_OVERLAP,
    overlap_rows,
    overlap_table,
    stable_neurons,
)
from stc_core.display import formatted
from stc_core.figures.neurons import usage_scatter
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS
from stc_core.interpret.faithfulness.sentences import faithfulness_sentences
from stc_core.interpret.interventions.sentences import usage_sentences
from stc_core.report.html import bullets, html_chart, html_table, paragraph
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run

MOST_USED = 12


def stability_section(run: Run, metrics: RunMetrics) -> str:
    """Whether other rows would have kept the same neurons: sentences and a table."""
    record = run.stability
    columns, rows = list(overlap_table(record)), overlap_rows(record)
    table = html_table("stability", columns, rows) if rows else ""
    return (
        bullets(stable_neurons(record))
        + table
        + paragraph(ABOUT_OVERLAP.replace("*", ""))
    )


def use_section(run: Run, metrics: RunMetrics) -> str:
    """What is read and what is used of each neuron: sentences, points and a table.

    Empty if it was measured for another head than the run has now.
    """
    record = run.usage
    if not is_current(run, record):
        return ""
    usage = run.neuron_usage
    figure = html_chart(
        usage_scatter(usage, -1),
        "usage",
        alt="What is read and what is used of each kept neuron",
        note="Read: the size of the neuron's part of the logit. Used: what the logit "
        "would lose if the model gave the neuron its mean at every word, to first "
        "order.",
    )
    most = usage.drop_duplicates(["site", "index"]).nlargest(MOST_USED, "effect")
    names = ("readout", "effect", "effect_last_layer")
    rows = [
        (
            f"{row['site']}.{row['index']}",
            *(formatted(row[name], ".4f") for name in names),
        )
        for row in most.to_dict("records")
    ]
    columns = ["neuron", "read", "used", "used by the last layer"]
    return (
        bullets(usage_sentences(record)) + figure + html_table("usage", columns, rows)
    )


def faithfulness_section(run: Run, metrics: RunMetrics) -> str:
    """Whether explanations name what the answer rests on: sentences and two tables.

    Empty if it was measured for another head than the run has now.
    """
    record, body = run.faithfulness, ""
    if not is_current(run, record):
        return ""
    columns = ["explanation", "comprehensiveness", "95 %", "sufficiency", "95 %"]
    for name in ("words", "neurons"):
        part = record[name]
        rows = [
            (
                ATTRIBUTIONS[one["method"]],
                *_score(one, "comprehensiveness"),
                *_score(one, "sufficiency"),
            )
            for one in part["methods"]
        ]
        table = html_table(f"faithful_{name}", columns, rows)
        title = paragraph(f"**Over {name}**, {part['n_texts']:,} texts")
        body += title + bullets(faithfulness_sentences(part, name)) + table
    return body + paragraph(
        "Comprehensiveness: what the probability of the label loses without the "
        "strongest parts; more is better. Sufficiency: what it loses with these "
        "alone; less is better. Means over 1, 5, 10, 20 and 50 % of the parts."
    )


def _score(scores: dict[str, Any], name: str) -> tuple[str, str]:
    found = scores[name]
    low, high = (formatted(found[name], ".2f") for name in ("low", "high"))
    return formatted(found["mean"], ".3f"), f"{low} to {high}"
