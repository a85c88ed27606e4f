"""A finished run as one HTML file that is read with no server and no network."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stc_core.exemplars import TOP, pick_texts
from stc_core.figures_data import class_bars, result_dots, result_table
from stc_core.figures_frontier import frontier
from stc_core.figures_hierarchy import confusion_map
from stc_core.figures_layers import layer_curves, reference_lines
from stc_core.figures_neurons import neuron_map
from stc_core.figures_trade import depth_curve, neuron_curve
from stc_core.files import replacing
from stc_core.html_page import (
    Section,
    bullets,
    chart,
    facts,
    page,
    paragraph,
    table,
)
from stc_core.neurons import chosen_neurons, neuron_name, weights_of
from stc_core.readings import best_probes, readings
from stc_core.report import class_balance
from stc_core.run import Run
from stc_core.story import layer_story
from stc_core.wording import duration, interval, percent

TOP_NEURONS, TOP_TEXTS = 12, 3
MOST_SQUARES = 2000
MOST_MISTAKES = 15
MOST_CLASSES = 40
FEW_TEXTS = 10
LONGEST_TEXT = 300


def html_report(run: Run) -> str:
    """The report of `run`: its figures to point at, its tables, settings and limits.

    Nothing in it is fetched, and every text of a user is escaped. Parts that the run
    does not have are left out.
    """
    metrics = run.metrics
    parts: list[tuple[str, Callable[[Run, dict[str, Any]], str]]] = [
        ("Against its baselines", _baselines),
        ("Where the labels can be read", _layers),
        ("How much of the model is enough", _enough),
        ("The neurons", _neurons),
        ("What it gets wrong", _mistakes),
        ("The data", _data),
        ("The settings", _settings),
        ("What the numbers do not say", _limits),
    ]
    sections = [Section(title, body(run, metrics)) for title, body in parts]
    return page(run.name, _intro(run, metrics), sections)


def write_report(run: Run, path: str | Path) -> int:
    """Write the report of `run` to the file `path`; its size in bytes."""
    content = html_report(run).encode()
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _intro(run: Run, metrics: dict[str, Any]) -> str:
    test, neurons, cost = metrics["test"], metrics["neurons"], metrics["cost"]
    layers, model = metrics["layers"], metrics["backbone"]["name"]
    saved = 1 - cost["flops_per_token"] / max(cost["flops_per_token_total"], 1)
    lead = (
        f"A classifier of **{len(metrics['classes']):,} classes** that reads "
        f"`{model}`, trained on {run.config.created[:10]} with STC Studio. This file "
        "holds all of the report: it needs no network. It quotes texts of the data."
    )
    return paragraph(lead) + facts(
        [
            ("Test accuracy", percent(test["accuracy"]), _bounds(test, "accuracy")),
            ("Macro-F1", percent(test["macro_f1"]), _bounds(test, "macro_f1")),
            ("Calibration error", f"{test['ece']:.3f}", "ECE, on test"),
            ("Test texts", f"{test['n']:,}", "they chose nothing"),
            (
                "Neurons kept",
                f"{neurons['selected']:,}",
                f"of {neurons['total']:,}",
            ),
            ("Highest layer", f"{layers['used']}", f"of {layers['total']}"),
            ("Compute saved", percent(max(saved, 0.0)), "FLOPs a token"),
            (
                "Training took",
                duration(metrics["seconds"]["total"]),
                f"on {metrics['backbone']['device']}",
            ),
        ]
    )


def _bounds(found: dict[str, Any], name: str) -> str:
    return f"95 %: {interval(found[f'{name}_interval'])}"


def _baselines(run: Run, metrics: dict[str, Any]) -> str:
    found = result_table(metrics)
    rows = [
        (
            row["name"],
            percent(row["accuracy"]),
            interval((row["low"], row["high"])),
            percent(row["macro_f1"]),
            row["detail"],
        )
        for row in found.to_dict("records")
    ]
    note = f"All on the same {metrics['test']['n']:,} test texts. The band is ours."
    alt = "Test accuracy of this classifier and its baselines, with 95 % intervals"
    return chart(result_dots(found), "baselines", alt=alt, note=note) + table(
        "baselines", ["classifier", "accuracy", "95 %", "macro-F1", "how"], rows
    )


def _layers(run: Run, metrics: dict[str, Any]) -> str:
    probes, curves = run.probes, run.curves
    figure = layer_curves(
        readings(probes),
        reference_lines(metrics, "accuracy"),
        layer_names=metrics["backbone"]["layer_names"],
    )
    note = (
        "Points: the best sparse probe of each site and pooling on "
        f"**{metrics['validation']['n']:,} validation texts**, with 95 % intervals. "
        f"Lines: results on the **{metrics['test']['n']:,} test texts**."
    )
    alt = "Validation accuracy of the probes by layer, with baselines as lines"
    best = best_probes(probes).sort_values("accuracy", ascending=False).head(10)
    rows = [
        (
            row["site"],
            row["pooling"],
            percent(row["accuracy"]),
            interval((row["accuracy_low"], row["accuracy_high"])),
            f"{row['nonzeros']:,}",
        )
        for row in best.to_dict("records")
    ]
    columns = ["site", "pooling", "accuracy", "95 %", "weights not zero"]
    return (
        bullets(layer_story(probes, curves, metrics))
        + chart(figure, "layers", alt=alt, note=note)
        + table("best_probes", columns, rows)
    )


def _enough(run: Run, metrics: dict[str, Any]) -> str:
    curves, body = run.curves, ""
    drawn = set(curves["curve"])
    if "neurons" in drawn:
        alt = "Validation accuracy by number of neurons kept"
        body += chart(neuron_curve(curves), "by_neurons", alt=alt)
    if "depth" in drawn:
        alt = "Validation accuracy and compute saved by depth"
        body += chart(depth_curve(curves), "by_depth", alt=alt)
    body = f'<div class="two">{body}</div>' if body else ""
    if run.has("frontier.parquet") and run.config.train.recipe == "stc":
        note = (
            "A point is a classifier that reads no layer above its own; fuller: more "
            "neurons. No cheaper point does better than one on the line."
        )
        alt = "Validation accuracy of cheaper classifiers against measured time"
        body += chart(frontier(run.frontier), "frontier", alt=alt, note=note)
    return body


def _neurons(run: Run, metrics: dict[str, Any]) -> str:
    if not (run.has("neurons.parquet") and run.has("activations.npy")):
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
        for place, row in enumerate(top.to_dict("records"))
    ]
    columns = ["neuron", "importance", "strongest weights", "texts it is highest on"]
    return chart(neuron_map(shown), "neurons", alt=alt, note=note) + table(
        "neurons", columns, rows
    )


def _weights(neuron: dict[Any, Any]) -> str:
    """The three classes that it moves most, with its weight for each."""
    found = weights_of({str(name): value for name, value in neuron.items()})
    most = sorted(found, key=lambda name: -abs(found[name]))[:3]
    return ", ".join(f"{name} {found[name]:+.2f}" for name in most)


def _highest(values: np.ndarray, texts: list[str]) -> str:
    picked = pick_texts(values, texts, n_top=TOP_TEXTS)
    rows = picked.loc[picked["group"] == TOP].to_dict("records")
    return "\n".join(
        f"[{row['value']:.2f}] {_short(texts[row['row']])}" for row in rows
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def _mistakes(run: Run, metrics: dict[str, Any]) -> str:
    predictions = run.predictions
    test = predictions.loc[predictions["split"] == "test"]
    classes = metrics["classes"]
    body = ""
    if len(classes) <= MOST_CLASSES:
        counts = pd.crosstab(test["label"], test["predicted"])
        counts = counts.reindex(index=classes, columns=classes, fill_value=0)
        alt = "Test texts by true and by predicted class"
        note = "Shade: the share of the true class. The diagonal is right."
        body = chart(confusion_map(counts), "confusion", alt=alt, note=note)
    wrong = test.loc[~test["correct"].astype(bool)]
    pairs = wrong.value_counts(["label", "predicted"]).head(MOST_MISTAKES)
    if pairs.empty:
        return body + paragraph("No test text is wrong.")
    rows = [(*map(str, pair), f"{n:,}") for pair, n in pairs.items()]  # pyright: ignore
    return body + table("mistakes", ["label", "predicted", "test texts"], rows)


def _data(run: Run, metrics: dict[str, Any]) -> str:
    report, corpus = run.report, run.corpus
    splits = corpus["split"].value_counts()
    columns = report.columns
    rows = [
        ("file", report.source["name"]),
        ("rows", f"{report.n_rows:,}, of which {report.n_used:,} are used"),
        ("text", columns.text),
        ("label", " › ".join(columns.labels)),
        ("split", columns.split or "drawn by class, with the seed"),
        *((f"{name} texts", f"{count:,}") for name, count in splits.items()),
        ("texts that were cut", f"{metrics['tokens']['cut']:,}"),
    ]
    alt = "Rows of each class in each split"
    found = [(one.severity, one.message) for one in report.findings]
    findings = (
        table("findings", ["weight", "what was found"], found)
        if found
        else paragraph("Nothing was found to be wrong with the data.")
    )
    return (
        table("data", ["fact", "value"], rows)
        + chart(class_bars(class_balance(corpus)), "classes", alt=alt)
        + findings
    )


def _settings(run: Run, metrics: dict[str, Any]) -> str:
    config, backbone = run.config, metrics["backbone"]
    train = config.train.model_dump()
    own = {"variability": "tune", "hierarchy": "hierarchy", "attention": "attention"}
    for recipe, part in own.items():
        settings = train.pop(part)
        if config.train.recipe == recipe:
            train |= {f"{part}: {name}": value for name, value in settings.items()}
    train["device"] = backbone["device"]
    train["dtype"] = backbone["dtype"]
    train["max_length"] = backbone["max_length"]
    rows = [(name, _value(value)) for name, value in train.items()]
    rows += [(f"chosen: {k}", _value(v)) for k, v in metrics.get("chosen", {}).items()]
    rows.append(("weights of the model (hash)", backbone["identity"]))
    rows.append(("training took", duration(metrics["seconds"]["total"])))
    return table("settings", ["setting", "value"], rows)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "not set"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _limits(run: Run, metrics: dict[str, Any]) -> str:
    counts = run.report.classes
    few = [name for name, n in counts.items() if 0 < n.get("test", 0) < FEW_TEXTS]
    return bullets(_said_limits(metrics["test"]["n"], few))


def _said_limits(n_test: int, few: list[str]) -> Iterable[str]:
    """What a reader may take the numbers for, though they do not say it."""
    yield (
        f"The intervals are bootstraps over {n_test:,} test texts of **one split**, "
        "with the classifier held fixed. Another seed or another sample of training "
        "texts moves the scores, too."
    )
    yield (
        "Layer curves and trade-offs are **validation** scores of the best of many "
        "tries, so a little flattered. Test texts chose nothing."
    )
    yield (
        "That a label can be **read** at a layer does not say that the model uses it "
        "there. Nothing was intervened on: no neuron was switched off."
    )
    yield (
        "Many neurons say nearly the same, so another choice of them may do as well. "
        "The texts that a neuron is highest on are its extremes, not all that it does."
    )
    yield (
        "Test texts come from the same table as the training texts. On texts from "
        "elsewhere it may do worse."
    )
    if few:
        named = ", ".join(islice(few, 8)) + (", …" if len(few) > 8 else "")
        yield (
            f"{len(few):,} of the classes have fewer than {FEW_TEXTS} test texts "
            f"({named}): what is said of each of them is mostly luck."
        )
