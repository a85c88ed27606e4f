"""Whether explanations name what the answer rests on; the worst cases as links."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.inside.kept import is_current
from stc_core.display import formatted
from stc_core.figures.explanation import ErasureCurve, erasure_curves
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS
from stc_core.interpret.faithfulness.sentences import faithfulness_sentences
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.effects import FAITHFUL_TEXTS, faithfulness_on
from ui.cache.neuron_values import has_readout
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.charts.chart import chart
from ui.errors.label_errors import picked_text
from ui.shell.measuring import measured
from ui.shell.widgets import places_table

ERASURE = (
    "The words that an explanation puts first are left out, or all others are, and the "
    "model reads what is left. Neurons get their mean inside the model. If the "
    "explanation names what the answer rests on, the probability of the label falls "
    "far without these parts, and hardly with these alone."
)
NO_HEAD = (
    "This is measured for classifiers with a linear head on selected neurons. This run "
    "has none."
)
_COLUMNS = {
    "comprehensiveness": "Loss without the strongest parts. More is better. In "
    "brackets the 95 % interval.",
    "sufficiency": "Loss with the strongest parts alone. Less is better.",
}
_CURVES: dict[ErasureCurve, str] = {
    "without": "Without the strongest parts",
    "alone": "With these alone",
}
_OVER = {"words": "Over words", "neurons": "Over kept neurons"}


def show_faithfulness(run: Run) -> None:
    """Draw the measured faithfulness, or the button that measures it."""
    st.markdown("#### Do explanations name what the answer rests on?")
    if not has_readout(run):
        st.info(NO_HEAD, icon=":material/visibility:")
        return
    if not run.has(RunFile.FAITHFULNESS) or not is_current(
        run, read(run, "faithfulness")
    ):
        _offer(run)
        return
    record = read(run, "faithfulness")
    for column, name in zip(st.columns(2, gap="large"), _OVER, strict=True):
        with column:
            _part(record[name], name)
    curve: ErasureCurve = st.segmented_control(
        "Curves",
        tuple(_CURVES),
        default="without",
        required=True,
        format_func=lambda name: _CURVES[name],
        key="erasure_curve",
        label_visibility="collapsed",
    )
    for column, name in zip(st.columns(2, gap="large"), _OVER, strict=True):
        with column:
            chart(
                erasure_curves(record[name], ATTRIBUTIONS, curve),
                f"erasure_{name}",
                alt=f"Loss of probability: {_CURVES[curve].lower()}, over {name}",
            )
    st.caption(
        f"{ERASURE} Means over 1, 5, 10, 20 and 50 % of the parts (ERASER), with 95 % "
        "intervals over the texts. `stc faithfulness` measures more texts."
    )
    _cases(run, record["words"]["cases"])


def _offer(run: Run) -> None:
    """Draw the button that measures; then show what was measured."""
    pressed = st.button("Measure", type="primary", icon=":material/science:")
    if not pressed:
        st.caption(
            f"{ERASURE} {FAITHFUL_TEXTS} texts are read some 150 times each. That "
            "takes minutes; the run keeps the result."
        )
        return
    if measured(lambda stage: faithfulness_on(run, stage=stage)) is not None:
        st.rerun()


def _part(part: Mapping[str, Any], name: str) -> None:
    """Draw the sentences and the table over words or over neurons."""
    st.markdown(f"**{_OVER[name]}** ({part['n_texts']:,} texts)")
    for sentence in faithfulness_sentences(part, name):
        st.markdown(sentence)
    rows = [
        {
            "explanation": ATTRIBUTIONS[one["method"]],
            **{score: _with_ends(one[score]) for score in _COLUMNS},
        }
        for one in part["methods"]
    ]
    text = st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "explanation": text("Explanation", width=200),
            **{
                score: text(score.capitalize(), help=about)
                for score, about in _COLUMNS.items()
            },
        },
        alt=f"Faithfulness of each explanation over {name}",
    )


def _with_ends(score: Mapping[str, float]) -> str:
    mean, low, high = (
        formatted(score[name], ".2f") for name in ("mean", "low", "high")
    )
    return f"{mean} ({low} to {high})"


def _cases(run: Run, cases: list[dict[str, Any]]) -> None:
    """List the texts whose explanation is furthest behind; a row opens the text."""
    if not cases:
        return
    st.markdown("**Texts on which another explanation does better**")
    texts = texts_of(run)
    table = pd.DataFrame(
        {
            "text": [texts.texts[case["example"]] for case in cases],
            "label": [texts.labels[case["example"]] for case in cases],
            "ours": [case["ours"] for case in cases],
            "best": [case["best"] for case in cases],
            "by": [ATTRIBUTIONS[case["method"]] for case in cases],
        }
    )
    places = [
        {
            "example": case["example"],
            "split": str(texts.splits[case["example"]]),
        }
        for case in cases
    ]
    number = st.column_config.NumberColumn
    places_table(
        table,
        places,
        key="unfaithful",
        alt="Texts whose explanation is furthest behind the best one",
        text=st.column_config.TextColumn("Text", width=480),
        label=st.column_config.TextColumn("Label", width=110),
        ours=number("Ours", format="%.2f", width=80),
        best=number("The best", format="%.2f", width=80),
        by=st.column_config.TextColumn("by", width=170),
    )
    with picked_text(run, [case["example"] for case in cases]):
        st.caption(
            "Comprehensiveness over words. Pick a row; the link opens it in Examples."
        )
