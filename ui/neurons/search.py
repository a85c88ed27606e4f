"""Which neurons fire on a text that is typed, or on one of its words."""

from collections import Counter

import pandas as pd
import streamlit as st

from stc_core.interpret.explanation import Token, words
from stc_core.interpret.neuron_table import neuron_names, strongest_weight
from stc_core.runs.run import Run
from ui.cache.neuron_values import firing
from ui.cache.run_files import neuron_reader, read
from ui.shell.widgets import places_table
from ui.state.navigation import context, type_in

_WHOLE = "the whole text"
FOUND = 20


def finder(run: Run) -> None:
    """Which neurons fire on a text that is typed, or on one of its words."""
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
                "The neurons that stand out most on it come first. Of a text you can "
                "then pick one word."
            )
            return
        found_on(run, text)


def found_on(run: Run, text: str) -> None:
    """The neurons that stand out on `text`, or on the word picked of it."""
    parts = own_words(run, text)
    titles = told_apart(text, [(part.start, part.end) for part in parts])
    options: list[tuple[int, int] | None] = [None, *titles]
    word = options[-1]
    if len(parts) != 1:
        names = [_WHOLE, *titles.values()]
        place = st.pills(
            "Fire on",
            range(len(options)),
            default=0,
            required=True,
            format_func=lambda at: names[at],
            key=f"find_word_{text}",
        )
        word = options[place]
    neurons = read(run, "neurons").set_index("neuron")
    found = firing(run, text, word).head(FOUND)
    rows = neurons.loc[found["neuron"]].reset_index()
    best = [strongest_weight(row) for row in rows.to_dict("records")]
    names = neuron_names(rows)
    table = pd.DataFrame(
        {
            "neuron": [names[one] for one in found["neuron"]],
            "deviations above": found["sds"],
            "activation": found["value"],
            "strongest on": [name for name, _ in best],
            "weight": [weight for _, weight in best],
        }
    )
    places = [{"neuron": int(one)} for one in found["neuron"]]
    places_table(table, places, key=f"found_{text}_{word}")
    if word is None:
        st.caption(
            "Pooled over the text, in standard deviations above the mean of the "
            "training texts. Pick a row to see its neuron."
        )
        return
    st.caption(
        "The most active token of the word, in standard deviations above what is usual "
        "on a token (of 64 training texts). A token has already seen the words around "
        "it. Pick a row to see its neuron."
    )


def told_apart(text: str, spans: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The word at each span; one that comes again says for which time."""
    seen: Counter[str] = Counter()
    found = {}
    for start, end in spans:
        word = text[start:end].strip()
        seen[word] += 1
        found[start, end] = word if seen[word] == 1 else f"{word} ({seen[word]})"
    return found


def own_words(run: Run, text: str) -> list[Token]:
    """The words of `text` as the model reads them."""
    spans = neuron_reader(run).backbone_.spans(text)
    tokens = [Token(start, end, text[start:end], 0.0) for start, end, _ in spans]
    return [word for word in words(text, tokens) if not word.special]
