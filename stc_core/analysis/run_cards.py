"""Cards of finished runs: the summary of each run, and the data that it is of."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from stc_core.data.findings import Report
from stc_core.display import distinct_titles, percent
from stc_core.runs.run_summary import RunResult, RunSummary, result_facts, run_title


class Card(NamedTuple):
    """A finished run for a comparison; `table` identifies its data (see `table_of`)."""

    summary: RunSummary
    result: RunResult
    table: tuple[str, ...]

    @property
    def run(self) -> str:
        return self.summary.run

    @property
    def name(self) -> str:
        return self.summary.name


def table_of(report: Report) -> tuple[str, ...]:
    """What identifies the data of a run: file, rows, columns of text and finest label.

    It is the same for two runs if their files have the same name and number of rows,
    and the texts and the finest labels come from the same columns.
    """
    columns = report.columns
    known = report.source["name"], report.n_rows, columns.text, columns.labels[-1]
    return tuple(map(str, known))


def same_table(cards: Iterable[Card], mine: Card) -> list[Card]:
    """The cards of the runs on the same data as `mine`, including `mine`."""
    return [card for card in cards if card.table == mine.table]


def titles_of(cards: Sequence[Card]) -> dict[str, str]:
    """The title of each run by folder: score and name, and the folder if not unique."""
    return distinct_titles({card.run: run_title(card.summary) for card in cards})


def card_table(cards: Sequence[Card]) -> pd.DataFrame:
    """A table with a row for each card, for a chart of accuracy against cost."""
    return pd.DataFrame(
        {
            "run": card.run,
            "name": card.name,
            "backbone": card.summary.backbone,
            "way": card.summary.method,
            "seed": card.summary.seed,
            "accuracy": card.result.accuracy.value,
            "low": card.result.accuracy.low,
            "high": card.result.accuracy.high,
            "n": card.result.n_test,
            "neurons": card.result.neurons,
            "depth": card.result.layers,
            "flops_per_token": card.result.flops_per_token,
            "seconds": card.result.seconds,
        }
        for card in cards
    )


def _facts(card: Card) -> dict[str, str]:
    """The facts of a run, each in words."""
    summary, result, facts = card.summary, card.result, result_facts(card.result)
    scores = [facts[name] for name in ("macro_f1", "ece", "n_test")]
    return {
        "Language model": summary.backbone,
        "Method": summary.method,
        "Seed": str(summary.seed),
        **{facts[name].label: facts[name].line for name in ("layers", "neurons")},
        facts["accuracy"].label: percent(result.accuracy.value),
        "95 % interval": result.accuracy.interval_line.removeprefix("95 %: "),
        **{fact.label: fact.value for fact in scores},
        "Compute per token": f"{result.flops_per_token / 1e6:,.1f} MFLOP",
        "Parameters kept": f"{result.parameters / 1e6:,.1f} M",
        facts["seconds"].label: facts["seconds"].value,
    }


def side_by_side(a: Card, b: Card) -> pd.DataFrame:
    """The facts of two runs as a table with the columns fact, a and b."""
    of_a, of_b = _facts(a), _facts(b)
    return pd.DataFrame({"fact": list(of_a), "a": of_a.values(), "b": of_b.values()})
