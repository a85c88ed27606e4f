"""The settings of a new run: its method, and what can be set for each method."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import streamlit as st

from stc_core.backbone.loading.hub import can_write
from stc_core.config import DataConfig
from stc_core.data.corpus import Corpus
from stc_core.errors import StcError
from stc_core.metrics.criteria import CRITERIA
from stc_core.poolings import POOLING_RULES
from stc_core.recipe_settings import LONGEST
from stc_core.recipe_table import METHODS, PRESETS, RECIPES, recommended
from stc_core.types import KINDS, SITE_KINDS
from ui.cache.plans import devices, is_local
from ui.cache.tables import corpus_of
from ui.shell.messages import escape
from ui.state.navigation import context
from ui.train.fields import (
    choice_field,
    field_of,
    labels_of,
    number_field,
    toggle_field,
)

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
CRITERION_WORDS = {
    "auto": "what suits the table",
    **{name: criterion.words for name, criterion in CRITERIA.items()},
}
WEIGHT_WORDS = {
    "auto": "what suits the score",
    "none": "all rows alike",
    "tempered": "rare classes more (square root)",
    "balanced": "all classes alike",
}
WORD_WORDS = {"auto": "if they clearly help", "on": "always", "off": "never"}
LABELS = labels_of()
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


def methods() -> dict[str, str]:
    """The methods and what each does: the presets of the recipe stc, other recipes."""
    return PRESETS | {
        name: recipe.sentence for name, recipe in RECIPES.items() if name not in PRESETS
    }


def method(corpus: Corpus, *, more: bool) -> str:
    """Draw the choice of the method for this table; return it.

    A method that needs levels is offered if the labels have several, or if the table
    has `more` columns, one of which may hold a reply.
    """
    n_levels = len(corpus.columns.labels)
    levels = n_levels > 1 or more
    known = methods()
    names = [name for name in known if levels or not _needs_levels(name)]
    first, why = recommended(n_levels, texts=_texts_of_a_class(corpus))
    chosen = st.radio(
        "Method",
        names,
        format_func=lambda name: (
            METHODS[name].title + (" · recommended" if name == first else "")
        ),
        captions=[f"{METHODS[name].cost}. {known[name]}" for name in names],
        key="recipe",
    )
    st.caption(f":material/recommend: **{METHODS[first].title}**: {why}")
    return chosen


def _texts_of_a_class(corpus: Corpus) -> int:
    """The number of texts to learn from in the median class."""
    counts = corpus.report.classes.values()
    return int(median(sum(one.values()) - one.get("test", 0) for one in counts))


def _needs_levels(method: str) -> bool:
    return method in RECIPES and RECIPES[method].levels


def method_fields(name: str, data: DataConfig) -> dict[str, Any]:
    """Draw the settings of the method; return them as fields of TrainConfig."""
    if name in PRESETS:
        return {"preset": name}
    own = METHOD_FORMS[name](data) if name in METHOD_FORMS else {}
    return {"recipe": name, **own}


def _attention(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        schedule = choice_field("attention.schedule", SCHEDULES, width=290)
        epochs = number_field("attention.epochs", width=150)
        seconds = choose_seconds()
        per_class = toggle_field("attention.per_class")
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


def _contrastive(data: DataConfig) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = choice_field("tune.method", TUNINGS, width=180)
        epochs = number_field("contrastive.epochs", width=110)
        batch = number_field("contrastive.batch", width=150)
        seconds = choose_seconds()
    return {
        "tune": {"method": way, "seconds": seconds},
        "contrastive": {"epochs": epochs, "batch": batch},
    }


def _hierarchy(data: DataConfig) -> dict[str, Any]:
    corpus = corpus_of(data)
    tuned = toggle_field("hierarchy.tuned")
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
            for column in (*corpus.columns.labels, *corpus.columns.written.values())
        ]
        length = reply_length() if data.reply else None
    equal = len(set(weights)) == 1 and any(weights)
    hierarchy = {
        "tuned": tuned,
        "weights": () if equal else tuple(weights),
        "reply_length": length,
    }
    st.caption(
        "Scores of all layers choose the layer of each level. The settings of tuning "
        "count if the model is tuned, or if it writes the names of the labels."
    )
    return {"tune": tune, "hierarchy": hierarchy}


def reply_length() -> int | None:
    """Draw the most tokens of a reply or a thought; return it, None for the default."""
    return number_field(
        "hierarchy.reply_length", width=230, placeholder=f"{LONGEST}, or what fits"
    )


def tuning(*, blocks: bool = True) -> dict[str, Any]:
    """Draw how and how long to tune, in the current row; return fields of TuneConfig.

    Without `blocks` the number of blocks cannot be set, as all blocks are tuned.
    """
    return {
        "method": choice_field("tune.method", TUNINGS, width=210),
        "blocks": number_field("tune.blocks", width=100, disabled=not blocks),
        "epochs": number_field("tune.epochs", width=140),
        "seconds": choose_seconds(),
    }


def choose_seconds() -> float | None:
    """Draw the most minutes of a tuning; return them in seconds, None for no limit."""
    minutes = number_field(
        "tune.seconds",
        min_value=0.1,
        width=140,
        help="Tuning ends after this time, even if more epochs are allowed.",
        key="minutes",
    )
    return minutes and 60 * minutes


def _existing(data: DataConfig) -> dict[str, Any]:
    typed = st.text_area(
        "Labels of the model's own head",
        placeholder="LABEL_0=ham\nLABEL_1=spam",
        height="content",
        help="One pair in each line: a label of the model, =, a label of the table. "
        "Labels with the same name need none.",
        key="own_labels",
    )
    pairs = (line.strip() for line in typed.splitlines())
    return {"own_labels": tuple(filter(None, pairs))}


METHOD_FORMS: dict[str, Callable[[DataConfig], dict[str, Any]]] = {
    "attention": _attention,
    "variability": _variability,
    "contrastive": _contrastive,
    "hierarchy": _hierarchy,
    "existing": _existing,
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
        LABELS["kinds"],
        KINDS,
        selection_mode="multi",
        default=KINDS,
        format_func=lambda kind: SITE_KINDS[kind],
        key="kinds",
    )
    poolings = st.pills(
        LABELS["poolings"],
        list(POOLING_RULES),
        selection_mode="multi",
        help=field_of("poolings").description,
        key="poolings",
    )
    device = st.selectbox(
        LABELS["device"],
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
    penalty = choice_field("penalty")
    criterion = choice_field("criterion", CRITERION_WORDS)
    class_weight = choice_field("class_weight", WEIGHT_WORDS)
    words = choice_field("words", WORD_WORDS, disabled=name != "stc")
    number = _neuron_number(is_spin=name == "spin")
    eta = number_field(
        "eta",
        min_value=0.01,
        step=0.05,
        placeholder="chosen by the method",
    )
    stable = number_field(
        "stable",
        min_value=0.55,
        step=0.05,
        placeholder="all that rank high",
        disabled=name == "spin",
    )
    use_weight = number_field("use_weight", step=0.25, disabled=name == "spin")
    return {
        "penalty": penalty,
        "criterion": criterion,
        "class_weight": class_weight,
        "words": words,
        **number,
        "eta": eta,
        **({} if name == "spin" else {"stable": stable, "use_weight": use_weight}),
    }


def _neuron_number(*, is_spin: bool) -> dict[str, int | None]:
    """Draw how many neurons to keep; return the field `budget` or `max_neurons`."""
    most_neurons = number_field(
        "max_neurons",
        placeholder="as many as help",
        disabled=is_spin,
        help="Fewer are kept if they do as well on held-out texts. The published "
        "method selects neurons only by their share of the weights.",
    )
    exactly = st.toggle(
        "Exactly as many",
        key="exactly",
        disabled=is_spin or most_neurons is None,
        help=field_of("budget").description,
    )
    return {"budget" if exactly else "max_neurons": None if is_spin else most_neurons}


def _limits() -> dict[str, Any]:
    """Draw the limits of texts and layers, and the seed; return these fields."""
    return {
        "max_length": number_field(
            "max_length", key="length", placeholder="256 or the model's"
        ),
        "max_layer": number_field("max_layer", placeholder="the last one"),
        "seed": number_field("seed"),
    }
