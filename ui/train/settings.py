"""The settings of a new run: its method, and what can be set for each method."""

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
from ui.cache.plans import devices, is_local
from ui.cache.tables import corpus_of
from ui.shell.messages import escape
from ui.state.navigation import context

METHODS = {
    "stc": "Finds the neurons that predict the labels: sparse probes of every layer, "
    "joint selection, calibrated. Recommended.",
    "spin": "The published method, step by step, for comparison with stc.",
    "attention": "Reads all words and layers of a text with attention. For labels that "
    "depend on a few words; shows which words it reads.",
    "variability": "Tunes the model up to the layer that separates the classes best, "
    "and drops the blocks above. More accurate, but takes longer to train.",
    "hierarchy": "Predicts each level of labels at its own layer, coarse labels before "
    "fine ones. The labels always fit together.",
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
"""The label of each setting in the form."""
SETTING = re.compile(r"--([a-z]+(?:-[a-z]+)*)|\b([a-z]+_[a-z]+)\b")
"""The name of a setting in a sentence: --an-option, or a_name with an underscore."""


def with_form_labels(error: StcError) -> StcError:
    """The same error with the labels of the form instead of the names of settings."""
    labels = {setting.rpartition(".")[2]: text for setting, text in LABELS.items()}

    def label(match: re.Match) -> str:
        name = (match[1] or match[2]).replace("-", "_")
        return f"“{labels[name]}”" if name in labels else match[0]

    def reword(sentence: str | None) -> str | None:
        return None if sentence is None else SETTING.sub(label, sentence)

    where = LABELS.get(error.where) or re.sub(
        r"\bbackbone '", "language model '", SETTING.sub(label, error.where)
    )
    return StcError(
        where,
        expected=reword(error.expected),
        got=error.got,
        remedy=reword(error.remedy),
    )


def method(n_levels: int, *, more: bool) -> str:
    """Draw the choice of the method; return it.

    `hierarchy` is offered if the labels have several levels, or if the table has `more`
    columns, one of which may hold a reply.
    """
    levels = n_levels > 1 or more
    names = [name for name in METHODS if levels or name != "hierarchy"]
    captions = [METHODS[name] for name in names]
    return st.radio("Method", names, captions=captions, key="recipe")


def method_fields(name: str, data: DataConfig) -> dict[str, Any]:
    """Draw the settings of the method; return them as fields of TrainConfig."""
    if name in ("stc", "spin"):
        return {"preset": name}
    own = METHOD_FORMS[name](data) if name in METHOD_FORMS else {}
    return {"recipe": name, **own}


def _attention(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        schedule = st.selectbox(
            "Schedule",
            list(SCHEDULES),
            format_func=lambda schedule: SCHEDULES[schedule],
            width=290,
            key="schedule",
        )
        epochs, seconds = choose_limits(AttentionConfig().epochs)
        per_class = st.toggle("Separate attention for each class", key="per_class")
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
        tune = tuning()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        weights = [
            st.number_input(
                f"Weight of {escape(column)}",
                0.0,
                value=1.0,
                step=0.5,
                width=190,
                help="How much this level counts in the training loss.",
                key=f"weight_{column}",
            )
            for column in data.parts
        ]
        length = reply_length() if data.reply else None
    equal = len(set(weights)) == 1 and any(weights)
    hierarchy = {"weights": () if equal else tuple(weights), "reply_length": length}
    st.caption("Probes of all layers choose the layer of each level.")
    return {"tune": tune, "hierarchy": hierarchy}


def reply_length() -> int | None:
    """Draw the most tokens of a reply or a thought; return it, None for the default."""
    return st.number_input(
        "Longest reply, in tokens",
        1,
        value=None,
        width=230,
        placeholder=f"{LONGEST}, or what fits",
        help="Longer replies are cut, both for training and when the model writes. "
        f"Default: {LONGEST}, or a quarter of the model's longest text.",
        key="reply_length",
    )


def tuning(*, blocks: bool = True) -> dict[str, Any]:
    """Draw how and how long to tune, in the current row; return fields of TuneConfig.

    Without `blocks` the number of blocks cannot be set, as all blocks are tuned.
    """
    default = TuneConfig()
    tune_by = st.selectbox(
        "Tune by",
        list(TUNINGS),
        format_func=lambda name: TUNINGS[name],
        width=210,
        key="method",
    )
    n = st.number_input(
        "Blocks", 1, value=default.blocks, width=110, disabled=not blocks, key="blocks"
    )
    epochs, seconds = choose_limits(default.epochs)
    return {"method": tune_by, "blocks": n, "epochs": epochs, "seconds": seconds}


def choose_limits(default: int) -> tuple[int, float | None]:
    """Draw the limits of a training; return its most epochs and seconds."""
    label = "Epochs at most"
    epochs = st.number_input(label, 1, value=default, width=150, key="epochs")
    minutes = st.number_input(
        "Minutes at most", 0.1, value=None, width=150, key="minutes"
    )
    return epochs, minutes and 60 * minutes


METHOD_FORMS: dict[str, Callable[[DataConfig], dict[str, Any]]] = {
    "attention": _attention,
    "variability": _variability,
    "hierarchy": _hierarchy,
}


def choose_written(data: DataConfig, free: Sequence[str], backbone: str) -> DataConfig:
    """`data` with the chosen columns of replies and thoughts, if there are any.

    The choice is drawn if the backbone can write or may be able to. Otherwise the page
    says why there is no choice.
    """
    if not free:
        return data
    if is_local(backbone) and not can_write(backbone):
        st.caption(
            f":material/edit_off: {escape(Path(backbone).name)} cannot write text, so "
            "it learns only labels. To learn replies as well, choose a decoder such as "
            "gpt2."
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
    if not is_local(backbone):
        st.caption("Whether the model can write is known once it is on this machine.")
    thought = thought if reply else ""
    chosen = data.changed(reply=reply or None, thought=thought or None)
    for finding in corpus_of(chosen).report.findings:
        if finding.kind in ("missing_reply", "missing_thought"):
            st.caption(f":orange[:material/warning:] {escape(finding.message)}")
    return chosen


def settings(name: str) -> dict[str, Any]:
    """Draw the settings of every method; return them as fields of TrainConfig.

    None and empty mean the default.
    """
    left, middle, right = st.columns(3)
    with left:
        fields = _reading()
    with middle:
        fields |= _selection(name)
    with right:
        fields |= _limits()
    return fields


def _reading() -> dict[str, Any]:
    """Draw what the probes read, and the device; return these fields."""
    known_devices = devices()
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
        help="How the values of all words become one value for the text. If none is "
        "chosen, the model decides.",
        key="poolings",
    )
    device = st.selectbox(
        "Device",
        list(known_devices),
        key="device",
        format_func=lambda name: f"{name} · {known_devices[name]}",
    )
    return {
        "kinds": tuple(kinds) or KINDS,
        "poolings": tuple(poolings) or None,
        "device": device,
    }


def _selection(name: str) -> dict[str, Any]:
    """Draw how neurons are selected; return these fields."""
    penalty = st.selectbox(
        "Sparsity",
        ("l1", "group"),
        key="penalty",
        help="l1: a neuron may be kept for some classes only. group: a neuron is kept "
        "or dropped for all classes.",
    )
    balanced = st.toggle("Weigh rare classes up", key="balanced")
    number = _neuron_number(is_spin=name == "spin")
    eta = st.number_input(
        "Share of squared weights kept",
        0.01,
        1.0,
        value=None,
        step=0.05,
        key="eta",
        placeholder="chosen by the method",
        help="Applied to each layer before the joint selection. A lower share leaves "
        "fewer candidates.",
    )
    return {
        "penalty": penalty,
        "class_weight": "balanced" if balanced else None,
        **number,
        "eta": eta,
    }


def _neuron_number(*, is_spin: bool) -> dict[str, int | None]:
    """Draw how many neurons to keep; return the field `budget` or `max_neurons`."""
    most_neurons = st.number_input(
        "At most this many neurons",
        1,
        value=None,
        key="max_neurons",
        placeholder="as many as help",
        disabled=is_spin,
        help="Fewer neurons are kept if they do as well on validation. The published "
        "method selects neurons only by their share of the weights.",
    )
    exactly = st.toggle(
        "Exactly as many",
        key="exactly",
        disabled=is_spin or most_neurons is None,
        help="Keep this number, even if fewer do as well. If fewer neurons have a "
        "weight in the probes, all of them are kept.",
    )
    return {"budget" if exactly else "max_neurons": None if is_spin else most_neurons}


def _limits() -> dict[str, Any]:
    """Draw the limits of texts and layers, and the seed; return these fields."""
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
