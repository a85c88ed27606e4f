"""The time, memory and disk that a run will take, shown before it starts."""

from typing import Any

import streamlit as st

from stc_core.config import RunConfig, TrainConfig
from stc_core.display import duration, size
from stc_core.errors import MemoryShortage, StcError
from stc_core.recipe_table import RECIPES
from stc_core.runs.status import Phase
from ui.cache import plans
from ui.shell.messages import show_error
from ui.train.settings import LABELS, with_form_labels

_LARGE_BYTES = 1_000_000_000
"""Larger models are loaded for the estimate only if the user asks for it."""


def refusal(config: RunConfig) -> StcError | None:
    """The reason why the run cannot be started, in the words of the form, or None.

    A model that is large or not on this machine is not loaded for this check, so a
    reason may still be unknown.
    """
    name = config.train.backbone
    try:
        plans.check_backbone(name)
        if plans.is_local(name) and (not _is_large(name) or _is_loaded_for_it()):
            plans.expected_plan(config)
    except MemoryShortage:
        return None  # a run that waits for its turn may find room
    except StcError as error:
        return with_form_labels(error)
    return None


def foretold_seconds(config: RunConfig) -> dict[Phase, float]:
    """The seconds of each phase, if they are known already; nothing is waited for."""
    name = config.train.backbone
    if not plans.is_local(name) or (_is_large(name) and not _is_loaded_for_it()):
        return {}
    try:
        plan = plans.expected_plan(config)
    except StcError:  # the run itself will say so
        return {}
    if plan is None:
        return {}
    from stc_core.recipes.planning.plan import seconds_of_phases  # loaded by the plan

    return seconds_of_phases(plan)


def show_refusal(error: StcError) -> None:
    """Show why a run cannot be started.

    If the reason is not a setting of the form, a button checks again.
    """
    show_error(error)
    if not any(label in error.where for label in LABELS.values()):
        st.button("Check again", icon=":material/refresh:", on_click=plans.forget_plans)


def _is_large(name: str) -> bool:
    return plans.weight_bytes(name) > _LARGE_BYTES


def _is_loaded_for_it() -> bool:
    """True if the user asked to load a large model for the estimate."""
    return bool(st.session_state.get("large"))


def show_estimate(config: RunConfig) -> None:
    """Show the texts, time, memory and disk of the run, or why they are not known."""
    name = config.train.backbone
    if not plans.is_local(name):
        st.caption("The time can be estimated once the model is on this machine.")
        return
    if _is_large(name) and not st.toggle(
        f"Estimate time and memory (loads the model, {size(plans.weight_bytes(name))})",
        key="large",
    ):
        return
    plan = plans.expected_plan(config)
    if plan is None:
        _await(config)
        return
    recipe, cut = RECIPES[config.train.recipe], plan["n_cut"]
    tuned, before = recipe.tunes, f"before {recipe.then}"
    facts = {
        "Texts": (
            f"{plan['n_texts']:,}",
            f"{cut:,} are too long and will be cut" if cut else "",
        ),
        **_time(plan, config.train),
        "Memory": (size(plan["memory_bytes"]), before if tuned else ""),
        "Disk": (size(plan["disk_bytes"]), before if tuned else ""),
    }
    for column, (label, fact) in zip(st.columns(4), facts.items(), strict=True):
        with column.container(gap=None):
            st.metric(label, fact[0])
            if cut or tuned:
                st.caption(fact[1])


def _time(plan: dict[str, Any], train: TrainConfig) -> dict[str, tuple[str, str]]:
    """The time of the run, as a label with its value and a note.

    It is the time before the tuning if the tuning time cannot be estimated.
    """
    recipe = RECIPES[train.recipe]
    if not recipe.tunes:
        return {"Time, about": (duration(plan["seconds"]), "")}
    if "seconds_tune" in plan:
        note = f"of which {recipe.then} at most {duration(plan['seconds_tune'])}"
        return {"Time, about": (duration(plan["seconds"]), note)}
    limit = train.tune.seconds
    note = "not known before its first steps"
    note = note if limit is None else f"{duration(limit)} at most"
    before = duration(plan["seconds"])
    return {f"Before {recipe.then}, about": (before, f"then {recipe.then}: {note}")}


@st.fragment(run_every=1.0)
def _await(config: RunConfig) -> None:
    """Check for the estimate every second until it is there, then rerun the page.

    The page can be used meanwhile. If the run is refused, the page then says why.
    """
    try:
        done = plans.expected_plan(config) is not None
    except StcError:
        done = True
    if done:
        st.rerun()
    st.caption(":material/hourglass: Timing the language model on these texts …")
