"""What the commands sweep and rank print: progress on stderr, tables on stdout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from stc_core.cli.console import CountBar, PhaseBar, errors, output
from stc_core.config import RunConfig
from stc_core.display import count, duration, percent
from stc_core.frames import records
from stc_core.metrics.scores import METRICS
from stc_core.sweeps.plan import Sweep
from stc_core.sweeps.rank import RankedBackbone, RankingSample
from stc_core.sweeps.table import cached_sentence, criterion_of, result_sentence


class SweepProgress(PhaseBar):
    """The bar of one run after another, with a line at the start of each."""

    def __init__(self, n_runs: int) -> None:
        super().__init__()
        self.n_runs = n_runs

    def begin(self, place: int, folder: str, config: RunConfig) -> None:
        """Say which run begins."""
        self.phase = self.message = ""
        self.say(f"Run {place + 1} of {self.n_runs}: {config.name}")


class RankProgress(CountBar):
    """The tokens that are read of one model, and a line when a model is done."""

    def __init__(self, n_models: int) -> None:
        super().__init__("tokens read")
        self.n_models, self.n_done = n_models, 0

    def done(self, ranked: RankedBackbone) -> None:
        """Say what was found for a model."""
        self.n_done += 1
        found = ranked.reason or f"done in {_time(ranked.seconds)}"
        self.say(f"{self.n_done} of {self.n_models}, {ranked.backbone}: {found}")


def show_sweep(
    sweep: Sweep, folder: Path, runs: pd.DataFrame, settings: pd.DataFrame
) -> None:
    """Print a row for each setting, which is the best, and why runs failed."""
    console, metric = output(), criterion_of(runs)
    table = Table(box=box.SIMPLE_HEAD, title=Text(sweep.name), title_justify="left")
    table.add_column("setting", overflow="fold")
    heads = ("runs", f"held-out {METRICS[metric]}", f"test {METRICS[metric]}")
    for head in (*heads, "blocks", "time"):
        table.add_column(head, justify="right")
    for row in records(settings):
        table.add_row(
            Text(row["setting"]),
            f"{row['done']} of {row['runs']}",
            _spread(row, f"held_{metric}"),
            _spread(row, f"test_{metric}"),
            _number(row["layers"]),
            _time(row["seconds"]),
            style="bold" if row["best"] else None,
        )
    console.print(table)
    console.print(result_sentence(settings, runs), markup=False)
    console.print(cached_sentence(runs), markup=False)
    for row in records(runs.loc[runs["state"] != "done"]):
        said = row["reason"] or row["state"]
        console.print(f"{row['run']}: {said}", markup=False)
    errors().print(f"\nBoth tables are in {folder}.", markup=False)


def sweep_record(
    sweep: Sweep, folder: Path, runs: pd.DataFrame, settings: pd.DataFrame
) -> dict[str, Any]:
    """What `stc sweep --json` prints."""
    best = settings.loc[settings["best"], "setting"].tolist()
    return {
        "sweep": sweep.name,
        "folder": str(folder.absolute()),
        "criterion": criterion_of(runs),
        "best": best[0] if best else None,
        "settings": records(settings),
        "runs": records(runs),
    }


def show_ranked(sample: RankingSample, ranked: Sequence[RankedBackbone]) -> None:
    """Print a row for each model, the best first, and what its score is."""
    console = output()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("language model", overflow="fold")
    for head in ("LogME", "best layer", "blocks", "parameters", "time"):
        table.add_column(head, justify="right")
    for place, one in enumerate(ranked, start=1):
        table.add_row(
            "–" if one.score is None else str(place),
            Text(one.backbone),
            "–" if one.score is None else f"{one.score:.4f}".replace("-", "−"),
            _whole(one.layer),
            _whole(one.n_layers),
            "–" if one.parameters is None else f"{one.parameters / 1e6:,.1f} M",
            _time(one.seconds),
        )
    console.print(table)
    n, n_class = len(sample.texts), len(np.unique(sample.codes))
    console.print(
        f"LogME on {count(n, 'row')} of {n_class} classes: the evidence for the labels "
        "in the hidden states of the best layer. Higher is better. Only the order "
        "counts: it does not foretell an accuracy.",
        markup=False,
    )
    for one in ranked:
        if one.reason:
            console.print(f"{one.backbone}: {one.reason}", markup=False)


def rank_record(
    sample: RankingSample, ranked: Sequence[RankedBackbone]
) -> dict[str, Any]:
    """What `stc rank --json` prints."""
    return {
        "rows": len(sample.texts),
        "backbones": [one._asdict() for one in ranked],
    }


def _whole(value: int | None) -> str:
    return "–" if value is None else str(value)


def _share(value: float) -> str:
    return "–" if np.isnan(value) else percent(value)


def _spread(row: dict[str, Any], name: str) -> str:
    """'87.4 ± 0.8 %', or without the deviation if there is one seed."""
    mean, sd = row[name], row[f"{name}_sd"]
    if np.isnan(mean) or np.isnan(sd):
        return _share(mean)
    return f"{100 * mean:.1f} ± {100 * sd:.1f} %"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1f}".removesuffix(".0")


def _time(seconds: float) -> str:
    return "–" if np.isnan(seconds) else duration(seconds)
