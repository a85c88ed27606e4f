"""Examples: texts and their predictions, and why one of them got its label."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

import ui
from stc_core.clicks import click_example
from stc_core.examples import UNCERTAIN, Show, select_examples
from stc_core.explanation import (
    check_sum,
    layer_parts,
    neuron_parts,
    special_line,
    strongest,
    sum_line,
    token_parts,
    words,
)
from stc_core.figures_attention import attended_tokens
from stc_core.figures_examples import probability_bars, waterfall
from stc_core.markup import coloured, legend
from stc_core.run import Run
from stc_core.wording import percent

TABLE, OWN = "Texts of this run", "My own sentence"
BARS = 14
THROUGH = (
    "What each word moves the logit by when the words go from blank to these, through "
    "all layers below: not a split of the readout, and slower."
)
ATTENDED = (
    "The share of each word in the part that attention reads; special tokens and the "
    "maximum and mean of all words are read, too. A share says what the head looks at. "
    "It is **no proof** that the label is there."
)
SHOW: dict[Show, str] = {"all": "All", "wrong": "Wrong", "uncertain": "Uncertain"}
SPLITS = ("test", "validation", "train")
HONEST = (
    "An exact split of the **readout**: the parts add up to the logit. It says what "
    "the classifier reads, not what would happen if a word were not there."
)


def filters(
    table: pd.DataFrame, part: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """Those of `part`, which is some of `table`, that pass what is chosen here."""
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    held = ui.context().example
    first = table["split"].iloc[held] if held is not None and held < len(table) else ""
    here = [name for name in SPLITS if name in set(table["split"])]
    return select_examples(
        part,
        split=ui.pick(
            "split",
            "Split",
            here,
            widget=row.selectbox,
            default=first if first in here else None,
            width=130,
        ),
        show=row.segmented_control(
            "Show",
            list(SHOW),
            default="all",
            required=True,
            format_func=lambda name: SHOW[name],
            key="show",
            help=f"Uncertain: the lead over the second class is below {UNCERTAIN}.",
        ),
        label=row.selectbox(
            "True or predicted class",
            classes,
            index=None,
            placeholder="any class",
            width=170,
            key="of_class",
        ),
        query=row.text_input(
            "Search", placeholder="words in the text", width="stretch", key="query"
        ),
    )


def browse(run: Run) -> tuple[str, str] | None:
    """The text and the label of the row that was picked from the table."""
    table = ui.examples(run)
    ui.slice_chips()
    part = table.loc[ui.in_slice(run, ui.held_slice())]
    found = filters(table, part, ui.read(run, "metrics")["classes"])
    if found.empty:
        st.info("No text passes these filters.", icon=":material/filter_alt_off:")
    else:
        listing(found)
    held = ui.context().example
    if held is None and not found.empty:
        held = int(found["example"].iloc[0])
    if held is None or held >= len(table):
        return None
    row = table.iloc[held]
    colour, said = ("green", "right") if row["correct"] else ("red", "wrong")
    st.markdown(
        f"#### Text {held}\nLabel **{ui.escape(row['label'])}**, predicted "
        f"**{ui.escape(row['predicted'])}** :{colour}-badge[{said}] "
        f":gray-badge[{row['split']}]"
    )
    return str(row["text"]), str(row["label"])


def listing(found: pd.DataFrame) -> None:
    rows = found["example"].tolist()
    st.dataframe(
        found.drop(columns="split"),
        key="example_table",
        on_select=ui.clicked(
            "example_table", lambda now, event: click_example(now, event, rows)
        ),
        selection_mode="single-row",
        hide_index=True,
        height=318,
        column_config={
            "example": st.column_config.NumberColumn("#", width=50),
            "text": st.column_config.TextColumn("Text", width=300),
            "label": st.column_config.TextColumn("Label", width=110),
            "predicted": st.column_config.TextColumn("Predicted", width=110),
            "probability": st.column_config.ProgressColumn(
                "Probability", format="percent", max_value=1.0, width=100
            ),
            "margin": st.column_config.NumberColumn("Margin", format="%.2f", width=60),
            "correct": st.column_config.CheckboxColumn("Right", width=45),
        },
        alt="Texts with their labels and predictions",
    )
    right = percent(float(np.mean(found["correct"])))
    splits = set(found["split"])
    seen = "" if splits == {"test"} else " (the classifier was fitted on these)"
    st.caption(f"{len(found):,} texts, {right} right{seen}. Pick a row to see why.")


def own() -> tuple[str, None] | None:
    with st.form("own", border=False):
        text = st.text_area(
            "Your text",
            key="own_text",
            placeholder="Type a sentence, then see how each word counts.",
        )
        st.form_submit_button("Explain", type="primary", icon=":material/psychology:")
    return (text.strip(), None) if text.strip() else None


def why(found: dict[str, Any], text: str, truth: str | None) -> None:
    """The words, then the probabilities and the sum of the logit of one class."""
    predicted = found["label"]
    default = f"the predicted one: {predicted}"
    picked = ui.pick(
        "label",
        "Explain the class",
        [None, *found["probabilities"]],
        format_func=lambda name: name or default,
        placeholder=default,
        width=360,
    )
    label = picked or predicted
    tokens = token_parts(found, label)
    parts = words(text, tokens)
    scale = max((abs(part.value) for part in parts), default=0.0)
    st.html(coloured(text, parts, palette="diverging", unit=f"to {label}"))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(special_line(tokens))
    attended(found, text, label)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown("**Probabilities**")
        figure = probability_bars(found["probabilities"], label=truth)
        st.plotly_chart(figure, key="probabilities", alt="Class probabilities")
        st.caption(f":material/info: {HONEST}")
    with right:
        sums(found, label)


def through(run: Run, text: str, label: str) -> None:
    """The words once more, by what they do in the whole model."""
    if not st.toggle("Integrated gradients", key="gradients", help=THROUGH):
        return
    found = ui.gradients(run, text, label)
    parts = words(text, token_parts(found, label))
    scale = max((abs(part.value) for part in parts), default=0.0)
    st.html(coloured(text, parts, palette="diverging", unit=f"to {label}"))
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
    st.caption(
        f"From blank words (logit {found['start']:+.2f}) to these "
        f"({found['logit']:+.2f}); {abs(found['error']):.2f} is left over, from the "
        "steps of the sum."
    )


def attended(found: dict[str, Any], text: str, label: str) -> None:
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
    st.plotly_chart(figure, key="waterfall", alt="Contributions to the logit")
    st.caption(sum_line(total))
    if "attention" in found:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Look at", width="content")
        for _, row in neuron_parts(found, label).head(3).iterrows():
            ui.link(ui.NEURONS, str(row["name"]), neuron=row["neuron"])


ui.frame(
    "Examples",
    ":material/chat_bubble:",
    caption="Each text with its prediction, and why: by layer, by neuron, by word.",
)
with ui.guard():
    run = ui.pick_run()
    way = st.segmented_control(
        "What to explain",
        (TABLE, OWN),
        default=TABLE,
        required=True,
        key="way",
        label_visibility="collapsed",
    )
    chosen = browse(run) if way == TABLE else own()
    if chosen is not None:
        found = ui.explain(run, chosen[0])
        why(found, chosen[0], chosen[1])
        label = ui.context().label
        held = label if label in found["probabilities"] else found["label"]
        through(run, chosen[0], str(held))
