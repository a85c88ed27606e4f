"""A finished run on one line: what it was trained on and with, its score, its cost."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from stc_core.config import RunConfig
from stc_core.data.findings import Report
from stc_core.display import distinct_titles, duration, interval, percent


class Card(NamedTuple):
    """A run as `compare` needs it; `run` is its folder's name, `table` its data."""

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
    metrics: Mapping[str, Any],
    report: Report,
    *,
    name: str,
) -> Card:
    """The card of the run in the folder `run`, which people call `name`.

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
    """How the run was trained: its preset, or else its recipe."""
    train = config.train
    return train.preset if train.recipe == "stc" else train.recipe


def same_table(cards: Iterable[Card], mine: Card) -> list[Card]:
    """The cards of the data that `mine` was trained on, `mine` among them."""
    return [one for one in cards if one.table == mine.table]


def titles_of(cards: Sequence[Card]) -> dict[str, str]:
    """By folder the score and name of each run; alike ones get their folder, too."""
    return distinct_titles(
        {one.run: f"{percent(one.accuracy)} · {one.name}" for one in cards}
    )


def card_table(cards: Sequence[Card]) -> pd.DataFrame:
    """A row per card, by the names of its fields."""
    return pd.DataFrame(cards, columns=list(Card._fields))


def _facts(one: Card) -> dict[str, str]:
    """What there is to know of a run, each in words."""
    return {
        "Language model": one.backbone,
        "Trained by": one.way,
        "Seed": str(one.seed),
        "Highest layer": f"{one.depth} of {one.depth_total}",
        "Neurons kept": f"{one.neurons:,} of {one.neurons_total:,}",
        "Accuracy": percent(one.accuracy),
        "Accuracy, 95 %": interval((one.low, one.high)),
        "Macro-F1": percent(one.macro_f1),
        "ECE": percent(one.ece),
        "Test texts": f"{one.n:,}",
        "Compute a token": f"{one.flops_per_token / 1e6:,.1f} MFLOP",
        "Parameters kept": f"{one.parameters / 1e6:,.1f} M",
        "Training took": duration(one.seconds),
    }


def side_by_side(a: Card, b: Card) -> pd.DataFrame:
    """The facts of two runs: columns fact, a and b."""
    left, right = _facts(a), _facts(b)
    return pd.DataFrame({"fact": list(left), "a": left.values(), "b": right.values()})
