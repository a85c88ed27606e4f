"""The classifier without one neuron: its accuracy, changed predictions, one text."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.examples import FINAL, judge_line
from stc_core.display import percent
from stc_core.figures.activity import MOST_ACTIVITY_CLASSES
from stc_core.heads.head import softmax
from stc_core.interpret.ablation import ablate_readout, ablation_effect, flipped_answers
from stc_core.runs.run import Run
from ui.cache.neuron_values import (
    activations_of,
    has_readout,
    head_of,
    head_scores,
    values_of,
    word_readout_of,
)
from ui.cache.run_files import examples
from ui.cache.texts import texts_of
from ui.shell.messages import escape
from ui.shell.widgets import places_table
from ui.state.navigation import context

ABLATED = (
    "**Mean ablation of the readout, not of the model**: the head gets the training "
    "mean instead of the value of this neuron. All other neurons keep their values, "
    "also in the layers above. The result is exact for the activations that the run "
    "keeps."
)


def show_ablation(run: Run, neuron: dict[str, Any]) -> None:
    """Show the classifier with this neuron at its mean: accuracy, changes, one text."""
    if not has_readout(run):
        st.info(
            "This run decides level by level with several heads, so the effect of one "
            "neuron on the accuracy is not measured."
        )
        return
    number, head = neuron["neuron"], head_of(run)
    values = values_of(run, number)
    tables = []
    columns = st.columns(2, gap="large")
    for column, split in zip(columns, _unlearned(run), strict=False):
        rows, y, logits = head_scores(run, split)
        after = ablate_readout(head, logits, values[rows], number)
        cost = ablation_effect(y, logits, after)
        with column:
            show_accuracy(split, cost)
        flips = flipped_answers(head, logits, after)
        tables.append(flips.assign(split=split, example=rows[flips["place"]]))
    show_changes(run, pd.concat(tables, ignore_index=True))
    st.caption(ABLATED)
    _one_text(run, neuron, values)


def _unlearned(run: Run) -> list[str]:
    """The splits that the final head was not fitted on, as far as the run knows it."""
    table = examples(run)
    learned = set(table.loc[table["held"].to_numpy(bool), "split"])
    return [split for split in ("test", "validation") if split not in learned]


def show_accuracy(split: str, cost: Any) -> None:
    """Show the accuracy before and after, and the changed predictions each way."""
    if not cost.n:
        st.metric(f"Accuracy on {split}", "–")
        st.caption("The run has no texts in this split.")
        return
    points = 100 * (cost.after - cost.before)
    st.metric(
        f"Accuracy on {split}, without it",
        percent(cost.after),
        f"{points:+.1f} points" if cost.lost != cost.gained else "no change",
        delta_color="normal" if cost.lost != cost.gained else "off",
        delta_arrow="auto" if cost.lost != cost.gained else "off",
    )
    seen = " They took part in the training." if split == "validation" else ""
    change = "prediction changes" if cost.changed == 1 else "predictions change"
    st.caption(
        f"{percent(cost.before)} with it, n = {cost.n:,}. {cost.changed:,} {change}: "
        f"{cost.lost:,} from right to wrong, {cost.gained:,} from wrong to right.{seen}"
    )


def show_changes(run: Run, flips: pd.DataFrame) -> None:
    """Show the texts whose prediction changes; a click on one picks it."""
    if flips.empty:
        st.info(
            "No prediction changes. Other neurons carry the same information, or this "
            "one is rarely active."
        )
        return
    texts = texts_of(run)
    at = flips["example"].to_numpy()
    table = pd.DataFrame(
        {
            **texts.places(at),
            "text": [texts.texts[row] for row in at],
            "label": texts.labels[at],
            "with it": flips["before"],
            "without it": flips["after"],
            "split": flips["split"],
        }
    )
    places_table(
        table,
        [{"example": int(example)} for example in at],
        key=f"changes_{context().neuron}",
        text=st.column_config.TextColumn(width="large"),
    )


def _one_text(run: Run, neuron: dict[str, Any], values: np.ndarray) -> None:
    """Show the probabilities of the picked text, with the neuron and without it."""
    example, head = context().example, head_of(run)
    if example is None or example >= len(values):
        st.caption("Pick a text here or on *Examples* to see its probabilities change.")
        return
    before = head.logits(np.asarray(activations_of(run)[[example]], float))
    if (words := word_readout_of(run)) is not None:
        before = before + words.logits([texts_of(run).texts[example]])
    after = ablate_readout(head, before, values[[example]], neuron["neuron"])
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
    place = texts.place(example).capitalize()
    st.markdown(f"**{place}**: {escape(texts.texts[example][:160])}")
    row = examples(run).iloc[example]
    st.caption(judge_line(str(row["split"]), fold=FINAL, held=bool(row["held"])))
    st.dataframe(
        shares.iloc[order[:MOST_ACTIVITY_CLASSES]],
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("with it", "without it", "change")
        },
        alt="Class probabilities with the neuron and without it",
    )
