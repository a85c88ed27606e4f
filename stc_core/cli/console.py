"""What the command line shows: progress on stderr, tables on stdout."""

import shlex
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from stc_core.activations.cache import StoreInfo
from stc_core.data.findings import Report
from stc_core.display import BASELINES, baseline_name, duration, interval, percent, size
from stc_core.interpret.explanation import part_name
from stc_core.runs.run import Run
from stc_core.runs.status import PHASE_NAMES, Status
from stc_core.streams import printing_error, silence

PLAIN_EVERY_S = 10.0
TOP_NEURONS = 10


class _Console(Console):
    """A console that falls silent when nobody reads it: the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(self.file)

    def print(self, *objects: Any, **how: Any) -> None:
        try:
            super().print(*objects, **how)
        except OSError as error:
            self.on_broken_pipe()
            if not self.stderr:
                raise printing_error(error) from error


def errors() -> Console:
    return _Console(stderr=True, highlight=False, soft_wrap=True)


def output() -> Console:
    return _Console(highlight=False)


def _spinner() -> SpinnerColumn:
    """One of signs that the terminal has."""
    return SpinnerColumn("line" if errors().options.ascii_only else "dots")


class _Bar:
    """A bar where stderr is a terminal; a plain line now and then where it is not."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self.console = errors()
        self.live = self.console.is_terminal
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.task = self.progress.add_task("", total=None, eta="")
        self.said_at = time.monotonic()

    def __enter__(self):
        if self.live:
            self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live:
            self.progress.stop()

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)
        self.said_at = time.monotonic()

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self.said_at


class PhaseBar(_Bar):
    """The phases of a run, each with how far it is and when it will have ended."""

    def __init__(self) -> None:
        super().__init__(
            _spinner(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[eta]}", markup=False),
        )
        self.phase = ""
        self.message = ""

    def show(self, status: Status) -> None:
        """Draw `status`; called by the RunWriter at each change."""
        said = PHASE_NAMES[status["phase"]]
        if self.live:
            total = status["total"] or None
            fields = {"total": total, "completed": status["done"]}
            self.progress.update(
                self.task, description=said, eta=_far(status), **fields
            )
        elif status["state"] == "running" and status["phase"] != self.phase:
            self.say(said)
        elif status["state"] == "running" and self.silent_s > PLAIN_EVERY_S:
            self.say(f"{said}: {_far(status)}")
        if status["message"] not in ("", self.message) and status["state"] == "running":
            self.say(f"  {status['message']}")
        self.phase, self.message = status["phase"], status["message"]


class CountBar(_Bar):
    """How many there are, when nobody knows how many there will be."""

    def __init__(self, unit: str) -> None:
        super().__init__(_spinner(), TextColumn("{task.description}"))
        self.unit = unit

    def show(self, done: int, total: int) -> None:
        if self.live:
            self.progress.update(self.task, description=f"{done:,} {self.unit}")
        elif self.silent_s > PLAIN_EVERY_S:
            self.say(f"{done:,} {self.unit}")


def _far(status: Status) -> str:
    if not status["total"]:
        return ""
    said = f"{status['done']:,}/{status['total']:,}"
    eta_s = status["eta_s"]
    return said if eta_s is None else f"{said}, {duration(eta_s)} left"


def show_result(run: Run) -> None:
    """Test scores beside the baselines, and what the classifier is made of."""
    metrics = run.metrics
    console = output()
    table = Table(box=box.SIMPLE_HEAD, title=Text(run.name), title_justify="left")
    table.add_column("")
    for head in ("accuracy", "95 % interval", "macro-F1"):
        table.add_column(head, justify="right")
    table.add_row(*_scores("this classifier", metrics["test"]), style="bold")
    for key, scores in metrics["baselines"].items():
        detail = scores.get("detail")
        name = baseline_name(key, metrics)
        table.add_row(*_scores(f"{name} ({detail})" if detail else name, scores))
    console.print(table)
    levels = metrics["test"]["levels"]
    for level in levels if len(levels) > 1 else []:
        console.print(
            f"{level['column']}: accuracy {percent(level['accuracy'])}, "
            f"macro-F1 {percent(level['macro_f1'])}",
            markup=False,
        )
    if said := metrics["test"].get("generation"):
        console.print(
            f"reply: perplexity {said['perplexity']:.1f}, BLEU-2 {said['bleu_2']:.1f}, "
            f"distinct-1 {said['distinct_1']:.2f}, distinct-2 {said['distinct_2']:.2f} "
            f"(n = {said['n']:,})",
            markup=False,
        )
    for key, why in metrics.get("missing", {}).items():
        said = f"{BASELINES.get(key) or key} is missing: {why}"
        console.print(said, markup=False)
    for name, value in _facts(metrics):
        console.print(Text(f"{name:<8}", style="dim"), value)


def _facts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    neurons, layers, seconds = (metrics[k] for k in ("neurons", "layers", "seconds"))
    parts = [f"{k} {duration(float(v))}" for k, v in seconds.items() if k != "total"]
    return [
        ("test", f"{metrics['test']['n']:,} texts, {len(metrics['classes'])} classes"),
        ("neurons", f"{neurons['selected']:,} of {neurons['total']:,}"),
        ("layers", f"{layers['used']} of {layers['total']}"),
        ("time", f"{duration(float(seconds['total']))} ({', '.join(parts)})"),
    ]


def _scores(name: str, scores: dict[str, Any]) -> tuple[Text, str, str, str]:
    return (
        Text(name),
        percent(scores["accuracy"]),
        interval(scores["accuracy_interval"]),
        percent(scores["macro_f1"]),
    )


def _known(value: Any, wording: Callable[[Any], str]) -> str:
    return "–" if value is None else wording(value)


def show_next(run: Run, *, program: str) -> None:
    """Where the run is and what can be done with it, ready to be typed."""
    folder = shlex.quote(str(run.folder))
    console = errors()
    console.print(f"\nThe run is in {run.folder}. Next:", markup=False)
    commands = [f"report {folder}", f"predict {folder} DATA.csv --out labelled.csv"]
    if "generation" in run.metrics["test"]:
        commands.insert(1, f'generate {folder} --text "..."')
    elif run.metrics.get("hierarchy", {}).get("heads") != "words":  # no sum to explain
        commands.insert(1, f'explain {folder} --text "..."')
    for command in commands:
        console.print(f"  {program} {command}", markup=False)
    console.print("  streamlit run app.py", markup=False)


_YIELDS = ("name", "macro-F1", "time", "neurons")
"""Columns of `show_runs` that a narrow terminal does without, the first ones first."""


def show_runs(summaries: list[dict[str, Any]]) -> None:
    """One line a run; columns give way, so that no folder, to be typed, is broken."""
    if not summaries:
        errors().print("There are no runs yet; `train` makes one.", markup=False)
        return
    console = output()
    boundless = console.options.update_width(10_000)
    for some in range(len(_YIELDS) + 1):
        table = _runs_table(summaries, without=_YIELDS[:some])
        if console.measure(table, options=boundless).maximum <= console.width:
            break
    else:
        some = 0  # even that is too wide: all is folded
        table = _runs_table(summaries, without=())
    console.print(table)
    if some:
        left = ", ".join(_YIELDS[:some])
        errors().print(f"Left out for want of room: {left}. --json has all.")


def _runs_table(summaries: list[dict[str, Any]], *, without: Sequence[str]) -> Table:
    columns: dict[str, Callable[[dict[str, Any]], Text | str]] = {
        "run": lambda row: Text(row["run"]),
        "name": lambda row: Text(row["name"]),
        "state": lambda row: row["state"],
        "accuracy": lambda row: _known(row["accuracy"], percent),
        "macro-F1": lambda row: _known(row["macro_f1"], percent),
        "neurons": lambda row: _known(row["neurons"], "{:,}".format),
        "time": lambda row: _known(row["seconds"], duration),
    }
    shown = {head: cell for head, cell in columns.items() if head not in without}
    table = Table(box=box.SIMPLE_HEAD)
    for head in shown:
        words = head in ("run", "name", "state")
        table.add_column(head, justify="left" if words else "right", overflow="fold")
    for row in summaries:
        table.add_row(*(cell(row) for cell in shown.values()))
    return table


def show_variability(nu: Sequence[float], layer_names: Sequence[str]) -> None:
    """One line a layer, the least value marked."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", justify="right")
    table.add_column("")
    table.add_column("nu", justify="right")
    least = min(nu)
    for layer, (value, name) in enumerate(zip(nu, layer_names, strict=True)):
        style = "bold" if value == least else None
        table.add_row(str(layer), name, f"{value:.4g}", style=style)
    output().print(table)
    output().print("Lower: the classes stand further apart, beside their spread.")


def show_stores(stores: list[StoreInfo]) -> None:
    """One line a store of features, and what they take together."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("backbone", overflow="fold")
    for head in ("texts", "size", "complete", "last used"):
        table.add_column(head, justify="right")
    for store in stores:
        table.add_row(
            Text(store.backbone),
            f"{store.n:,}",
            size(float(store.bytes)),
            f"{store.share_done:.0%}",
            f"{datetime.fromtimestamp(store.used):%Y-%m-%d %H:%M}",
        )
    if stores:
        output().print(table)
    total = size(float(sum(store.bytes for store in stores)))
    output().print(f"{len(stores)} stores, {total}; --clean deletes them.")


_SEVERITY = {"error": "bold red", "warning": "yellow", "info": "dim"}


def show_data_report(report: Report) -> None:
    """The columns, the classes and every finding."""
    console = output()
    columns = report.columns
    console.print(f"{report.n_used:,} of {report.n_rows:,} rows can be used.")
    labels = ", ".join(map(repr, columns.labels)) or "none found"
    said = f"text {columns.text!r}; label {labels}"
    said += f"; split {columns.split!r}" if columns.split else ""
    said += f"; id {columns.id!r}" if columns.id else ""
    console.print(said, markup=False)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class", overflow="fold")
    splits = list(next(iter(report.classes.values()), {}))
    for split in splits:
        table.add_column(split, justify="right")
    for name, counts in report.classes.items():
        table.add_row(Text(name), *(f"{counts[split]:,}" for split in splits))
    if report.classes:
        console.print(table)
    for found in report.findings:
        style = _SEVERITY[found.severity]
        console.print(Text(f"{found.severity}: ", style=style) + Text(found.message))
    if not report.findings:
        console.print("Nothing stands in the way.")


def show_explanation(explanation: dict[str, Any], text: str) -> None:
    """The classes, the neurons that decided, and the words coloured by their part."""
    label = explanation["label"]
    console = output()
    ranked = sorted(explanation["probabilities"].items(), key=lambda pair: -pair[1])
    console.print(Text(f"{label}  {percent(ranked[0][1])}", style="bold"))
    rest = (f"{name} {percent(share)}" for name, share in ranked[1:4])
    console.print(Text("then " + ", ".join(rest), style="dim"))
    console.print(Text("\n") + _coloured(text, explanation["tokens"], label))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer" if "attention" in explanation else "neuron")
    table.add_column(Text(f"for {label!r}"), justify="right")
    neurons = sorted(
        explanation["neurons"], key=lambda neuron: -abs(neuron["contribution"][label])
    )
    for neuron in neurons[:TOP_NEURONS]:
        named = part_name(neuron)
        table.add_row(Text(named), _signed(neuron["contribution"][label]))
    if len(neurons) > TOP_NEURONS:
        others = sum(n["contribution"][label] for n in neurons[TOP_NEURONS:])
        table.add_row(f"{len(neurons) - TOP_NEURONS} more", _signed(others))
    table.add_row("bias", _signed(explanation["bias"][label]))
    table.add_row("logit", _signed(explanation["logits"][label]), style="bold")
    console.print(table)


def show_gradients(found: dict[str, Any], text: str) -> None:
    """The words coloured by what they add to the logit through the whole model."""
    console, label = output(), found["label"]
    console.print("Integrated gradients, from blank words to these:")
    console.print(_coloured(text, found["tokens"], label))
    console.print(
        f"logit {_signed(found['start'])} to {_signed(found['logit'])}; the words give "
        f"all of it but {abs(found['error']):.2f}"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}"


def _coloured(text: str, tokens: list[dict[str, Any]], label: str) -> Text:
    """`text` with green parts that speak for `label` and red ones against it."""
    shown = Text(text)
    strongest = max((abs(t["contribution"][label]) for t in tokens), default=0.0)
    for token in tokens:
        share = token["contribution"][label] / strongest if strongest else 0.0
        if abs(share) > 0.15:
            colour = "green" if share > 0 else "red"
            style = f"bold {colour}" if abs(share) > 0.5 else colour
            shown.stylize(style, token["start"], token["end"])
    return shown
