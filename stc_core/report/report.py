"""A finished run as one HTML file that opens without a server or a network."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from stc_core.config import SETTING_PARTS
from stc_core.display import count, duration
from stc_core.files import replacing
from stc_core.recipe_table import RECIPES
from stc_core.report import inside, sections
from stc_core.report.html import (
    Section,
    bullets,
    facts_table,
    html_table,
    page,
    paragraph,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.run_summary import result_facts, result_of

FEW_TEXTS = 10


def html_report(run: Run) -> str:
    """The report of `run` as HTML: interactive figures, tables, settings and limits.

    The file loads nothing from elsewhere, and every text of a user is escaped. Parts
    that the run does not have are left out.
    """
    metrics = run.metrics
    filled = [
        Section(title, body(run, metrics))
        for title, body, needs in _PARTS
        if all(map(run.has, needs))
    ]
    return page(run.name, _intro(run, metrics), filled)


def write_report(run: Run, path: str | Path) -> int:
    """Write the report of `run` to the file `path`; return its size in bytes."""
    content = html_report(run).encode()
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _intro(run: Run, metrics: RunMetrics) -> str:
    backbone = metrics["backbone"]
    lead = (
        f"A classifier of **{len(metrics['classes']):,} classes** that reads "
        f"`{backbone['name']}`, trained on {run.config.created[:10]} with STC Studio. "
        "This file holds the full report and needs no network."
    )
    if run.has(RunFile.CORPUS):
        lead += " It quotes texts of the data."
    facts = result_facts(result_of(metrics))
    facts["seconds"] = facts["seconds"]._replace(note=f"on {backbone['device']}")
    return paragraph(lead) + facts_table(list(facts.values()))


def _settings(run: Run, metrics: RunMetrics) -> str:
    config, backbone = run.config, metrics["backbone"]
    train = config.train.model_dump()
    recipe = config.train.recipe
    parts = {name: train.pop(name) for name in SETTING_PARTS}
    for part, settings in parts.items():
        if part in RECIPES[recipe].settings:
            train |= {f"{part}: {name}": value for name, value in settings.items()}
    train["device"] = backbone["device"]
    train["dtype"] = backbone["dtype"]
    train["max_length"] = backbone["max_length"]
    rows = [(name, _value(value)) for name, value in train.items()]
    rows += [(f"chosen: {k}", _value(v)) for k, v in metrics.get("chosen", {}).items()]
    neurons = metrics["neurons"]
    if (left_out := neurons.get("left_out")) is not None:
        share = f"{left_out:,} of {neurons['total']:,}"
        rows.append(("neurons left out, because they hardly vary", share))
    rows += [("how the model is read", note) for note in backbone["notes"]]
    rows.append(("weights of the model (hash)", backbone["identity"]))
    rows.append(("training took", duration(metrics["seconds"]["total"])))
    return html_table("settings", ["setting", "value"], rows)


def _repeat(run: Run, metrics: RunMetrics) -> str:
    """How to make the run again, and what it was computed with."""
    environment = run.environment
    assert environment is not None, run.folder
    last = environment.machines[-1]
    rows = [("seed", f"{run.config.train.seed}"), *last.versions.items()]
    threads = "" if last.threads is None else f", {count(last.threads, 'thread')}"
    rows.append(("machine", f"{last.processor}, {last.system}{threads}"))
    rows += [
        (f"sha256 of {Path(path).name}", table.sha256)
        for path, table in environment.tables.items()
    ]
    how = "`stc train --config RUN` makes the run again; RUN is its folder."
    if (shrunk := run.config.shrink) is not None:
        how = f"The run was made by `stc shrink` from the run `{shrunk.parent}`."
    lead = (
        f"{how} With the same table, versions and machine the "
        "result is the same. Elsewhere the last digits may differ."
    )
    return paragraph(lead) + html_table("repeat", ["what", "value"], rows)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "not set"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _limits(run: Run, metrics: RunMetrics) -> str:
    counts = run.report.classes
    few = [name for name, n in counts.items() if 0 < n.get("test", 0) < FEW_TEXTS]
    has_test_file = run.config.data.test_path is not None
    n_test = metrics["test"]["n"]
    apart = "The test texts were not used in training or selection."
    if "own_head" in metrics:
        apart = (
            "The scores are those of the model's own head: if the model was trained on "
            "these texts, they are too good."
        )
    return bullets(_limit_sentences(n_test, few, apart, has_test_file=has_test_file))


def _limit_sentences(
    n_test: int, few: list[str], apart: str, *, has_test_file: bool
) -> Iterable[str]:
    """Sentences on what the numbers do not say, but a reader may believe."""
    yield (
        f"The intervals come from the {n_test:,} test texts of **one split**, "
        "with the classifier held fixed. Another seed or another sample of training "
        "texts changes the scores, too."
    )
    yield (
        "Layer curves and trade-offs show the best of many attempts on **held-out** "
        "texts, so they are a little too high. The sentence on the best layer is "
        f"corrected for that, unless it says otherwise. {apart}"
    )
    yield (
        "If a label can be **read** at a layer, that does not mean that the model uses "
        "it there. The scores of the layers change nothing in the model."
    )
    yield (
        "Many neurons carry nearly the same information, so another choice of neurons "
        "may do as well. The texts on which a neuron is highest are its extremes, not "
        "all that it reacts to."
    )
    if not has_test_file:
        yield (
            "The test texts come from the same table as the training texts. On texts "
            "from elsewhere the classifier may do worse."
        )
    if few:
        names = ", ".join(islice(few, 8)) + (", …" if len(few) > 8 else "")
        yield (
            f"{len(few):,} of the classes have fewer than {FEW_TEXTS} test texts "
            f"({names}): their scores are mostly luck."
        )


_PARTS: list[tuple[str, Callable[[Run, RunMetrics], str], tuple[RunFile, ...]]] = [
    ("Compared with its baselines", sections.baselines, ()),
    ("How well each layer predicts the labels", sections.layers, (RunFile.PROBES,)),
    ("How much of the model is enough", sections.enough, (RunFile.CURVES,)),
    ("Would more rows help?", sections.more_rows_section, (RunFile.LEARNING,)),
    ("The neurons", sections.neurons, ()),
    (
        "Would other rows keep the same neurons?",
        inside.stability_section,
        (RunFile.STABILITY,),
    ),
    (
        "What the model uses of the neurons",
        inside.use_section,
        (RunFile.USAGE,),
    ),
    (
        "Do explanations name what the answer rests on?",
        inside.faithfulness_section,
        (RunFile.FAITHFULNESS,),
    ),
    ("What the classifier gets wrong", sections.mistakes, (RunFile.PREDICTIONS,)),
    (
        "How reliable the probabilities are",
        sections.trust_section,
        (RunFile.PREDICTIONS,),
    ),
    ("The data", sections.data, ()),
    ("The settings", _settings, ()),
    ("How to repeat it", _repeat, (RunFile.ENVIRONMENT,)),
    ("What the numbers do not say", _limits, ()),
]
"""The parts in order: title, content, and the files of a run that it is made of."""
