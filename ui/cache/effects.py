"""Effects inside the model: what was measured, kept for every session.

Streamlit repeats what a cached function draws, so work that shows its progress is kept
by hand here.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st

from stc_core.interpret.interventions.edits import parse_neurons
from stc_core.interpret.interventions.effect_records import Effect
from stc_core.interpret.interventions.effects import EffectStudy, study_of
from stc_core.runs.run import Run
from ui.cache.run_files import neuron_reader, read
from ui.cache.texts import run_key

READ_TEXTS = 100
"""Answers to at most so many texts are looked at, for each set of neurons."""
MOST_EFFECTS = 64


class Asked(NamedTuple):
    """Which neurons are changed, and how.

    `chosen` is ("neuron", "mlp.3.17"), ("layer", 3) or ("all", None).
    """

    chosen: tuple[str, str | int | None]
    how: str
    steer: float = 0.0


class _Kept(NamedTuple):
    """The last study, under the key of its run, and the last effects."""

    studies: dict[tuple[str, int], EffectStudy]
    effects: OrderedDict[tuple[tuple[str, int], Asked], Effect]


@st.cache_resource(max_entries=1, show_spinner=False)
def _kept() -> _Kept:
    return _Kept({}, OrderedDict())


def is_measured(run: Run, asked: Asked) -> bool:
    """Whether `effect_on` answers at once."""
    return (run_key(run), asked) in _kept().effects


def effect_on(
    run: Run, asked: Asked, *, progress: Callable[[int, int], None]
) -> Effect:
    """The effect of what is asked for, on at most READ_TEXTS test texts of `run`.

    `progress` may end the work, as a click elsewhere on the page does.
    """
    key, kept = (run_key(run), asked), _kept().effects
    if (known := kept.get(key)) is not None:
        return known
    study = _study(run, progress)
    kind, value = asked.chosen
    if kind == "neuron":
        neurons = parse_neurons([str(value)], study.backbone.widths)
    else:
        neurons = study.kept if value is None else study.of_layer(int(value))
    effect = study.effect(neurons, how=asked.how, steer=asked.steer, progress=progress)
    kept[key] = effect
    while len(kept) > MOST_EFFECTS:
        kept.popitem(last=False)
    return effect


def _study(run: Run, progress: Any) -> EffectStudy:
    """The study of `run`; only the last one is kept, as it holds many activations."""
    studies, key = _kept().studies, run_key(run)
    if (known := studies.get(key)) is not None:
        return known
    corpus = read(run, "corpus")
    split = "test" if (corpus["split"] == "test").any() else "validation"
    study = study_of(
        neuron_reader(run), corpus, n_texts=READ_TEXTS, split=split, progress=progress
    )
    studies.clear()
    studies[key] = study
    return study
