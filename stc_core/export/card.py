"""The model card of a bundle: what the classifier is, how good, on what, and limits."""

from stc_core.classifiers.base import BaseClassifier
from stc_core.display import OURS, baseline_name, count, interval, percent
from stc_core.export.cut_backbone import KeptBlocks
from stc_core.runs.metrics import MainScores, RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.run_summary import method_of

_MOST_CLASSES = 100


def model_card(
    run: Run,
    classifier: BaseClassifier,
    kept: KeptBlocks,
    *,
    licence: str,
    texts: bool,
    use: str,
) -> str:
    """Markdown with the header that model hubs read; `use` says how to use it."""
    metrics = run.metrics
    parts = [
        _header(run, licence),
        f"# {run.name}",
        _what(run, classifier, metrics),
        "## Results",
        _results(metrics),
        "## Data",
        _data(run, texts=texts),
        "## Model",
        _model(run, metrics, kept),
        "## Use",
        use,
        "## Limits",
        _limits(metrics),
    ]
    return "\n\n".join(parts) + "\n"


def _header(run: Run, licence: str) -> str:
    lines = [
        "---",
        *([f"license: {licence}"] if licence else []),
        f"base_model: {run.metrics['backbone']['name']}",
        "library_name: stc-studio",
        "pipeline_tag: text-classification",
        "---",
    ]
    return "\n".join(lines)


def _what(run: Run, classifier: BaseClassifier, metrics: RunMetrics) -> str:
    labels = [str(label) for label in classifier.classes_]
    shown = ", ".join(f"`{label}`" for label in labels[:_MOST_CLASSES])
    more = len(labels) - _MOST_CLASSES
    rest = f" and {more:,} more" if more > 0 else ""
    return (
        f"A text classifier of STC Studio, method {method_of(run.config)}, on inner "
        f"layers of `{metrics['backbone']['name']}`. It gives one of "
        f"{len(labels)} labels: {shown}{rest}."
    )


def _which(metrics: RunMetrics) -> str:
    """What is known of the test texts, as the rest of a sentence."""
    if "own_head" in metrics:
        return (
            ". They are the answers of the model's own head; if the model was trained "
            "on these texts, the scores are too good"
        )
    return ", which were not used in training or selection"


def _results(metrics: RunMetrics) -> str:
    test = metrics["test"]
    rows = [_row(OURS, test)]
    rows += [
        _row(baseline_name(key, metrics), scores)
        for key, scores in metrics["baselines"].items()
    ]
    table = "\n".join(["| | accuracy | 95 % | macro-F1 |", "|---|--:|---|--:|", *rows])
    calibration = (
        "" if test["ece"] is None else f" ECE of the probabilities: {test['ece']:.3f}."
    )
    n = count(test["n"], "test text")
    return f"On {n}{_which(metrics)}.{calibration}\n\n{table}"


def _row(name: str, scores: MainScores) -> str:
    return (
        f"| {name} | {percent(scores['accuracy'])} | "
        f"{interval(scores['accuracy_interval'])} | {percent(scores['macro_f1'])} |"
    )


def _data(run: Run, *, texts: bool) -> str:
    report = run.report
    rows = [
        f"| {_cell(label)} | {n.get('train', 0):,} | {n.get('validation', 0):,} | "
        f"{n.get('test', 0):,} |"
        for label, n in report.classes.items()
    ]
    table = "\n".join(
        ["| label | train | validation | test |", "|---|--:|--:|--:|", *rows]
    )
    has = (
        "The texts are in this bundle." if texts else "No text of it is in this bundle."
    )
    return (
        f"`{report.source.get('name', run.config.data.path)}`, "
        f"{count(report.n_used, 'row')} used. {has}\n\n{table}"
    )


def _cell(label: str) -> str:
    return label.replace("|", "\\|").replace("\n", " ")


def _model(run: Run, metrics: RunMetrics, kept: KeptBlocks) -> str:
    neurons, backbone = metrics["neurons"], metrics["backbone"]
    blocks = f"{kept.blocks} of the {kept.blocks_total} layers of the model are here."
    if kept.whole_because:
        blocks = f"All layers of the model are here ({kept.whole_because.rstrip('.')})."
    tuned = " Some of them were tuned." if "tuned" in backbone else ""
    return (
        f"{neurons['selected']:,} of {neurons['total']:,} features are read. {blocks}"
        f"{tuned} Texts are cut at {backbone['max_length']} tokens; trained with "
        f"{backbone['dtype']}, seed {run.config.train.seed}."
    )


def bundle_use(classifier: BaseClassifier) -> str:
    """How a bundle is used, as Markdown."""
    lines = [
        "stc predict FILE table.csv --out labelled.csv",
        *(
            ['stc explain FILE --text "..."']
            if "explain" in classifier.abilities
            else []
        ),
        "stc serve FILE",
        "stc import FILE",
    ]
    commands = "\n".join(lines)
    return (
        f"No network is needed; FILE is this archive.\n\n```sh\n{commands}\n```\n\n"
        "In Python: `from stc_core import Run; Run.open(FILE).classifier()`. "
        "`manifest.json` has the sha256 of each file: it finds damage, but not one "
        "who changes both."
    )


def hub_card(card: str, repository: str) -> str:
    """The card of a bundle for the repository that holds it: how to get it from there.

    Where its use speaks of a FILE, that is the bundle in the repository.
    """
    pull = f"```sh\nstc pull {repository}\n```\n\nOr download `bundle.zip`."
    return card.replace("## Use\n\n", f"## Use\n\n{pull} ", 1)


def _limits(metrics: RunMetrics) -> str:
    return (
        "The scores hold for texts like those of the data above, of the same time and "
        "source. The classifier gives one of its labels to any text. What the model "
        f"{metrics['backbone']['name']} learned before, with its biases, is still in "
        "it."
    )
