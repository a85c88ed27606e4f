"""The effect of neurons inside the model: they are changed, and all above follows."""

from typing import Any

import streamlit as st

from stc_core.display import count, percent
from stc_core.figures.activity import effect_dots
from stc_core.interpret.interventions.choice import INTERVENTIONS, count_neurons
from stc_core.interpret.interventions.effect_records import Effect
from stc_core.interpret.interventions.sentences import effect_sentences
from stc_core.interpret.neuron_table import classes_with_neurons
from stc_core.runs.run import Run
from ui.cache.effects import READ_TEXTS, Asked, effect_on, is_measured
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.neurons.patch import show_patch
from ui.shell.measuring import measured
from ui.shell.messages import escape
from ui.state.intervention_fields import (
    WAYS,
    choose_intervention,
    say_nothing_changes,
)

_ABOUT = (
    "A weight says what can be read in a neuron. Here the neuron is changed inside the "
    "language model, at every word, and everything above it is computed again. A "
    "grey dot is a random set: as many neurons, from the same places, which vary as "
    "much."
)
PATCH = "patch"
_WAYS = {**WAYS, PATCH: "Patch one text"}


def show_effect_inside(run: Run, neuron: dict[str, Any]) -> None:
    """Draw the choice of neurons and of a change, and the measured effect."""
    place = f"{neuron['site']}.{neuron['index']}"
    layer = neuron["layer"]
    sets: dict[str, tuple[str, str | int | None]] = {
        f"This neuron ({place})": ("neuron", place),
        f"All kept neurons of layer {layer}": ("layer", layer),
        "All kept neurons": ("all", None),
        **{
            f"Kept neurons that speak most for {name}": ("class", name)
            for name in classes_with_neurons(read(run, "neurons"))
        },
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = sets[st.selectbox("Change", list(sets), key=f"inside_{place}")]
        choice = choose_intervention(_WAYS, key="inside", steer=3.0)
        pressed = choice.how != PATCH and st.button(
            "Measure", type="primary", icon=":material/science:"
        )
    if choice.how == PATCH:
        show_patch(run, chosen)
        return
    if choice.is_nothing:
        say_nothing_changes()
        return
    asked = Asked(chosen, choice.how, choice.steer)
    if not pressed and not is_measured(run, asked):
        st.caption(
            f"{_ABOUT} At most {READ_TEXTS} texts are read, once for these neurons and "
            "once for each of 20 random sets."
        )
        return
    effect = measured(lambda stage: effect_on(run, asked, stage=stage))
    if effect is not None:
        _show(effect)


def _show(effect: Effect) -> None:
    """Say what the change means; draw the dots of both readers."""
    for sentence in effect_sentences(effect):
        st.markdown(escape(sentence))
    changes = {one.reader: one.change for one in effect.readers}
    random = {one.reader: one.random for one in effect.readers}
    alone = count_neurons(effect.intervention.neurons) == 1
    names = ("this neuron", "random neurons") if alone else ("these neurons",)
    figure = effect_dots(changes, random, *names)
    chart(figure, "effect", alt="Change of the margin beside random neurons")
    ours = effect.readers[0]
    verb = "gets" if ours.flips == 1 else "get"
    texts = count(effect.n_texts, "text")
    parts = [f"{ours.flips:,} of {texts} {verb} another label."]
    if ours.before == ours.before:
        parts.append(
            f"The accuracy goes from {percent(ours.before)} to {percent(ours.after)}."
        )
    if effect.intervention.how == "steer":
        most = max(ours.by_class, key=lambda name: ours.by_class[name])
        parts.append(f"The class that gains most is {most}.")
    st.caption(escape(" ".join(parts)))
    st.caption(f"{_ABOUT} Here {INTERVENTIONS[effect.intervention.how]}.")
