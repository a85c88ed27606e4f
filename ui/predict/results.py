"""Predicted texts: label, probability and second choice, and why on a click."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.figures.token_heatmap import coloured, legend
from stc_core.interpret.explanation import special_line, token_parts, words
from stc_core.runs.run import Run
from ui.cache.predictions import added_names
from ui.cache.run_files import explain_text
from ui.shell.messages import escape
from ui.shell.page_list import EXAMPLES
from ui.state.navigation import link

SECOND, SECOND_SHARE = "second choice", "its probability"
FORM = "%.4f"
_HEIGHT = 420


def with_second_choice(predicted: pd.DataFrame) -> pd.DataFrame:
    """`predicted` with the likeliest other class and its probability.

    Both are empty for a row without a label, or if there is no other class.
    """
    label, _, *shares = added_names(predicted.columns)
    names = np.array([name.removeprefix("p:") for name in shares], dtype=object)
    values = predicted[shares].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    given = predicted[label].to_numpy(object)
    values = np.where(names == given[:, None], np.nan, values)  # (row, class)
    second = np.full(len(predicted), "", dtype=object)
    share = np.full(len(predicted), np.nan)
    some = ~np.isnan(values).all(axis=1)
    if some.any():
        best = np.nanargmax(values[some], axis=1)
        second[some] = names[best]
        share[some] = values[some, best]
    return predicted.assign(**{SECOND: second, SECOND_SHARE: share})


def show_results(
    run: Run, predicted: pd.DataFrame, text: str, *, label: str | None = None
) -> None:
    """Draw the rows as a table, and beside it why the clicked row got its label.

    `text` is the column of the texts, and `label` that of the right labels, if known.
    """
    table = with_second_choice(predicted)
    answer, sure, *shares = added_names(predicted.columns)
    first = [answer, sure, SECOND, SECOND_SHARE, *([label] if label else []), text]
    others = [str(name) for name in predicted.columns if name not in (*first, *shares)]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        event = st.dataframe(
            table.assign(**{sure: pd.to_numeric(table[sure], errors="coerce")}),
            column_order=[*first, *others],
            column_config={
                text: st.column_config.TextColumn(width="large"),
                **{
                    name: st.column_config.NumberColumn(format=FORM, width="small")
                    for name in (sure, SECOND_SHARE)
                },
            },
            height=min(_HEIGHT, 38 + 35 * max(1, len(table))),
            on_select="rerun",
            selection_mode="single-row",
            key="predicted_rows",
            alt="Texts with their predicted labels",
        )
    place = picked_place(event, len(table))
    with right:
        if place is None:
            st.info("Click a row to see why.", icon=":material/ads_click:")
        else:
            row = predicted.iloc[place]
            _why(run, str(row[text]), str(table[SECOND].iloc[place]))


def picked_place(event: Any, n: int) -> int | None:
    """The place of the row that was clicked; None for none of the `n` rows."""
    chosen: Mapping[str, Any] = event["selection"] if event else {}
    rows: Sequence[int] = chosen.get("rows", [])
    return int(rows[0]) if rows and rows[0] < n else None


def _why(run: Run, text: str, second: str) -> None:
    """Draw the words for the label, and for the second choice below."""
    if not text.strip():
        st.info("This row has no text.", icon=":material/info:")
        return
    explanation = explain_text(run, text)
    label = str(explanation["label"])
    for name in (label, *([second] if second in explanation["logits"] else [])):
        tokens = token_parts(explanation, name)
        share = explanation["probabilities"][name]
        st.markdown(f"**{escape(name)}** {share:.4f}")
        parts = [one for one in words(text, tokens) if not one.special]
        st.html(coloured(text, parts, palette="diverging", unit=f"to {name}"))
        scale = max((abs(one.value) for one in parts), default=0.0)
        st.html(legend("diverging", scale=scale, low="against", high=f"for {name}"))
    st.caption(special_line(token_parts(explanation, label)))
    link(EXAMPLES, "More on this text", icon=":material/psychology:", text=text)
