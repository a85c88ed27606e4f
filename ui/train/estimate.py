"""What a run will take, as the pages say it before the start."""

from typing import Any

import streamlit as st

from stc_core.config import RunConfig, TrainConfig
from stc_core.display import duration, size
from stc_core.errors import StcError
from ui.cache import plans
from ui.shell.messages import show_error
from ui.train.settings import LABELS, in_words

_LARGE_BYTES = 1_000_000_000
"""Larger models are loaded for the plan only if that is asked for."""


def refusal(config: RunConfig) -> StcError | None:
    """Why the run cannot be started, in words of the form, as far as it is known.

    A model that is not here, or is large, is not loaded for it.
    """
    name = config.train.backbone
    try:
        plans.check_backbone(name)
        if plans.is_here(name) and (not _is_large(name) or _is_loaded_for_it()):
            plans.expected_plan(config)
    except StcError as error:
        return in_words(error)
    return None


def show_refusal(error: StcError) -> None:
    """Why a run cannot be started; and a way to look again, if it is no setting."""
    show_error(error)
    if not any(label in error.where for label in LABELS.values()):
        st.button("Check again", icon=":material/refresh:", on_click=plans.forget)


def _is_large(name: str) -> bool:
    return plans.weight_bytes(name) > _LARGE_BYTES


def _is_loaded_for_it() -> bool:
    """Whether a large model is to be loaded for the plan."""
    return bool(st.session_state.get("large"))


def expected(config: RunConfig) -> None:
    """Texts, time, memory and disk of the run; what is not known yet is said."""
    name = config.train.backbone
    if not plans.is_here(name):
        st.caption("The time is known once the language model is on this machine.")
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
    cut, tuned = plan["n_cut"], config.train.recipe != "stc"
    facts = {
        "Texts": (
            f"{plan['n_texts']:,}",
            f"{cut:,} longer than the model reads" if cut else "",
        ),
        **_time(plan, config.train),
        "Memory": (size(plan["memory_bytes"]), "before the tuning" if tuned else ""),
        "Disk": (size(plan["disk_bytes"]), "before the tuning" if tuned else ""),
    }
    for column, (label, fact) in zip(st.columns(4), facts.items(), strict=True):
        with column.container(gap=None):
            st.metric(label, fact[0])
            if cut or tuned:
                st.caption(fact[1])


def _time(plan: dict[str, Any], train: TrainConfig) -> dict[str, tuple[str, str]]:
    """The whole time, or that before a tuning of which no more is known."""
    if train.recipe == "stc":
        return {"Time, about": (duration(plan["seconds"]), "")}
    if "seconds_tune" in plan:
        said = f"of which tuning at most {duration(plan['seconds_tune'])}"
        return {"Time, about": (duration(plan["seconds"]), said)}
    limit = train.tune.seconds
    said = "not known before its first steps"
    said = said if limit is None else f"{duration(limit)} at most"
    before = duration(plan["seconds"])
    return {"Before tuning, about": (before, f"then the tuning: {said}")}


@st.fragment(run_every=1.0)
def _await(config: RunConfig) -> None:
    """Looks for the plan until it is there; meanwhile the page can be used.

    If it is refused, the page says so beside its start.
    """
    try:
        done = plans.expected_plan(config) is not None
    except StcError:
        done = True
    if done:
        st.rerun()
    st.caption(":material/hourglass: Timing the language model on these texts …")
