"""A sweep on the page Compare: its runs as one group, and its settings as a table."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.run_cards import Card
from stc_core.frames import records
from stc_core.metrics.scores import METRICS
from stc_core.sweeps.plan import Sweep
from stc_core.sweeps.table import criterion_of, result_sentence
from ui.cache.sweeps import sweep_tables, sweeps_with
from ui.shell.messages import escape
from ui.shell.widgets import PERCENT, ROW, in_percent
from ui.state.clicks import click_place
from ui.state.navigation import clicked, pick

MOST_SETTINGS = 6
"""So many settings are seen without scrolling in their table."""
_HELP = (
    "A sweep is a group of runs that `stc sweep` trained on one table. Held-out rows "
    "judge the settings; test rows choose nothing."
)


def sweep_group(cards: list[Card], mine: Card) -> list[Card]:
    """Draw the choice of a sweep and its table; return the cards of its runs.

    They are all cards if none is chosen, or if there is no sweep on this data. The
    card of the run that is looked at is always among them.
    """
    sweeps, damaged = sweeps_with({card.run for card in cards})
    for message in damaged:
        st.warning(escape(message), icon=":material/warning:")
    if not sweeps:
        return cards
    titles = {one: f"Sweep: {one}" for one in sweeps}
    name = pick(
        "sweep",
        "Runs",
        list(sweeps),
        optional=True,
        format_func=lambda one: titles[one],
        placeholder="All runs on this data; choose a sweep",
        help=_HELP,
        width=360,
    )
    if name is None:
        return cards
    _settings(sweeps[name], cards, mine)
    kept = sweeps[name].runs.keys() | {mine.run}
    return [card for card in cards if card.run in kept]


def _settings(sweep: Sweep, cards: list[Card], mine: Card) -> None:
    """Draw the settings of a sweep; a click on one compares with a run of it."""
    runs, settings = sweep_tables(sweep)
    metric, known = criterion_of(runs), {card.run for card in cards}
    names = [f"{part}_{metric}" for part in ("held", "test")]
    shown = in_percent(settings, *names, *(f"{name}_sd" for name in names))
    places = [
        run_to_compare(runs, row["setting"], known, mine) for row in records(settings)
    ]
    key = f"settings_{sweep.name}"
    st.markdown(escape(result_sentence(settings, runs)))
    st.dataframe(
        _columns_of(shown, names),
        key=key,
        on_select=clicked(key, lambda now, event: click_place(now, event, places)),
        selection_mode="single-row",
        hide_index=True,
        height=ROW * (1 + min(len(settings), MOST_SETTINGS)) + 3,
        column_config=_config(METRICS[metric]),
        placeholder="–",
        alt=f"The settings of the sweep {sweep.name}, the best on held-out rows first",
    )


def run_to_compare(
    runs: pd.DataFrame, setting: str, known: set[str], mine: Card
) -> dict[str, Any]:
    """The change of the context that compares with a run of a setting.

    It is the run with the seed of `mine` if it is done, else the first one that is
    done and is not `mine`. No change if there is none.
    """
    own = runs.loc[
        (runs["setting"] == setting) & runs["run"].isin(list(known - {mine.run}))
    ]
    same = own.loc[own["seed"] == mine.summary.seed]
    names = [*same["run"].tolist(), *own["run"].tolist()]
    return {"other": names[0]} if names else {}


def _columns_of(settings: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """What is shown of the settings, with the same names for each metric."""
    held, test = names
    done = [f"{row['done']} of {row['runs']}" for row in records(settings)]
    return pd.DataFrame(
        {
            "setting": settings["setting"],
            "held": settings[held],
            "held_sd": settings[f"{held}_sd"],
            "test": settings[test],
            "test_sd": settings[f"{test}_sd"],
            "done": done,
            "layers": settings["layers"],
            "seconds": settings["seconds"],
        }
    )


def _config(metric: str) -> dict[str, Any]:
    number, points = st.column_config.NumberColumn, "± %.1f"
    return {
        "setting": st.column_config.TextColumn("Setting", width=260, pinned=True),
        "held": number(
            f"Held-out {metric}", format=PERCENT, help="Mean over the seeds."
        ),
        "held_sd": number(
            "sd", format=points, help="Standard deviation over the seeds, in points."
        ),
        "test": number(f"Test {metric}", format=PERCENT, help="It chose nothing."),
        "test_sd": number("sd ", format=points),
        "done": st.column_config.TextColumn("Runs done"),
        "layers": number("Blocks read", format="%.1f", help="Mean over the seeds."),
        "seconds": number("Seconds", format="%.0f", help="Mean over the seeds."),
    }
