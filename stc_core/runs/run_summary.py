"""A run in one line: the record of its facts, and the words for them.

`Run.summary` reads the record. Lists, cards, badges and HTTP answers show it.
"""

from pathlib import Path
from typing import Any, NamedTuple

from stc_core.config import RunConfig
from stc_core.display import count, duration, interval, percent
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.status import State


class ScoreEstimate(NamedTuple):
    """A score on the test texts with the ends of its 95 % interval; all are shares.

    The ends are None if there is no interval; `reason` says why.
    """

    value: float
    low: float | None
    high: float | None
    reason: str = ""

    @property
    def interval_line(self) -> str:
        """'95 %: 85.1 to 89.3 %', or why there is no interval."""
        if self.low is None or self.high is None:
            return f"no interval: {self.reason}" if self.reason else "no interval"
        return f"95 %: {interval((self.low, self.high))}"


class RunResult(NamedTuple):
    """The test scores of a finished run, and the size and cost of its classifier.

    The classifier keeps `neurons` of `neurons_total`, reads the layers up to `layers`
    of `layers_total`, and `words` beside them. `seconds` is the time of the whole
    training.
    """

    accuracy: ScoreEstimate
    macro_f1: ScoreEstimate
    ece: float
    n_test: int
    neurons: int
    neurons_total: int
    layers: int
    layers_total: int
    flops_per_token: float
    flops_per_token_total: float
    parameters: float
    seconds: float
    words: int = 0

    @property
    def compute_share(self) -> float:
        """The share of the FLOPs of the whole model that one token takes, at most 1."""
        return min(self.flops_per_token / max(self.flops_per_token_total, 1), 1.0)


class RunSummary(NamedTuple):
    """The facts of a run for one line.

    `method` is what people call the training: the recipe, "spin" for that preset,
    "shrunk" for a run made from another one. `data` is the name of the data file, and
    `labels` are the columns that the user named, from coarse to fine. `created` is the
    time of the start (ISO 8601). `n_bytes` is the size of the folder, or None if it was
    not measured. If the settings are damaged, the fields that come from them are empty.
    `result` is None until the run is done, and if its metrics are damaged.
    """

    folder: Path
    name: str
    state: State
    tags: tuple[str, ...]
    result: RunResult | None
    n_bytes: int | None
    created: str = ""
    recipe: str = ""
    method: str = ""
    backbone: str = ""
    data: str = ""
    labels: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def run(self) -> str:
        """The name of the folder, which identifies the run."""
        return self.folder.name

    @property
    def label_path(self) -> str:
        """The columns of the labels as 'topic › subtopic'."""
        return " › ".join(self.labels)


def settings_facts(config: RunConfig) -> dict[str, Any]:
    """The fields of a RunSummary that come from the settings of the run."""
    return {
        "created": config.created,
        "recipe": config.train.recipe,
        "method": method_of(config),
        "backbone": backbone_name(config.train.backbone),
        "data": Path(config.data.path).name,
        "labels": config.data.labels,
        "seed": config.train.seed,
    }


def method_of(config: RunConfig) -> str:
    """What people call the training of a run: stc, spin, shrunk, attention and so on.

    The preset names the training only in the recipe stc.
    """
    if config.shrink is not None:
        return "shrunk"
    train = config.train
    return train.preset if train.recipe == "stc" else train.recipe


def backbone_name(backbone: str) -> str:
    """The Hub id or folder name of a model, as RUN/backbone if the run RUN tuned it."""
    path = Path(backbone)
    if not path.is_absolute():
        return backbone
    return f"{path.parent.name}/{path.name}" if path.name == "backbone" else path.name


def result_of(metrics: RunMetrics) -> RunResult:
    """The result in the metrics of a run."""
    test, cost = metrics["test"], metrics["cost"]
    neurons, layers = metrics["neurons"], metrics["layers"]
    low, high = test["accuracy_interval"]
    return RunResult(
        accuracy=ScoreEstimate(test["accuracy"], low, high),
        macro_f1=_macro_f1_of(metrics),
        ece=float("nan") if test["ece"] is None else test["ece"],
        n_test=test["n"],
        neurons=neurons["selected"],
        neurons_total=neurons["total"],
        layers=layers["used"],
        layers_total=layers["total"],
        flops_per_token=cost["flops_per_token"],
        flops_per_token_total=cost["flops_per_token_total"],
        parameters=cost["parameters"],
        seconds=metrics["seconds"]["total"],
        words=metrics["words"]["selected"] if "words" in metrics else 0,
    )


def _macro_f1_of(metrics: RunMetrics) -> ScoreEstimate:
    test = metrics["test"]
    low, high = test["macro_f1_interval"] or (None, None)
    reason = test.get("macro_f1_reason", "")
    return ScoreEstimate(test["macro_f1"], low, high, reason)


def run_title(summary: RunSummary) -> str:
    """'87.4 % · name' for a run with a result, 'failed · name' for another one."""
    result = summary.result
    first = percent(result.accuracy.value) if result else summary.state
    return f"{first} · {summary.name}"


def settings_line(summary: RunSummary) -> str:
    """'stc · all-MiniLM-L6-v2 · requests.csv · topic › subtopic'; '' if damaged."""
    facts = summary.method, summary.backbone, summary.data, summary.label_path
    return " · ".join(filter(None, facts))


class Fact(NamedTuple):
    """A fact about a run in words: what it is, its value, and a note on the value."""

    label: str
    value: str
    note: str

    @property
    def line(self) -> str:
        """The value with its note, as '412 of 32,256'."""
        return f"{self.value} {self.note}"


def result_facts(result: RunResult) -> dict[str, Fact]:
    """The result in words, by the names of the fields of RunResult and `compute`."""
    accuracy, bounds = _in_percent(result.accuracy)
    n, saved = result.n_test, percent(1 - result.compute_share)
    neurons, layers = f"{result.neurons:,}", f"{result.layers}"
    seconds = duration(result.seconds)
    beside = f", and {count(result.words, 'word')}" if result.words else ""
    of_all = f"of {result.neurons_total:,}{beside}"
    return {
        "accuracy": Fact("Test accuracy", accuracy, f"{bounds}, {count(n, 'text')}"),
        "macro_f1": Fact("Macro-F1", *_in_percent(result.macro_f1)),
        "ece": Fact("ECE", percent(result.ece), "calibration error on test"),
        "n_test": Fact("Test texts", f"{n:,}", "not used in training"),
        "neurons": Fact("Neurons kept", neurons, of_all),
        "layers": Fact("Layers read", layers, f"of {result.layers_total}"),
        "compute": Fact("Compute saved", saved, "of the FLOPs per token"),
        "seconds": Fact("Training took", seconds, "from start to report"),
    }


def _in_percent(score: ScoreEstimate) -> tuple[str, str]:
    """'87.4 %' and '95 %: 85.1 to 89.3 %', or why there is no interval."""
    return percent(score.value), score.interval_line
