"""The classifier without one of its neurons: accuracy, changes, one text."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.display import percent
from stc_core.figures.activity import MOST_ACTIVITY_CLASSES
from stc_core.heads.head import softmax
from stc_core.interpret.ablation import ablated, flipped_answers, toll
from stc_core.runs.run import Run
from ui.cache.neuron_values import (
    activations_of,
    has_readout,
    head_of,
    head_scores,
    values_of,
)
from ui.cache.texts import texts_of
from ui.shell.messages import escape
from ui.shell.widgets import places_table
from ui.state.navigation import context

ABLATED = (
    "**Mean ablation of the readout, not of the model**: where the head reads this "
    "neuron, it gets its training mean instead. All other neurons stay as they were, "
    "those in the layers above as well. Exact, from the activations that the run keeps."
)


def without(run: Run, neuron: dict[str, Any]) -> None:
    """The classifier with this neuron at its mean: accuracy, changes, one text."""
    if not has_readout(run):
        st.info(
            "This run decides level by level, by several heads, so that one neuron has "
            "no accuracy of its own to take away."
        )
        return
    number, head = neuron["neuron"], head_of(run)
    values = values_of(run, number)
    tables = []
    columns = st.columns(2, gap="large")
    for column, split in zip(columns, ("test", "validation"), strict=True):
        rows, y, logits = head_scores(run, split)
        after = ablated(head, logits, values[rows], number)
        cost = toll(y, logits, after)
        with column:
            tally(split, cost)
        found = flipped_answers(head, logits, after)
        tables.append(found.assign(split=split, example=rows[found["place"]]))
    changes(run, pd.concat(tables, ignore_index=True))
    st.caption(ABLATED)
    _one_text(run, neuron, values)


def tally(split: str, cost: Any) -> None:
    """Accuracy before and after, and the changed predictions each way."""
    if not cost.n:
        st.metric(f"Accuracy on {split}", "–")
        st.caption("The run has no such texts.")
        return
    points = 100 * (cost.after - cost.before)
    st.metric(
        f"Accuracy on {split}, without it",
        percent(cost.after),
        f"{points:+.1f} points" if cost.lost != cost.gained else "no change",
        delta_color="normal" if cost.lost != cost.gained else "off",
        delta_arrow="auto" if cost.lost != cost.gained else "off",
    )
    seen = " The head was fitted on them, too." if split == "validation" else ""
    change = "prediction changes" if cost.changed == 1 else "predictions change"
    st.caption(
        f"{percent(cost.before)} with it, n = {cost.n:,}. {cost.changed:,} {change}: "
        f"{cost.lost:,} from right to wrong, {cost.gained:,} from wrong to right.{seen}"
    )


def changes(run: Run, found: pd.DataFrame) -> None:
    """The texts whose prediction changes, each a way to its explanation."""
    if found.empty:
        st.info("No prediction changes: others say the same, or it is rarely active.")
        return
    texts = texts_of(run)
    at = found["example"].to_numpy()
    table = pd.DataFrame(
        {
            **texts.places(at),
            "text": [texts.texts[row] for row in at],
            "label": texts.labels[at],
            "with it": found["before"],
            "without it": found["after"],
            "split": found["split"],
        }
    )
    places_table(
        table,
        [{"example": int(one)} for one in at],
        key=f"changes_{context().neuron}",
        text=st.column_config.TextColumn(width="large"),
    )


def _one_text(run: Run, neuron: dict[str, Any], values: np.ndarray) -> None:
    """The probabilities of the example of the context, with the neuron and without."""
    held, head = context().example, head_of(run)
    if held is None or held >= len(values):
        st.caption("Pick a text here or on *Examples* to see its probabilities change.")
        return
    before = head.logits(np.asarray(activations_of(run)[[held]], float))
    after = ablated(head, before, values[[held]], neuron["neuron"])
    shares = pd.DataFrame(
        {
            "class": head.classes,
            "with it": softmax(before)[0],
            "without it": softmax(after)[0],
        }
    )
    shares["change"] = shares["without it"] - shares["with it"]
    order = shares["change"].abs().to_numpy().argsort(kind="stable")[::-1]
    texts = texts_of(run)
    said = texts.place(held).capitalize()
    st.markdown(f"**{said}**: {escape(texts.texts[held][:160])}")
    st.dataframe(
        shares.iloc[order[:MOST_ACTIVITY_CLASSES]],
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("with it", "without it", "change")
        },
        alt="Class probabilities with the neuron and without it",
    )
