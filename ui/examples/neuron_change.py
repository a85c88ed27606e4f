"""What if the neurons behind an answer were others inside the language model."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.display import formatted
from stc_core.interpret.interventions.choice import INTERVENTIONS, checked_kind
from stc_core.interpret.interventions.effect_records import CLASSIFIER, TextChange
from stc_core.runs.run import Run
from ui.cache.effects import change_on
from ui.cache.run_files import explain_text
from ui.examples.explanation import explained_class
from ui.shell.measuring import measured
from ui.shell.messages import escape
from ui.state.intervention_fields import (
    WAYS,
    choose_intervention,
    say_nothing_changes,
)

_STRONGEST = (1, 5, 20)
_ABOUT = (
    "The neurons are changed at every word, inside the language model, and everything "
    "above them is computed again. The first time, up to 500 training texts are read, "
    "which say what is usual."
)
MOST_MOVED = 6


def show_neuron_change(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Draw the choice of neurons and of a change; then what becomes of the answer.

    Neurons and logits are those of the final classifier, whoever judged the text.
    """
    label = explained_class(explanation)
    # Another head, made without the text, may read other neurons.
    names = strongest_names(explain_text(run, text), label)
    sizes = [n for n in _STRONGEST if n < len(names)]
    sets: dict[str, list[str] | None] = {
        f"{_these(n)} most for {label} here": names[:n] for n in sizes
    }
    sets["All neurons that the classifier reads"] = None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Change", list(sets), key="example_neurons")
        choice = choose_intervention(WAYS, key="example", steer=-3.0)
        pressed = st.button("Measure", type="primary", icon=":material/science:")
    if choice.is_nothing:
        say_nothing_changes()
        return
    if not pressed:
        st.caption(_ABOUT)
        return
    found = measured(
        lambda stage: change_on(
            run, text, sets[chosen], how=choice.how, steer=choice.steer, stage=stage
        )
    )
    if found is not None:
        alone = chosen.startswith(_these(1))
        _show(found, label, alone=alone)
        way = INTERVENTIONS[checked_kind(choice.how, choice.steer)]
        st.caption(f"Logits of the final classifier. Here {way}.")


def strongest_names(explanation: dict[str, Any], label: str) -> list[str]:
    """The neurons that speak for a class in one text, the strongest first.

    A neuron that is read under several poolings counts once, with their sum.
    """
    total: dict[str, float] = {}
    for row in explanation["neurons"]:
        name = f"{row['site']}.{row['index']}"
        total[name] = total.get(name, 0.0) + row["contribution"][label]
    speaking = [name for name, value in total.items() if value > 0]
    return sorted(speaking, key=lambda name: -total[name])


def _these(n: int) -> str:
    return "The neuron that speaks" if n == 1 else f"The {n} neurons that speak"


def _show(found: TextChange, label: str, *, alone: bool) -> None:
    """Say what became of the label, and whether random neurons would do the same.

    `alone`: one neuron was changed.
    """
    before, after = found.before[CLASSIFIER], found.after[CLASSIFIER]
    was, now = (max(one, key=lambda name: one[name]) for one in (before, after))
    said = f"Still **{escape(now)}**."
    if was != now:
        said = f"Now **{escape(now)}**, was **{escape(was)}**."
    moved, others = abs(found.fall(label)), found.random_falls(label)
    less = sum(abs(other) < moved for other in others)
    same = (
        "a random neuron of the same site"
        if alone
        else "as many random neurons of the same sites"
    )
    st.markdown(
        f"{said} The logit of {escape(label)} goes from "
        f"{formatted(before[label], '+.2f')} to {formatted(after[label], '+.2f')}. It "
        f"moves further than in {less} of {len(others)} changes of {same}."
    )
    by_move = sorted(before, key=lambda name: -abs(after[name] - before[name]))
    rows = [
        {"class": n, "before": before[n], "after": after[n]}
        for n in by_move[:MOST_MOVED]
    ]
    number = st.column_config.NumberColumn(format="%+.2f")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config=dict.fromkeys(("before", "after"), number),
        alt="Logits before and after the neurons are changed",
    )
