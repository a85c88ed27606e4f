"""Cards of finished runs: the data, the settings, the score and the cost of each."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from stc_core.config import RunConfig
from stc_core.data.findings import Report
from stc_core.display import distinct_titles, duration, interval, percent
from stc_core.runs.metrics import RunMetrics


class Card(NamedTuple):
    """The facts of a run for a comparison: `run` is its folder, `table` its data."""

    run: str
    name: str
    table: tuple[str, ...]
    backbone: str
    way: str
    depth: int
    depth_total: int
    seed: int
    neurons: int
    neurons_total: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    ece: float
    n: int
    flops_per_token: float
    parameters: float
    seconds: float


def card(
    run: str,
    config: RunConfig,
    metrics: RunMetrics,
    report: Report,
    *,
    name: str,
) -> Card:
    """The card of the run in the folder `run` with the name `name`.

    Two cards have the same `table` if their files have the same name and number of
    rows, and the texts and the (finest) labels come from the same columns.
    """
    test, cost, columns = metrics["test"], metrics["cost"], report.columns
    low, high = test["accuracy_interval"]
    known = report.source["name"], report.n_rows, columns.text, columns.labels[-1]
    return Card(
        run=run,
        name=name,
        table=tuple(map(str, known)),
        backbone=Path(metrics["backbone"]["name"]).name,
        way=way_of(config),
        depth=metrics["layers"]["used"],
        depth_total=metrics["layers"]["total"],
        seed=config.train.seed,
        neurons=metrics["neurons"]["selected"],
        neurons_total=metrics["neurons"]["total"],
        accuracy=test["accuracy"],
        low=low,
        high=high,
        macro_f1=test["macro_f1"],
        ece=test["ece"],
        n=test["n"],
        flops_per_token=cost["flops_per_token"],
        parameters=cost["parameters"],
        seconds=metrics["seconds"]["total"],
    )


def way_of(config: RunConfig) -> str:
    """The preset of a run of the recipe stc, or the recipe of another run."""
    train = config.train
    return train.preset if train.recipe == "stc" else train.recipe


def same_table(cards: Iterable[Card], mine: Card) -> list[Card]:
    """The cards of the runs on the same data as `mine`, including `mine`."""
    return [card for card in cards if card.table == mine.table]


def titles_of(cards: Sequence[Card]) -> dict[str, str]:
    """The title of each run by folder: score and name, and the folder if not unique."""
    return distinct_titles(
        {card.run: f"{percent(card.accuracy)} · {card.name}" for card in cards}
    )


def card_table(cards: Sequence[Card]) -> pd.DataFrame:
    """A table with a row for each card and a column for each of its fields."""
    return pd.DataFrame(cards, columns=list(Card._fields))


def _facts(card: Card) -> dict[str, str]:
    """The facts of a run, each in words."""
    return {
        "Language model": card.backbone,
        "Trained by": card.way,
        "Seed": str(card.seed),
        "Highest layer": f"{card.depth} of {card.depth_total}",
        "Neurons kept": f"{card.neurons:,} of {card.neurons_total:,}",
        "Accuracy": percent(card.accuracy),
        "Accuracy, 95 %": interval((card.low, card.high)),
        "Macro-F1": percent(card.macro_f1),
        "ECE": percent(card.ece),
        "Test texts": f"{card.n:,}",
        "Compute per token": f"{card.flops_per_token / 1e6:,.1f} MFLOP",
        "Parameters kept": f"{card.parameters / 1e6:,.1f} M",
        "Training took": duration(card.seconds),
    }


def side_by_side(a: Card, b: Card) -> pd.DataFrame:
    """The facts of two runs as a table with the columns fact, a and b."""
    of_a, of_b = _facts(a), _facts(b)
    return pd.DataFrame({"fact": list(of_a), "a": of_a.values(), "b": of_b.values()})
