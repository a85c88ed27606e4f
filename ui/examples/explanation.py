"""Why one text got its label: its words, its probabilities, the sum of a logit."""

from typing import Any

import streamlit as st

from stc_core.display import formatted
from stc_core.errors import StcError
from stc_core.figures.attention import attended_tokens
from stc_core.figures.explanation import probability_bars, top_classes, waterfall
from stc_core.figures.text_lists import ClassRow, class_list
from stc_core.figures.token_heatmap import coloured, legend
from stc_core.frames import records
from stc_core.interpret.explanation import (
    check_sum,
    layer_parts,
    neuron_parts,
    range_line,
    special_line,
    strongest,
    sum_line,
    token_parts,
    unknown_line,
    words,
)
from stc_core.runs.run import Run
from ui.cache.neuron_values import address_of, has_neurons, left_out_words
from ui.cache.run_files import gradients
from ui.charts.chart import chart
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, pick

BARS = 14
_MOST_CLASSES = 5
THROUGH = (
    "How much each word moves the logit when the words change from blank to these, "
    "through all layers of the model. It is slower than the split of the readout above."
)
SPLIT, LEFT_OUT = "Exact split", "Leave one out"
WAYS_HELP = (
    "Exact split: how much of the logit is read at each word; the parts add up. Leave "
    "one out: how much the logit falls if the word is taken out and the model reads "
    "the text again."
)
LEFT_OUT_MEANS = (
    "What the logit loses if the model reads the text without this word. It is a "
    "cause, but the losses do not add up: of two words that say the same, each alone "
    "is worth little."
)
JOINED = " The text is long, so neighbouring words are left out together."
ATTENDED = (
    "The share of each word in what attention reads. Special tokens and the maximum "
    "and mean of all words are read, too. A share says what the head looks at. It is "
    "**no proof** that this word decides the label."
)
HONEST = (
    "An exact split of the **readout**: the parts add up to the logit. It says what "
    "the classifier reads, not what would happen without a word."
)
CONTRAST = "Left: weak words become visible. Right: only strong words stay visible."


def explained_class(explanation: dict[str, Any]) -> str:
    """The class that the context names, or the predicted class if it names none."""
    label = context().label
    return str(label if label in explanation["probabilities"] else explanation["label"])


def draw_words(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Show the words for and against a class, and the choice of that class.

    They are coloured by the exact split, or by what the logit loses without each.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        default = f"the predicted class: {explanation['label']}"
        pick(
            "label",
            "Explain the class",
            [None, *explanation["probabilities"]],
            format_func=lambda name: name or default,
            placeholder=default,
            width="stretch",
            label_visibility="collapsed",
        )
        with st.popover("Show", icon=":material/tune:"):
            gamma = st.slider(
                "Contrast", 0.2, 2.0, 1.0, 0.1, key="gamma", help=CONTRAST
            )
            several = st.toggle("Each of the likeliest classes", key="each_class")
    shown = _with_chosen_words(run, explanation, text)
    label = explained_class(explanation)
    (show_likeliest_classes if several else show_one_class)(shown, text, label, gamma)
    _attended(explanation, text, label)


def _with_chosen_words(
    run: Run, explanation: dict[str, Any], text: str
) -> dict[str, Any]:
    """The explanation, with its words measured by leaving out if the user wants that.

    A classifier that decides level by level has no such choice.
    """
    if "levels" in explanation:
        return explanation
    way = st.segmented_control(
        "Words by",
        [SPLIT, LEFT_OUT],
        default=SPLIT,
        required=True,
        key="words_by",
        help=WAYS_HELP,
        label_visibility="collapsed",
    )
    if way == SPLIT:
        return explanation
    try:
        found = left_out_words(run, text, explanation["fold"])
    except StcError:
        st.info("The model reads one word of this text. Without it nothing is left.")
        return explanation
    st.caption(LEFT_OUT_MEANS + (JOINED if found["joined"] else ""))
    return {**explanation, "tokens": found["tokens"]}


def draw_parts(run: Run, explanation: dict[str, Any], truth: str | None) -> None:
    """Show the probabilities, and the sum that gives the logit of one class."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown("**Probabilities**")
        figure = probability_bars(explanation["probabilities"], label=truth)
        chart(figure, "probabilities", alt="Class probabilities")
        st.caption(f":material/info: {HONEST}")
    with right:
        show_sums(run, explanation, explained_class(explanation))


def show_one_class(
    explanation: dict[str, Any], text: str, label: str, gamma: float
) -> None:
    """Show the words for and against one class, and the share of the special tokens."""
    tokens = token_parts(explanation, label)
    parts = words(text, tokens)
    scale = max((abs(part.value) for part in parts), default=0.0)
    unit = f"to {label}"
    st.html(coloured(text, parts, palette="diverging", gamma=gamma, unit=unit))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(" ".join(filter(None, (unknown_line(tokens), special_line(tokens)))))


def show_likeliest_classes(
    explanation: dict[str, Any], text: str, label: str, gamma: float
) -> None:
    """Show the words once for each of the likeliest classes, all on one scale."""
    names = top_classes(explanation["probabilities"], label, most=_MOST_CLASSES)
    parts = {name: words(text, token_parts(explanation, name)) for name in names}
    values = [abs(word.value) for of_class in parts.values() for word in of_class]
    scale = max(values, default=0.0)
    rows = [
        ClassRow(
            name,
            explanation["probabilities"][name],
            coloured(
                text,
                of_class,
                palette="diverging",
                scale=scale,
                gamma=gamma,
                unit=f"to {name}",
            ),
        )
        for name, of_class in parts.items()
    ]
    st.html(class_list(rows))
    st.html(legend("diverging", scale=scale, low="against", high="for the class"))
    n_hidden = len(explanation["probabilities"]) - len(names)
    if n_hidden:
        verb = "class is" if n_hidden == 1 else "classes are"
        st.caption(f"{n_hidden:,} less likely {verb} not shown.")


def draw_gradients(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Show the effect of each word through the whole model, if the user asks for it."""
    if not st.toggle("Integrated gradients", key="gradients", help=THROUGH):
        return
    label = explained_class(explanation)
    attribution = gradients(run, text, label, explanation["fold"])
    parts = words(text, token_parts(attribution, label))
    scale = max((abs(part.value) for part in parts), default=0.0)
    st.html(coloured(text, parts, palette="diverging", unit=f"to {label}"))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(
        f"From blank words (logit {formatted(attribution['start'], '+.2f')}) to these "
        f"({formatted(attribution['logit'], '+.2f')}). Error of the numerical sum: "
        f"{abs(attribution['error']):.2f}."
    )


def _attended(explanation: dict[str, Any], text: str, label: str) -> None:
    """Show how much attention reads of each word, if the run reads by attention."""
    if "attention" not in explanation:
        return
    parts = words(text, attended_tokens(explanation, label))
    scale = max((part.value for part in parts), default=0.0)
    st.markdown("**What attention reads**")
    st.html(coloured(text, parts, palette="sequential", unit="of what is read"))
    st.html(legend("sequential", scale=scale, high="of what is read"))
    st.caption(ATTENDED)


def show_sums(run: Run, explanation: dict[str, Any], label: str) -> None:
    """Draw the sum from the bias to the logit, by layer or by neuron."""
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
    total = check_sum(explanation, label)
    by_neuron = strongest(neuron_parts(explanation, label), BARS)
    parts = layer_parts(explanation, label) if by == "layer" else by_neuron
    figure = waterfall(parts, total)
    chart(figure, "waterfall", alt="Contributions to the logit")
    st.caption(" ".join(filter(None, (sum_line(total), range_line(explanation)))))
    if not has_neurons(run):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Look at", width="content")
        kept = neuron_parts(explanation, label).dropna(subset="neuron")
        for row in records(kept.head(3)):
            link(NEURONS, str(row["name"]), neuron=address_of(run, int(row["neuron"])))
