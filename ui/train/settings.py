"""What can be chosen for a new run: its method, and the settings of each."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from stc_core.backbone.loading.hub import can_write
from stc_core.config import LONGEST, AttentionConfig, DataConfig, TuneConfig
from stc_core.errors import StcError
from stc_core.poolings import POOLING_RULES
from stc_core.types import KINDS, SITE_KINDS
from ui.cache.plans import devices, is_here
from ui.cache.tables import corpus_of
from ui.shell.messages import escape
from ui.state.navigation import context

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
LABELS = {
    "backbone": "Language model",
    "kinds": "Read from",
    "poolings": "Pool over the words by",
    "device": "Device",
    "penalty": "Sparsity",
    "class_weight": "Weigh rare classes up",
    "budget": "At most this many neurons",
    "max_neurons": "At most this many neurons",
    "eta": "Share of squared weights kept",
    "max_length": "Longest text, in tokens",
    "max_layer": "Highest layer",
    "seed": "Seed",
    "tune.method": "Tune by",
    "tune.blocks": "Blocks",
    "tune.epochs": "Epochs at most",
    "tune.seconds": "Minutes at most",
    "tune.learning_rate": "Learning rate",
    "attention.schedule": "Schedule",
    "attention.epochs": "Epochs at most",
    "hierarchy.weights": "Weight of each level",
    "hierarchy.reply_length": "Longest reply, in tokens",
}
"""What the form calls a setting."""
SETTING = re.compile(r"--([a-z]+(?:-[a-z]+)*)|\b([a-z]+_[a-z]+)\b")
"""A setting in a sentence: an option, or a name that is no word."""


def in_words(error: StcError) -> StcError:
    """The same error with what the form calls a setting in the place of its name."""
    short = {place.rpartition(".")[2]: label for place, label in LABELS.items()}

    def say(match: re.Match) -> str:
        name = (match[1] or match[2]).replace("-", "_")
        return f"“{short[name]}”" if name in short else match[0]

    def said(sentence: str | None) -> str | None:
        return None if sentence is None else SETTING.sub(say, sentence)

    where = LABELS.get(error.where) or re.sub(
        r"\bbackbone '", "language model '", SETTING.sub(say, error.where)
    )
    return StcError(
        where,
        expected=said(error.expected),
        got=error.got,
        remedy=said(error.remedy),
    )


def method(n_levels: int, *, more: bool) -> str:
    """The one that is chosen; `hierarchy` is there where labels have levels.

    Or where the table has `more` columns, one of which may hold a reply.
    """
    levels = n_levels > 1 or more
    names = [name for name in METHODS if levels or name != "hierarchy"]
    captions = [METHODS[name] for name in names]
    return st.radio("Method", names, captions=captions, key="recipe")


def of_method(name: str, data: DataConfig) -> dict[str, Any]:
    """What the method itself asks for, as fields of TrainConfig."""
    if name in ("stc", "spin"):
        return {"preset": name}
    asked = ASKED[name](data) if name in ASKED else {}
    return {"recipe": name, **asked}


def _attention(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        schedule = st.selectbox(
            "Schedule",
            list(SCHEDULES),
            format_func=lambda one: SCHEDULES[one],
            width=290,
            key="schedule",
        )
        epochs, seconds = most(AttentionConfig().epochs)
        per_class = st.toggle("For each class", key="per_class")
    return {
        "attention": {
            "schedule": schedule,
            "epochs": epochs,
            "per_class": per_class,
        },
        "tune": {"seconds": seconds},
    }


def _variability(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        return {"tune": tuning()}


def _hierarchy(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        found = {"tune": tuning()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        weights = [
            st.number_input(
                f"Weight of {escape(column)}",
                0.0,
                value=1.0,
                step=0.5,
                width=190,
                help="How much its words or classes count in the loss.",
                key=f"weight_{column}",
            )
            for column in data.parts
        ]
        length = reply_length() if data.reply else None
    alike = len(set(weights)) == 1 and any(weights)
    wish = {"weights": () if alike else tuple(weights), "reply_length": length}
    st.caption("The layer of each level is proposed by probes of all layers.")
    return {**found, "hierarchy": wish}


def reply_length() -> int | None:
    """Tokens of a reply or a thought at most; None for what suits the model."""
    return st.number_input(
        "Longest reply, in tokens",
        1,
        value=None,
        width=230,
        placeholder=f"{LONGEST}, or what fits",
        help="What is longer is cut, for learning and when it writes. Not given: "
        f"{LONGEST}, or a quarter of what the model reads.",
        key="reply_length",
    )


def tuning(*, blocks: bool = True) -> dict[str, Any]:
    """How and how long a tuning goes on, as fields of TuneConfig.

    Widgets of the row that is open; without `blocks` their number counts for nothing.
    """
    usual = TuneConfig()
    way = st.selectbox(
        "Tune by",
        list(TUNINGS),
        format_func=lambda one: TUNINGS[one],
        width=210,
        key="method",
    )
    n = st.number_input(
        "Blocks", 1, value=usual.blocks, width=110, disabled=not blocks, key="blocks"
    )
    epochs, seconds = most(usual.epochs)
    return {"method": way, "blocks": n, "epochs": epochs, "seconds": seconds}


def most(usual: int) -> tuple[int, float | None]:
    """Epochs and seconds of a training at most."""
    epochs = st.number_input("Epochs at most", 1, value=usual, width=150, key="epochs")
    minutes = st.number_input(
        "Minutes at most", 0.1, value=None, width=150, key="minutes"
    )
    return epochs, minutes and 60 * minutes


ASKED: dict[str, Callable[[DataConfig], dict[str, Any]]] = {
    "attention": _attention,
    "variability": _variability,
    "hierarchy": _hierarchy,
}


def written(data: DataConfig, free: Sequence[str], backbone: str) -> DataConfig:
    """`data` with the columns of what is to be written after the labels, if any.

    They are asked for where the backbone writes or may do so; else the page says why
    there is nothing to choose.
    """
    if not free:
        return data
    if is_here(backbone) and not can_write(backbone):
        st.caption(
            f":material/edit_off: {escape(Path(backbone).name)} has no language-model "
            "head: it learns labels alone. To learn replies as well, choose a decoder "
            "such as gpt2."
        )
        return data
    key = context().data
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reply = st.selectbox(
            "Reply: written after the labels",
            ["", *free],
            format_func=lambda name: name or "none",
            width=260,
            key=f"reply_{key}",
        )
        thought = st.selectbox(
            "Thought: written before the reply",
            ["", *(name for name in free if name != reply)],
            format_func=lambda name: name or "none",
            width=260,
            disabled=not reply,
            key=f"thought_{key}",
        )
    if not is_here(backbone):
        st.caption("Whether the model can write is known once it is on this machine.")
    thought = thought if reply else ""
    found = data.changed(reply=reply or None, thought=thought or None)
    for finding in corpus_of(found).report.findings:
        if finding.kind in ("missing_reply", "missing_thought"):
            st.caption(f":orange[:material/warning:] {escape(finding.message)}")
    return found


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
        format_func=lambda kind: SITE_KINDS[kind],
        key="kinds",
    )
    poolings = st.pills(
        "Pool over the words by",
        list(POOLING_RULES),
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
    most_neurons = st.number_input(
        "At most this many neurons",
        1,
        value=None,
        key="max_neurons",
        placeholder="as many as help",
        disabled=spin,
        help="Fewer are kept where they do as well on validation. The published method "
        "keeps neurons by their share of weights alone.",
    )
    exactly = st.toggle(
        "Exactly as many",
        key="exactly",
        disabled=spin or most_neurons is None,
        help="Keep this number, even where fewer do as well. If fewer neurons have "
        "a weight in the probes, all of those are kept.",
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
        "budget" if exactly else "max_neurons": None if spin else most_neurons,
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
