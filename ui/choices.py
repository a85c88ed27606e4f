"""What can be chosen for a new run: its method, and the settings of each."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from stc_core.axes import KINDS, POOLINGS
from stc_core.config import AttentionConfig, TuneConfig
from ui.plans import devices

METHODS = {
    "stc": "Finds the neurons that know the labels: sparse probes of every layer, "
    "joint selection, calibrated. Recommended.",
    "spin": "The published method for that, step by step, for comparison.",
    "attention": "Reads all words and layers of a text by attention. For labels that "
    "hang on a few words; shows what it reads.",
    "variability": "Tunes the model up to the layer where the classes stand apart best "
    "and drops the blocks above. For accuracy, at the cost of training.",
    "hierarchy": "Reads each level of labels at a layer of its own, coarse before "
    "fine. Labels always fit together.",
}
SCHEDULES = {
    "frozen": "model left as it is",
    "two-stage": "tuned to the texts, then labels",
    "multi-task": "tuned to texts and labels at once",
}
TUNINGS = {
    "full": "whole blocks",
    "lora": "LoRA adapters",
    "bottleneck": "bottleneck adapters",
}
KIND_NAMES = {"resid": "hidden states", "mlp": "FFN neurons"}


def method(n_levels: int) -> str:
    """The one that is chosen; `hierarchy` is there where labels have levels."""
    names = [name for name in METHODS if n_levels > 1 or name != "hierarchy"]
    captions = [METHODS[name] for name in names]
    return st.radio("Method", names, captions=captions, key="recipe")


def of_method(name: str) -> dict[str, Any]:
    """What the method itself asks for, as fields of TrainConfig."""
    if name in ("stc", "spin"):
        return {"preset": name}
    asked = ASKED[name]() if name in ASKED else {}
    return {"recipe": name, **asked}


def _attention() -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        schedule = st.selectbox(
            "Schedule",
            list(SCHEDULES),
            format_func=lambda one: SCHEDULES[one],
            width=290,
            key="schedule",
        )
        epochs = st.number_input(
            "Epochs", 1, value=AttentionConfig().epochs, width=110, key="epochs"
        )
        minutes = _minutes()
        per_class = st.toggle("For each class", key="per_class")
    return {
        "attention": {
            "schedule": schedule,
            "epochs": epochs,
            "per_class": per_class,
        },
        "tune": {"seconds": minutes and 60 * minutes},
    }


def _variability() -> dict[str, Any]:
    return {"tune": _tuning()}


def _hierarchy() -> dict[str, Any]:
    st.caption("The layer of each level is proposed by probes of all layers.")
    return {"tune": _tuning()}


def _tuning() -> dict[str, Any]:
    """More of it is on the page Adapt."""
    usual = TuneConfig()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = st.selectbox(
            "Tune by",
            list(TUNINGS),
            format_func=lambda one: TUNINGS[one],
            width=210,
            key="tuning",
        )
        blocks = st.number_input(
            "Blocks", 1, value=usual.blocks, width=110, key="blocks"
        )
        epochs = st.number_input(
            "Epochs", 1, value=usual.epochs, width=110, key="epochs"
        )
        minutes = _minutes()
    return {
        "method": way,
        "blocks": blocks,
        "epochs": epochs,
        "seconds": minutes and 60 * minutes,
    }


def _minutes() -> float | None:
    return st.number_input("Minutes at most", 0.1, value=None, width=150, key="minutes")


ASKED: dict[str, Callable[[], dict[str, Any]]] = {
    "attention": _attention,
    "variability": _variability,
    "hierarchy": _hierarchy,
}


def settings(name: str) -> dict[str, Any]:
    """What every method can be told, as fields of TrainConfig.

    None and empty mean the default.
    """
    left, middle, right = st.columns(3)
    with left:
        found = _reading()
    with middle:
        found |= _selection(name)
    with right:
        found |= _limits()
    return found


def _reading() -> dict[str, Any]:
    there = devices()
    kinds = st.pills(
        "Read from",
        KINDS,
        selection_mode="multi",
        default=KINDS,
        format_func=lambda kind: KIND_NAMES[kind],
        key="kinds",
    )
    poolings = st.pills(
        "Pool over the words by",
        POOLINGS,
        selection_mode="multi",
        help="None chosen: what suits the model.",
        key="poolings",
    )
    device = st.selectbox(
        "Device",
        list(there),
        key="device",
        format_func=lambda name: f"{name} · {there[name]}",
    )
    return {
        "kinds": tuple(kinds) or KINDS,
        "poolings": tuple(poolings) or None,
        "device": device,
    }


def _selection(name: str) -> dict[str, Any]:
    spin = name == "spin"
    penalty = st.selectbox(
        "Sparsity",
        ("l1", "group"),
        key="penalty",
        help="l1: per class. group: a neuron is kept or dropped for all classes.",
    )
    balanced = st.toggle("Weigh rare classes up", key="balanced")
    budget = st.number_input(
        "At most this many neurons",
        1,
        value=None,
        key="budget",
        placeholder="as many as help",
        disabled=spin,
        help="The published method keeps neurons by their share of weights alone.",
    )
    eta = st.number_input(
        "Share of squared weights kept",
        0.01,
        1.0,
        value=None,
        step=0.05,
        key="eta",
        placeholder="chosen by the method",
        help="Per layer, before the joint selection. Less leaves fewer candidates.",
    )
    return {
        "penalty": penalty,
        "class_weight": "balanced" if balanced else None,
        "budget": None if spin else budget,
        "eta": eta,
    }


def _limits() -> dict[str, Any]:
    max_length = st.number_input(
        "Longest text, in tokens",
        8,
        value=None,
        key="length",
        placeholder="256 or the model's",
    )
    max_layer = st.number_input(
        "Highest layer", 0, value=None, key="max_layer", placeholder="the last one"
    )
    seed = st.number_input("Seed", 0, value=0, key="seed")
    return {"max_length": max_length, "max_layer": max_layer, "seed": seed}
