"""Effects inside the model: what was measured, kept for every session.

Streamlit repeats what a cached function draws, so work that shows its progress is kept
by hand here.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import streamlit as st

from stc_core.analysis.inside.kept import is_current
from stc_core.interpret.interventions.choice import Neurons, parse_neurons
from stc_core.interpret.interventions.effect_records import Effect, Patch, TextChange
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.types import Progress, silent
from ui.cache.run_files import neuron_reader, read
from ui.cache.texts import run_key

if TYPE_CHECKING:
    from stc_core.interpret.interventions.effects import EffectStudy

NamedProgress = Callable[[str], Progress]
"""Gives the progress of a part of the work, which is named as in 'Reading, batch'."""
READ_TEXTS = 100
"""Answers to at most so many texts are looked at, for each set of neurons."""
FAITHFUL_TEXTS = 40
"""Explanations of at most so many texts are judged from a page."""
MOST_EFFECTS = 64
_USUAL = "Reading what is usual, batch"


class Asked(NamedTuple):
    """Which neurons are changed, and how.

    `chosen` is ("neuron", "mlp.3.17"), ("layer", 3), ("class", "spam") or ("all",
    None).
    """

    chosen: tuple[str, str | int | None]
    how: str
    steer: float = 0.0


class _Kept(NamedTuple):
    """The last study, under the key of its run, and the last effects."""

    studies: dict[tuple[str, int], "EffectStudy"]
    effects: OrderedDict[tuple[tuple[str, int], Asked], Effect]


@st.cache_resource(max_entries=1, show_spinner=False)
def _kept() -> _Kept:
    return _Kept({}, OrderedDict())


def is_measured(run: Run, asked: Asked) -> bool:
    """Whether `effect_on` answers at once."""
    return (run_key(run), asked) in _kept().effects


def effect_on(run: Run, asked: Asked, *, stage: NamedProgress) -> Effect:
    """The effect of what is asked for, on at most READ_TEXTS test texts of `run`.

    The progress of a `stage` may end the work, as a click elsewhere on the page does.
    """
    key, kept = (run_key(run), asked), _kept().effects
    if (known := kept.get(key)) is not None:
        return known
    study = _study(run, stage(_USUAL))
    neurons = _neurons(study, asked.chosen)
    progress = stage("Changing neurons, set")
    effect = study.effect(neurons, how=asked.how, steer=asked.steer, progress=progress)
    kept[key] = effect
    while len(kept) > MOST_EFFECTS:
        kept.popitem(last=False)
    return effect


def faithfulness_on(run: Run, *, stage: NamedProgress) -> dict[str, Any]:
    """The faithfulness of the explanations of `run`, which its folder then keeps."""
    from stc_core.analysis.inside.faithfulness import measured_faithfulness

    progress = stage("Leaving parts out, step")
    return measured_faithfulness(
        run, n_texts=FAITHFUL_TEXTS, classifier=neuron_reader(run), progress=progress
    )


def usage_of_neurons(run: Run) -> pd.DataFrame | None:
    """What is read and used of each kept neuron of `run`, in their order.

    None if it was not measured, or for another head than the run has now.
    """
    if not run.has(RunFile.USAGE) or not is_current(run, read(run, "usage")):
        return None
    return read(run, "neuron_usage")


def usage_on(run: Run, *, stage: NamedProgress) -> dict[str, Any]:
    """What the model of `run` uses of each neuron, which its folder then keeps."""
    from stc_core.analysis.inside.use import measured_usage

    study, progress = _study(run, stage(_USUAL)), stage("Measuring use, step")
    return measured_usage(run, n_texts=READ_TEXTS, study=study, progress=progress)


def change_on(
    run: Run,
    text: str,
    names: Sequence[str] | None,
    *,
    how: str,
    steer: float,
    stage: NamedProgress,
) -> TextChange:
    """The answers to `text` before and after some neurons are changed in it.

    `names` are like "mlp.3.17"; None means all neurons that the head reads.
    """
    study = _study(run, stage(_USUAL))
    neurons = study.kept
    if names is not None:
        neurons = parse_neurons(names, study.backbone.widths)
    return study.change(text, neurons, how=how, steer=steer)


def patch_on(run: Run, text: str, donor: str, chosen: tuple[str, Any]) -> Patch:
    """The answers to `text` with neurons that have the values of the text `donor`.

    `chosen` is as in `Asked`.
    """
    study = _study(run, silent)
    return study.patch(text, donor, _neurons(study, chosen))


def _neurons(study: "EffectStudy", chosen: tuple[str, Any]) -> Neurons:
    kind, value = chosen
    if kind == "neuron":
        return parse_neurons([str(value)], study.backbone.widths)
    if kind == "class":
        return study.of_class(str(value))
    return study.kept if value is None else study.of_layer(int(value))


def _study(run: Run, progress: Progress) -> "EffectStudy":
    """The study of `run`; only the last one is kept, as it holds many activations."""
    from stc_core.interpret.interventions.effects import study_of  # imports torch

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
