"""The output of the command line: progress on stderr, tables on stdout."""

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
from stc_core.analysis.inside.stability import (
    overlap_rows,
    overlap_table,
    ranking_choice,
    stable_choice,
    stable_neurons,
)
from stc_core.analysis.summary import more_rows
from stc_core.analysis.verdict import result_verdict
from stc_core.display import (
    MAY_BE_MISSING,
    baseline_name,
    duration,
    formatted,
    interval,
    percent,
    size,
)
from stc_core.interpret.explanation import (
    Token,
    neuron_parts,
    segments,
    strongest,
    token_parts,
    words,
)
from stc_core.paths import is_checkout
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import MainScores, RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.status import PHASE_NAMES, Status
from stc_core.streams import printing_error, silence

PLAIN_EVERY_S = 10.0
TOP_NEURONS = 10


class _Console(Console):
    """A console that stops printing when nobody reads it, while the work goes on."""

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
    """A spinner made of characters that the terminal can show."""
    return SpinnerColumn("line" if errors().options.ascii_only else "dots")


class _Bar:
    """A progress bar if stderr is a terminal, otherwise a plain line now and then."""

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
    """The current phase of a run, its progress, and the time left."""

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
        """Draw `status`; the RunWriter calls this at each change."""
        phase = PHASE_NAMES[status["phase"]]
        if self.live:
            total = status["total"] or None
            fields = {"total": total, "completed": status["done"]}
            self.progress.update(
                self.task, description=phase, eta=_progress(status), **fields
            )
        elif status["state"] == "running" and status["phase"] != self.phase:
            self.say(phase)
        elif status["state"] == "running" and self.silent_s > PLAIN_EVERY_S:
            self.say(f"{phase}: {_progress(status)}")
        if status["message"] not in ("", self.message) and status["state"] == "running":
            self.say(f"  {status['message']}")
        self.phase, self.message = status["phase"], status["message"]


class CountBar(_Bar):
    """A count of what is done, for work whose total is not known."""

    def __init__(self, unit: str) -> None:
        super().__init__(_spinner(), TextColumn("{task.description}"))
        self.unit = unit

    def show(self, done: int, total: int) -> None:
        if self.live:
            self.progress.update(self.task, description=f"{done:,} {self.unit}")
        elif self.silent_s > PLAIN_EVERY_S:
            self.say(f"{done:,} {self.unit}")


def _progress(status: Status) -> str:
    """The progress as '30/120, 5 s left'; empty if the total is not known."""
    if not status["total"]:
        return ""
    done = f"{status['done']:,}/{status['total']:,}"
    eta_s = status["eta_s"]
    return done if eta_s is None else f"{done}, {duration(eta_s)} left"


def show_result(run: Run) -> None:
    """Print the test scores beside the baselines, and the size of the classifier."""
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
    console.print(result_verdict(metrics).sentence.replace("**", ""), markup=False)
    if reason := metrics["test"].get("macro_f1_reason"):
        console.print(f"macro-F1 has no interval: {reason}.", markup=False)
    levels = metrics["test"]["levels"]
    for level in levels if len(levels) > 1 else []:
        console.print(
            f"{level['column']}: accuracy {percent(level['accuracy'])}, "
            f"macro-F1 {percent(level['macro_f1'])}",
            markup=False,
        )
    if reply := metrics["test"].get("generation"):
        console.print(
            f"reply: perplexity {reply['perplexity']:.1f}, "
            f"BLEU-2 {reply['bleu_2']:.1f}, distinct-1 {reply['distinct_1']:.2f}, "
            f"distinct-2 {reply['distinct_2']:.2f} (n = {reply['n']:,})",
            markup=False,
        )
    for key, reason in metrics.get("missing", {}).items():
        message = f"{MAY_BE_MISSING.get(key, key)} is missing: {reason}"
        console.print(message, markup=False)
    for name, value in _facts(metrics):
        console.print(Text(f"{name:<8}", style="dim"), value)
    if run.has(RunFile.LEARNING):
        said = " ".join(more_rows(run.learning)).replace("**", "")
        console.print(said, markup=False)
    _show_stability(run)


def _show_stability(run: Run) -> None:
    """Print whether other rows would have kept the same neurons, if that is known."""
    said = ranking_choice(run.metrics) + stable_choice(run.metrics)
    if run.has(RunFile.STABILITY):
        said += stable_neurons(run.stability)
    if said:
        output().print(" ".join(said).replace("**", ""), markup=False)
    if run.has(RunFile.STABILITY) and (rows := overlap_rows(run.stability)):
        table = Table(box=box.SIMPLE_HEAD)
        for place, head in enumerate(overlap_table(run.stability)):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        output().print(table)


def _facts(metrics: RunMetrics) -> list[tuple[str, str]]:
    neurons, layers, seconds = metrics["neurons"], metrics["layers"], metrics["seconds"]
    parts = [f"{k} {duration(v)}" for k, v in seconds.items() if k != "total"]
    return [
        ("test", f"{metrics['test']['n']:,} texts, {len(metrics['classes'])} classes"),
        ("neurons", f"{neurons['selected']:,} of {neurons['total']:,}"),
        ("layers", f"{layers['used']} of {layers['total']}"),
        ("time", f"{duration(seconds['total'])} ({', '.join(parts)})"),
    ]


def _scores(name: str, scores: MainScores) -> tuple[Text, str, str, str]:
    return (
        Text(name),
        percent(scores["accuracy"]),
        interval(scores["accuracy_interval"]),
        percent(scores["macro_f1"]),
    )


def _known(value: Any, wording: Callable[[Any], str]) -> str:
    return "–" if value is None else wording(value)


def show_next(run: Run, *, program: str) -> None:
    """Print the folder of the run, and commands to use it that can be copied."""
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
    if is_checkout():
        console.print("  streamlit run app.py", markup=False)


_OPTIONAL = ("name", "macro-F1", "time", "neurons")
"""Columns that `show_runs` leaves out on a narrow terminal, in this order."""


def show_runs(summaries: list[dict[str, Any]]) -> None:
    """Print one line for each run.

    Columns are left out if the terminal is narrow, so that no folder name is broken
    over two lines: people copy it.
    """
    if not summaries:
        errors().print("There are no runs yet; `train` makes one.", markup=False)
        return
    console = output()
    unbounded = console.options.update_width(10_000)
    for n_dropped in range(len(_OPTIONAL) + 1):
        table = _runs_table(summaries, without=_OPTIONAL[:n_dropped])
        if console.measure(table, options=unbounded).maximum <= console.width:
            break
    else:
        n_dropped = 0  # too wide in any case: print all columns and wrap the lines
        table = _runs_table(summaries, without=())
    console.print(table)
    if n_dropped:
        dropped = ", ".join(_OPTIONAL[:n_dropped])
        errors().print(f"Not shown for lack of space: {dropped}. --json prints all.")


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
    """Print one line for each layer, with the lowest value in bold."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", justify="right")
    table.add_column("")
    table.add_column("nu", justify="right")
    least = min(nu)
    for layer, (value, name) in enumerate(zip(nu, layer_names, strict=True)):
        style = "bold" if value == least else None
        table.add_row(str(layer), name, f"{value:.4g}", style=style)
    output().print(table)
    output().print("Lower is better: the layer separates the classes more clearly.")


def show_stores(stores: list[StoreInfo]) -> None:
    """Print one line for each store of features, and their total size."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("backbone", overflow="fold")
    for head in ("texts", "size", "complete", "last used"):
        table.add_column(head, justify="right")
    for store in stores:
        table.add_row(
            Text(store.backbone),
            f"{store.n:,}",
            size(float(store.bytes)),
            f"{100 * store.share_done:.0f} %",
            f"{datetime.fromtimestamp(store.used):%Y-%m-%d %H:%M}",
        )
    if stores:
        output().print(table)
    total = size(float(sum(store.bytes for store in stores)))
    output().print(f"{len(stores)} stores, {total}; --clean deletes them.")


def show_explanation(explanation: dict[str, Any], text: str) -> None:
    """Print the likeliest classes, the coloured words, and the strongest neurons."""
    label = explanation["label"]
    console = output()
    ranked = sorted(explanation["probabilities"].items(), key=lambda pair: -pair[1])
    console.print(Text(f"{label}  {percent(ranked[0][1])}", style="bold"))
    rest = (f"{name} {percent(share)}" for name, share in ranked[1:4])
    console.print(Text("then " + ", ".join(rest), style="dim"))
    if "judged_by" in explanation:
        console.print(Text(explanation["judged_by"], style="dim"))
    console.print(Text("\n") + _coloured(text, token_parts(explanation, label)))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer" if "attention" in explanation else "neuron")
    table.add_column(Text(f"for {label!r}"), justify="right")
    parts = strongest(neuron_parts(explanation, label), TOP_NEURONS)
    for name, value in zip(parts["name"], parts["value"], strict=True):
        table.add_row(Text(name), _signed(value))
    table.add_row("bias", _signed(explanation["bias"][label]))
    table.add_row("logit", _signed(explanation["logits"][label]), style="bold")
    console.print(table)


def show_gradients(attribution: dict[str, Any], text: str) -> None:
    """Print the words, coloured by their effect on the logit in the whole model."""
    console, label = output(), attribution["label"]
    console.print("Integrated gradients, from blank words to these:")
    console.print(_coloured(text, token_parts(attribution, label)))
    console.print(
        f"logit {_signed(attribution['start'])} to {_signed(attribution['logit'])}; "
        f"error of the sum over the words: {abs(attribution['error']):.2f}"
    )


def show_left_out(found: dict[str, Any]) -> None:
    """Print the words, coloured by what the logit of the label loses without each."""
    console, label = output(), found["label"]
    together = " (neighbours together)" if found["joined"] else ""
    console.print(f"What the logit loses without each word{together}:")
    console.print(_coloured(found["text"], token_parts(found, label)))


def _signed(value: float) -> str:
    return formatted(value, "+.2f")


def _coloured(text: str, tokens: Sequence[Token]) -> Text:
    """`text` with the words for a class in green and those against it in red.

    Unknown words are underlined, and what was not read is dim.
    """
    shown = Text()
    parts = words(text, tokens)
    strongest = max((abs(word.value) for word in parts), default=0.0)
    for part, word in segments(text, parts):
        share = word.value / strongest if word and strongest else 0.0
        styles = ["bold"] if abs(share) > 0.5 else []
        if abs(share) > 0.15:
            styles.append("green" if share > 0 else "red")
        if word and word.unknown:
            styles.append("underline")
        shown.append(part, " ".join(styles) if word else "dim")
    return shown
