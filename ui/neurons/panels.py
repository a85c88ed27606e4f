"""One neuron from several sides: its texts, your own text, its like, its absence."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.figures.text_lists import TextRow, text_list
from stc_core.figures.token_heatmap import coloured, legend, note
from stc_core.interpret.exemplars import pick_texts, pooled_value, shading, standing
from stc_core.interpret.explanation import Token, words
from stc_core.interpret.neuron_table import neuron_names, strongest_weight
from stc_core.interpret.related_neurons import correlated
from stc_core.poolings import POOLING_RULES
from stc_core.runs.run import Run
from ui.cache.neuron_values import (
    correlations_of,
    elsewhere,
    values_of,
)
from ui.cache.run_files import read, reads_soon, token_values
from ui.cache.texts import texts_of
from ui.neurons.ablation import without
from ui.shell.messages import escape
from ui.shell.widgets import apart, places_table
from ui.state.navigation import context, pick, remember
from ui.state.stale_events import news, show
from ui.state.text_input import say_if_long

OWN = "Your own text"
LOADING = "Loading the language model, then each word is shaded by its activation …"


@apart
def show_panels(run: Run, neuron: dict[str, Any]) -> None:
    """The side that is chosen; the others cost nothing."""
    sides: dict[str, Callable[[Run, dict[str, Any]], None]] = {
        "Texts": _texts,
        OWN: own_text,
        "Correlated": _like_it,
        "Other runs": other_runs,
        "Ablate it": without,
    }
    # A link with a text in it is to what this neuron makes of that text.
    side = pick(
        "side",
        "Look at",
        list(sides),
        widget=st.segmented_control,
        default=OWN if context().text else None,
        required=True,
        key="side",
        label_visibility="collapsed",
    )
    sides[side](run, neuron)


def _texts(run: Run, neuron: dict[str, Any]) -> None:
    """Highest, quantile, lowest and random texts with the activation on each word."""
    every = texts_of(run).texts
    found = pick_texts(values_of(run, neuron["neuron"]), every)
    group = st.segmented_control(
        "Texts",
        list(dict.fromkeys(found["group"])),
        default=found["group"].iloc[0],
        required=True,
        key="text_group",
        help="Look at random texts too: the highest alone make any neuron look tidy.",
    )
    some = found.loc[found["group"] == group]
    above, below = st.empty(), st.empty()
    pooled = POOLING_RULES[neuron["pooling"]].sentence
    st.caption(f"{pooled} Texts of nearly the same words are one.")
    if not reads_soon(run):
        below.html(_listing(run, some))
        # Each look is a place where a click elsewhere ends the wait.
        while not reads_soon(run):
            above.html(note(LOADING))
    shown = [every[row] for row in some["row"]]
    tokens = token_values(run, neuron["site"], neuron["index"], shown)
    floor, scale = shading(tokens)
    below.html(_listing(run, some, tokens, floor=floor, scale=scale))
    above.html(legend("sequential", scale=scale, floor=floor, high="activation"))


def _listing(
    run: Run,
    some: pd.DataFrame,
    tokens: Sequence[Sequence[Token]] | None = None,
    *,
    floor: float = 0.0,
    scale: float = 0.0,
) -> str:
    """The texts that were picked, their words shaded once the tokens are known."""
    known = texts_of(run)
    shade = {"palette": "sequential", "scale": scale, "floor": floor}
    parts = [()] * len(some) if tokens is None else tokens
    return text_list(
        [
            TextRow(
                value=value,
                label=known.labels[row],
                html=coloured(known.texts[row], of_text, **shade),
                href="Examples?" + urlencode(context().moved(example=row).params()),
                alike=tuple(known.texts[other] for other in alike),
            )
            for row, value, alike, of_text in zip(
                some["row"], some["value"], some["alike"], parts, strict=True
            )
        ]
    )


def own_text(run: Run, neuron: dict[str, Any]) -> None:
    """How active it is on each word of a text that is typed, and where that stands."""
    show("neuron_text", context().text or "")
    text = st.text_area(
        "Your text",
        key="neuron_text",
        placeholder="Type a text to see how active this neuron is on each word.",
        on_change=news(
            "neuron_text", lambda typed: remember(text=typed.strip() or None)
        ),
    ).strip()
    say_if_long(text)
    if not text:
        st.caption("Nothing is typed yet.")
        return
    values = values_of(run, neuron["neuron"])
    (tokens,) = token_values(run, neuron["site"], neuron["index"], [text])
    value = pooled_value(tokens, neuron["pooling"])
    # The colours are those of its highest texts, so that a weak text looks weak.
    top = np.argsort(-values, kind="stable")[:8]
    best = [texts_of(run).texts[row] for row in top]
    known = token_values(run, neuron["site"], neuron["index"], best)
    floor, scale = shading([*known, tokens])
    st.html(coloured(text, tokens, palette="sequential", scale=scale, floor=floor))
    st.html(legend("sequential", scale=scale, floor=floor, high="activation"))
    head_z = (value - neuron["mean"]) / neuron["sd"]
    st.markdown(
        f"Pooled ({neuron['pooling']}) **{value:.3g}**: {standing(value, values)} of "
        f"this run, {head_z:+.1f} standard deviations from the training mean."
    )
    parts = [token for token in words(text, tokens) if not token.special]
    if parts:
        top = max(tokens, key=lambda token: token.value)
        said = f"Most active on “{escape(top.text.strip())}” ({top.value:.3g})."
        if top.value <= floor:
            said += f" No word is shaded: that begins above {floor:.3g}."
        st.caption(said)


def _like_it(run: Run, neuron: dict[str, Any]) -> None:
    """The neurons whose pooled values go with its own, or against them."""
    neurons = read(run, "neurons")
    if len(neurons) < 2:
        st.info("It is the only neuron that was kept.")
        return
    r, n = correlations_of(run, neuron["neuron"])
    found = correlated(neurons, r, neuron["neuron"])
    best = [strongest_weight(row) for row in found.to_dict("records")]
    names = neuron_names(found)
    table = pd.DataFrame(
        {
            "neuron": [names[one] for one in found["neuron"]],
            "r": found["r"],
            "strongest on": [name for name, _ in best],
            "weight": [weight for _, weight in best],
        }
    )
    places = [{"neuron": int(one)} for one in found["neuron"]]
    places_table(table, places, key=f"like_{neuron['neuron']}", most=12)
    st.caption(
        f"Pearson's r of the pooled values on n = {n:,} texts, with all "
        f"{len(neurons):,} neurons that were kept; by chance alone the largest of so "
        f"many is about {chance(n, len(neurons)):.2f}. Pick a row to see that neuron."
    )


def chance(n: int, many: int) -> float:
    """About the largest |r| of `many` independent neurons on n texts."""
    return min(1.0, float(np.sqrt(2 * np.log(max(many, 2)) / max(n, 1))))


def other_runs(run: Run, neuron: dict[str, Any]) -> None:
    """What other runs on the same backbone make of this very neuron."""
    rows, total = elsewhere(run, neuron)
    if not rows:
        st.info(
            f"None of the {total:,} other runs reads single neurons of the same "
            "language model. Train another one, with other labels or another seed."
            if total
            else "There is no other run yet. Train one with other labels or seed."
        )
        return
    table = pd.DataFrame(
        {
            "run": [row["title"] for row in rows],
            "kept": ["yes" if "neuron" in row else _said(row) for row in rows],
            "rank": [
                f"{row['rank']:,} of {row['of']:,}" if "rank" in row else "–"
                for row in rows
            ],
            "strongest on": [row.get("class", "–") for row in rows],
            "weight": [row.get("weight") for row in rows],
        }
    )
    places = [
        {"run": row["run"], **({"neuron": row["neuron"]} if "neuron" in row else {})}
        for row in rows
    ]
    places_table(table, places, key=f"runs_{neuron['neuron']}", most=10)
    st.caption(
        "The same site, index and pooling of the same weights. Rank by importance. "
        "Pick a row to go to that run."
    )


def _said(row: dict[str, Any]) -> str:
    """Of a run that did not keep it: by what it reads the neuron instead."""
    return f"by {', '.join(row['poolings'])}" if row["poolings"] else "no"
