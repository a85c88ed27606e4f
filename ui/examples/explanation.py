"""Why one text got its label: its words, its probabilities, the sum of a logit."""

from typing import Any

import streamlit as st

from stc_core.figures.attention import attended_tokens
from stc_core.figures.explanation import probability_bars, top_classes, waterfall
from stc_core.figures.text_lists import ClassRow, class_list
from stc_core.figures.token_heatmap import coloured, legend
from stc_core.interpret.explanation import (
    check_sum,
    layer_parts,
    neuron_parts,
    special_line,
    strongest,
    sum_line,
    token_parts,
    words,
)
from stc_core.runs.run import Run
from ui.cache.run_files import gradients
from ui.charts.chart import chart
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, pick

BARS = 14
_MOST_CLASSES = 5
THROUGH = (
    "What each word moves the logit by when the words go from blank to these, through "
    "all layers below: not a split of the readout, and slower."
)
ATTENDED = (
    "The share of each word in the part that attention reads; special tokens and the "
    "maximum and mean of all words are read, too. A share says what the head looks at. "
    "It is **no proof** that the label is there."
)
HONEST = (
    "An exact split of the **readout**: the parts add up to the logit. It says what "
    "the classifier reads, not what would happen if a word were not there."
)
CONTRAST = "To the left faint words show more, to the right only the strong ones."


def explained_class(found: dict[str, Any]) -> str:
    """The class that the context names, or else the predicted one."""
    label = context().label
    return str(label if label in found["probabilities"] else found["label"])


def why(found: dict[str, Any], text: str, truth: str | None) -> None:
    """The words, then the probabilities and the sum of the logit of one class."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        default = f"the predicted one: {found['label']}"
        pick(
            "label",
            "Explain the class",
            [None, *found["probabilities"]],
            format_func=lambda name: name or default,
            placeholder=default,
            width=360,
        )
        gamma = st.slider(
            "Contrast", 0.2, 2.0, 1.0, 0.1, key="gamma", width=170, help=CONTRAST
        )
        every = st.toggle("Each of the likeliest classes", key="each_class")
    label = explained_class(found)
    (each_class if every else one_class)(found, text, label, gamma)
    _attended(found, text, label)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown("**Probabilities**")
        figure = probability_bars(found["probabilities"], label=truth)
        chart(figure, "probabilities", alt="Class probabilities")
        st.caption(f":material/info: {HONEST}")
    with right:
        sums(found, label)


def one_class(found: dict[str, Any], text: str, label: str, gamma: float) -> None:
    """The words for and against one class, and what the special tokens carry."""
    tokens = token_parts(found, label)
    parts = words(text, tokens)
    scale = max((abs(part.value) for part in parts), default=0.0)
    unit = f"to {label}"
    st.html(coloured(text, parts, palette="diverging", gamma=gamma, unit=unit))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(special_line(tokens))


def each_class(found: dict[str, Any], text: str, label: str, gamma: float) -> None:
    """The words once for each of the likeliest classes, all on one scale."""
    names = top_classes(found["probabilities"], label, most=_MOST_CLASSES)
    parts = {name: words(text, token_parts(found, name)) for name in names}
    scale = max(
        (abs(one.value) for some in parts.values() for one in some), default=0.0
    )
    rows = [
        ClassRow(
            name,
            found["probabilities"][name],
            coloured(
                text,
                some,
                palette="diverging",
                scale=scale,
                gamma=gamma,
                unit=f"to {name}",
            ),
        )
        for name, some in parts.items()
    ]
    st.html(class_list(rows))
    st.html(legend("diverging", scale=scale, low="against", high="for the class"))
    left = len(found["probabilities"]) - len(names)
    if left:
        said = "class is" if left == 1 else "classes are"
        st.caption(f"{left:,} less likely {said} left out.")


def through(run: Run, found: dict[str, Any], text: str) -> None:
    """The words once more, by what they do in the whole model."""
    if not st.toggle("Integrated gradients", key="gradients", help=THROUGH):
        return
    label = explained_class(found)
    followed = gradients(run, text, label)
    parts = words(text, token_parts(followed, label))
    scale = max((abs(part.value) for part in parts), default=0.0)
    st.html(coloured(text, parts, palette="diverging", unit=f"to {label}"))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(
        f"From blank words (logit {followed['start']:+.2f}) to these "
        f"({followed['logit']:+.2f}); {abs(followed['error']):.2f} is left over, from "
        "the steps of the sum."
    )


def _attended(found: dict[str, Any], text: str, label: str) -> None:
    """Of a run that reads by attention: how much of each word."""
    if "attention" not in found:
        return
    parts = words(text, attended_tokens(found, label))
    scale = max((part.value for part in parts), default=0.0)
    st.markdown("**What attention reads**")
    st.html(coloured(text, parts, palette="sequential", unit="of what is read"))
    st.html(legend("sequential", scale=scale, high="of what is read"))
    st.caption(ATTENDED)


def sums(found: dict[str, Any], label: str) -> None:
    """From the bias to the logit, by layer or by neuron."""
    title, choice = st.columns([3, 2], vertical_alignment="center")
    title.markdown("**From the bias to the logit**")
    by = choice.segmented_control(
        "By",
        ["layer", "neuron"],
        default="layer",
        required=True,
        key="by",
        label_visibility="collapsed",
    )
    total = check_sum(found, label)
    by_neuron = strongest(neuron_parts(found, label), BARS)
    parts = layer_parts(found, label) if by == "layer" else by_neuron
    figure = waterfall(parts, total)
    chart(figure, "waterfall", alt="Contributions to the logit")
    st.caption(sum_line(total))
    if "attention" in found:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Look at", width="content")
        for _, row in neuron_parts(found, label).head(3).iterrows():
            link(NEURONS, str(row["name"]), neuron=row["neuron"])
