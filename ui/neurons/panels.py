"""The panels about one neuron: texts, own text, other neurons and runs, its effect."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.display import formatted
from stc_core.figures.text_lists import TextRow, text_list
from stc_core.figures.token_heatmap import coloured, legend, note
from stc_core.interpret.exemplars import (
    pick_texts,
    pooled_value,
    rank_in_words,
    shading,
)
from stc_core.interpret.explanation import Token, units
from stc_core.interpret.neuron_table import (
    addresses_of,
    neuron_address,
    neuron_names,
    strongest_weight,
)
from stc_core.interpret.related_neurons import correlated
from stc_core.poolings import POOLING_RULES
from stc_core.runs.run import Run
from ui.cache.neuron_values import (
    correlations_of,
    find_in_other_runs,
    values_of,
)
from ui.cache.run_files import read, token_values, wait_for_reader
from ui.cache.texts import texts_of
from ui.neurons.ablation import show_ablation
from ui.neurons.inside import show_effect_inside
from ui.neurons.use import show_use
from ui.shell.messages import escape
from ui.shell.widgets import places_table
from ui.state.navigation import context, pick, remember
from ui.state.stale_events import set_widget, unless_stale
from ui.state.text_input import say_if_long

OWN = "Your own text"
INSIDE, USE = "In the model", "Use"
MEASURING = (INSIDE, USE)
"""The panels that measure something of all the run."""
QUARTERS = {
    "Top quarter": "Top 25 %",
    "Second quarter": "25–50 %",
    "Third quarter": "50–75 %",
    "Last quarter": "75–100 %",
}
"""Short names: with the long ones the choice would not fit in one line."""
GROUPED = (
    "Nearly identical texts are grouped. Look at random texts as well: the highest "
    "alone make any neuron look clear."
)
LOADING = "Loading the language model. Then each word is shaded by its activation …"


def show_panels(run: Run, neuron: dict[str, Any]) -> None:
    """Draw the chosen panel; the others are not computed."""
    sides: dict[str, Callable[[Run, dict[str, Any]], None]] = {
        "Texts": _texts,
        OWN: own_text,
        "Correlated": _like_it,
        "Other runs": other_runs,
        "Ablate it": show_ablation,
        INSIDE: show_effect_inside,
        USE: show_use,
    }
    # A link with a typed text opens the panel that shows this neuron on that text.
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
    """Show highest, quantile, lowest and random texts, with the activation by word."""
    texts = texts_of(run).texts
    picked = pick_texts(values_of(run, neuron["neuron"]), texts)
    group = st.segmented_control(
        "Texts",
        list(dict.fromkeys(picked["group"])),
        default=picked["group"].iloc[0],
        required=True,
        format_func=lambda group: str(QUARTERS.get(group, group)),
        key="text_group",
        label_visibility="collapsed",
    )
    rows = picked.loc[picked["group"] == group]
    # Above the texts, whose height is known last.
    st.caption(f"{POOLING_RULES[neuron['pooling']].sentence} {GROUPED}")
    above, below = st.empty(), st.empty()
    if not wait_for_reader(run):
        below.html(_listing(run, rows))
        # A click elsewhere can end the wait at each update of `above`.
        while not wait_for_reader(run):
            above.html(note(LOADING))
    in_group = [texts[row] for row in rows["row"]]
    tokens = token_values(run, neuron["site"], neuron["index"], in_group)
    floor, scale = shading(tokens)
    below.html(_listing(run, rows, tokens, floor=floor, scale=scale))
    above.html(legend("sequential", scale=scale, floor=floor, high="activation"))


def _listing(
    run: Run,
    rows: pd.DataFrame,
    tokens: Sequence[Sequence[Token]] | None = None,
    *,
    floor: float = 0.0,
    scale: float = 0.0,
) -> str:
    """The texts in `rows` as HTML; their words are shaded if `tokens` are given."""
    known = texts_of(run)
    shade = {"palette": "sequential", "scale": scale, "floor": floor}
    parts = [()] * len(rows) if tokens is None else tokens
    return text_list(
        [
            TextRow(
                value=value,
                label=known.labels[row],
                html=coloured(
                    known.texts[row], units(known.texts[row], of_text, max), **shade
                ),
                href="Examples?" + urlencode(context().moved(example=row).params()),
                alike=tuple(known.texts[other] for other in alike),
            )
            for row, value, alike, of_text in zip(
                rows["row"], rows["value"], rows["alike"], parts, strict=True
            )
        ]
    )


def own_text(run: Run, neuron: dict[str, Any]) -> None:
    """Show the activation on each word of a typed text, and how it ranks in the run."""
    set_widget("neuron_text", context().text or "")
    text = st.text_area(
        "Your text",
        key="neuron_text",
        placeholder="Type a text to see how active this neuron is on each word.",
        on_change=unless_stale(
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
    # The colour scale includes the highest texts, so that a weak text looks weak.
    top = np.argsort(-values, kind="stable")[:8]
    best = [texts_of(run).texts[row] for row in top]
    known = token_values(run, neuron["site"], neuron["index"], best)
    floor, scale = shading([*known, tokens])
    shown = units(text, tokens, max)
    st.html(coloured(text, shown, palette="sequential", scale=scale, floor=floor))
    st.html(legend("sequential", scale=scale, floor=floor, high="activation"))
    head_z = (value - neuron["mean"]) / neuron["sd"]
    st.markdown(
        f"Pooled ({neuron['pooling']}) **{formatted(value, '.3g')}**: "
        f"{rank_in_words(value, values)} of this run, {formatted(head_z, '+.1f')} "
        "standard deviations from the training mean."
    )
    if not all(token.special for token in shown):
        top = max(shown, key=lambda token: token.value)
        name = escape(top.text.strip()) or "white space"
        caption = f"Most active on “{name}” ({top.value:.3g})."
        if top.value <= floor:
            caption += f" No word is shaded: shading begins above {floor:.3g}."
        st.caption(caption)


def _like_it(run: Run, neuron: dict[str, Any]) -> None:
    """Show the neurons whose pooled values correlate most with those of this neuron."""
    neurons = read(run, "neurons")
    if len(neurons) < 2:
        st.info("This is the only neuron that the run kept.")
        return
    r, n = correlations_of(run, neuron["neuron"])
    related = correlated(neurons, r, neuron["neuron"])
    best = [strongest_weight(row) for row in related.to_dict("records")]
    names = neuron_names(related)
    table = pd.DataFrame(
        {
            "neuron": [names[number] for number in related["neuron"]],
            "r": related["r"],
            "strongest on": [name for name, _ in best],
            "weight": [weight for _, weight in best],
        }
    )
    places = [{"neuron": address} for address in addresses_of(related)]
    places_table(table, places, key=f"like_{neuron['neuron']}", most=12)
    st.caption(
        f"Pearson's r of the pooled values on n = {n:,} texts, among all "
        f"{len(neurons):,} kept neurons. By chance alone the largest r of so many is "
        f"about {chance(n, len(neurons)):.2f}. Pick a row to see that neuron."
    )


def chance(n: int, many: int) -> float:
    """The expected largest |r| of `many` independent neurons on n texts, roughly."""
    return min(1.0, float(np.sqrt(2 * np.log(max(many, 2)) / max(n, 1))))


def no_other_run(total: int) -> str:
    """Why no other run can be asked about a neuron, if there are `total` others."""
    if not total:
        return "There is no other run yet."
    if total == 1:
        return "The one other run does not read single neurons of this language model."
    return (
        f"None of the {total:,} other runs reads single neurons of this language model."
    )


def other_runs(run: Run, neuron: dict[str, Any]) -> None:
    """Show how other runs on the same backbone use this neuron."""
    rows, total = find_in_other_runs(run, neuron)
    if not rows:
        st.info(f"{no_other_run(total)} Train one with other labels or another seed.")
        return
    table = pd.DataFrame(
        {
            "run": [row["title"] for row in rows],
            "kept": ["yes" if "neuron" in row else _not_kept(row) for row in rows],
            "rank": [
                f"{row['rank']:,} of {row['of']:,}" if "rank" in row else "–"
                for row in rows
            ],
            "strongest on": [row.get("class", "–") for row in rows],
            "weight": [row.get("weight") for row in rows],
        }
    )
    here = neuron_address(neuron)  # the same in every run
    places = [
        {"run": row["run"], **({"neuron": here} if "neuron" in row else {})}
        for row in rows
    ]
    places_table(table, places, key=f"runs_{neuron['neuron']}", most=10)
    st.caption(
        "The same neuron has the same site, index and pooling in the same model. The "
        "rank is by importance. Pick a row to go to that run."
    )


def _not_kept(row: dict[str, Any]) -> str:
    """The poolings with which a run that did not keep the neuron reads it, or "no"."""
    return f"by {', '.join(row['poolings'])}" if row["poolings"] else "no"
