"""The effect of a change inside the model, printed on stdout."""

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from stc_core.cli.console import output
from stc_core.display import formatted, percent
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS
from stc_core.interpret.faithfulness.sentences import faithfulness_sentences
from stc_core.interpret.interventions.choice import INTERVENTIONS, count_neurons
from stc_core.interpret.interventions.effect_records import Effect, Patch
from stc_core.interpret.interventions.sentences import (
    effect_sentences,
    usage_sentences,
)

_NEURONS = 15
_CLASSES = 8


def show_effect(effect: Effect) -> None:
    """Print what was changed, the effect on both readers, and a sentence for each."""
    console, intervention = output(), effect.intervention
    n = count_neurons(intervention.neurons)
    many = "1 neuron" if n == 1 else f"{n:,} neurons"
    steered = intervention.how == "steer"
    by = f" ({formatted(intervention.steer, '+g')})" if steered else ""
    console.print(Text(f"{many} changed in {effect.n_texts:,} texts", style="bold"))
    console.print(Text(f"{INTERVENTIONS[intervention.how]}{by}", style="dim"))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("answers of")
    for name in ("change of the margin", "random sets", "ratio", "new labels"):
        table.add_column(name, justify="right")
    table.add_column("accuracy", justify="right")
    for one in effect.readers:
        ends = (min(one.random), max(one.random)) if one.random else ()
        spread = " to ".join(formatted(end, ".3f") for end in ends)
        ratio = "" if math.isnan(one.ratio) else f"{one.ratio:.1f}"
        accuracy = ""
        if not math.isnan(one.before):
            accuracy = f"{percent(one.before)} to {percent(one.after)}"
        cells = formatted(one.change, ".3f"), spread, ratio, f"{one.flips:,}", accuracy
        table.add_row(one.reader, *cells)
    console.print(table)
    for sentence in effect_sentences(effect):
        console.print(Text(sentence))


def show_usage(usage: Mapping[str, Any]) -> None:
    """Print the neurons that the model uses most, and how reading and use agree."""
    console = output()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("neuron")
    for name in ("read", "used", "used by the last layer"):
        table.add_column(name, justify="right")
    used = sorted(usage["neurons"], key=lambda row: -row["effect"])[:_NEURONS]
    for row in used:
        numbers = (row["readout"], row["effect"], row["effect_last_layer"])
        name = f"{row['site']}.{row['index']}"
        table.add_row(name, *(formatted(number, ".4f") for number in numbers))
    console.print(table)
    for sentence in usage_sentences(usage):
        console.print(Text(sentence))


def print_faithfulness(record: Mapping[str, Any]) -> None:
    """Print the scores of each explanation over words and over neurons."""
    console = output()
    for name in ("words", "neurons"):
        part = record[name]
        title = f"Over {name}, {part['n_texts']:,} texts"
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
        table.add_column("explanation")
        for column in ("comprehensiveness", "95 %", "sufficiency", "95 %"):
            table.add_column(column, justify="right")
        for one in part["methods"]:
            cells = [
                cell
                for score in (one["comprehensiveness"], one["sufficiency"])
                for cell in (
                    f"{score['mean']:.3f}",
                    f"{score['low']:.2f} to {score['high']:.2f}",
                )
            ]
            table.add_row(ATTRIBUTIONS[one["method"]], *cells)
        console.print(table)
        for sentence in faithfulness_sentences(part, name):
            console.print(Text(sentence.replace("**", "")))
    console.print(
        "Comprehensiveness: what the probability of the label loses without the "
        "strongest parts; more is better. Sufficiency: what it loses with these alone; "
        "less is better.",
        style="dim",
    )


def print_patch(patch: Patch) -> None:
    """Print the logits before and after the patch, and those of the donor."""
    console = output()
    for reader, before in patch.before.items():
        table = Table(box=box.SIMPLE_HEAD, title=reader, title_justify="left")
        table.add_column("class")
        for name in ("text", "patched", "donor"):
            table.add_column(name, justify="right")
        after, donor = patch.after[reader], patch.donor[reader]
        moved = sorted(before, key=lambda name: -abs(after[name] - before[name]))
        for name in moved[:_CLASSES]:
            numbers = (before[name], after[name], donor[name])
            table.add_row(
                Text(name), *(formatted(number, "+.2f") for number in numbers)
            )
        console.print(table)
    if not patch.aligned:
        console.print(
            "The texts differ in length: each token got the donor's mean, by its kind."
        )
