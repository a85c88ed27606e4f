"""The search for neurons that fire on a typed text, or on one of its words."""

from collections import Counter

import pandas as pd
import streamlit as st

from stc_core.interpret.explanation import Token, token_of, words
from stc_core.interpret.neuron_table import addresses_of, neuron_names, strongest_weight
from stc_core.runs.run import Run
from ui.cache.neuron_values import firing_table
from ui.cache.run_files import neuron_reader, read
from ui.shell.widgets import places_table
from ui.state.navigation import context, type_in

_WHOLE = "the whole text"
FOUND = 20


def show_search(run: Run) -> None:
    """Draw the search for neurons that fire on a typed text or one of its words."""
    box = st.expander(
        "Find neurons that fire on a text",
        icon=":material/search:",
        expanded=bool(context().find),
        on_change="rerun",
        key="finder",
    )
    if not box.open:
        return
    with box:
        text = type_in(
            "find",
            "Text",
            key="find_text",
            placeholder="Type a text, or a single word, then press Enter.",
        )
        if not text:
            st.caption(
                "The neurons that are most unusually active come first. You can then "
                "pick one word of the text."
            )
            return
        show_firing(run, text)


def show_firing(run: Run, text: str) -> None:
    """Show the neurons that fire most on `text`, or on the word picked from it."""
    word = _pick_word(run, text)
    neurons = read(run, "neurons").set_index("neuron")
    top = firing_table(run, text, word).head(FOUND)
    rows = neurons.loc[top["neuron"]].reset_index()
    best = [strongest_weight(row) for row in rows.to_dict("records")]
    names = neuron_names(rows)
    table = pd.DataFrame(
        {
            "neuron": [names[number] for number in top["neuron"]],
            "deviations above": top["sds"],
            "activation": top["value"],
            "strongest on": [name for name, _ in best],
            "weight": [weight for _, weight in best],
        }
    )
    places = [{"neuron": address} for address in addresses_of(rows)]
    places_table(table, places, key=f"found_{text}_{word}")
    if word is None:
        st.caption(
            "Pooled over the text, in standard deviations above the mean of the "
            "training texts. Pick a row to see its neuron."
        )
        return
    st.caption(
        "The most active token of the word, in standard deviations above the usual "
        "value on a token (measured on 64 training texts). A token already contains "
        "information from the words around it. Pick a row to see its neuron."
    )


def _pick_word(run: Run, text: str) -> tuple[int, int] | None:
    """The start and end of the picked word of `text`; None for the whole text.

    A text of a single word needs no choice.
    """
    parts = words_of(run, text)
    titles = number_repeats(text, [(part.start, part.end) for part in parts])
    options: list[tuple[int, int] | None] = [None, *titles]
    if len(parts) == 1:
        return options[-1]
    names = [_WHOLE, *titles.values()]
    place = st.pills(
        "Fire on",
        range(len(options)),
        default=0,
        required=True,
        format_func=lambda at: names[at],
        key=f"find_word_{text}",
    )
    return options[place]


def number_repeats(
    text: str, spans: list[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """The word at each span; a repeated word gets a number, as 'the (2)'."""
    counts: Counter[str] = Counter()
    titles = {}
    for start, end in spans:
        word = text[start:end].strip()
        counts[word] += 1
        titles[start, end] = word if counts[word] == 1 else f"{word} ({counts[word]})"
    return titles


def words_of(run: Run, text: str) -> list[Token]:
    """The words of `text` that the model reads, without special tokens and spaces."""
    spans = neuron_reader(run).backbone_.spans(text)
    tokens = [token_of(text, span) for span in spans]
    return [
        word for word in words(text, tokens) if not word.special and word.text.strip()
    ]
