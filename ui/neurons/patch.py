"""Neurons of one text get the activations that they have in another text."""

import pandas as pd
import streamlit as st

from stc_core.errors import StcError
from stc_core.interpret.interventions.effect_records import CLASSIFIER, Patch
from stc_core.runs.run import Run
from ui.cache.effects import patch_on
from ui.cache.texts import texts_of
from ui.shell.messages import escape, show_error
from ui.state.navigation import context

_ABOUT = (
    "If the neurons carry what makes the answers differ, the patched text gets the "
    "answer of the other one. Everything above the neurons is computed again."
)
MOST_PATCHED = 8


def show_patch(run: Run, chosen: tuple[str, str | int | None]) -> None:
    """Draw the fields of both texts, and the answers before and after the patch."""
    texts, example = texts_of(run).texts, context().example
    known = example if example is not None and example < len(texts) else 0
    own = context().text or texts[known]
    with st.form("patch", border=False):
        left, right = st.columns(2)
        text = left.text_area("Text", own, key=f"patch_text_{known}")
        donor = right.text_area("Activations from this text", key="patch_donor")
        pressed = st.form_submit_button(
            "Patch", type="primary", icon=":material/healing:"
        )
    if not pressed:
        st.caption(_ABOUT)
        return
    if not text.strip() or not donor.strip():
        st.info("Type both texts.")
        return
    try:
        with st.spinner("Patching …"):
            found = patch_on(run, text.strip(), donor.strip(), chosen)
    except StcError as error:
        show_error(error)
        return
    _show(found)


def _show(found: Patch) -> None:
    """Show the logits of the text, of the patched text and of the donor."""
    before, after, donor = (
        one[CLASSIFIER] for one in (found.before, found.after, found.donor)
    )
    was, now, other = (max(one, key=lambda k: one[k]) for one in (before, after, donor))
    said = (
        f"Still **{escape(now)}**"
        if was == now
        else (f"Now **{escape(now)}**, was **{escape(was)}**")
    )
    st.markdown(f"{said}; the other text is **{escape(other)}**.")
    moved = sorted(before, key=lambda name: -abs(after[name] - before[name]))
    rows = [
        {"class": n, "text": before[n], "patched": after[n], "other text": donor[n]}
        for n in moved[:MOST_PATCHED]
    ]
    number = st.column_config.NumberColumn(format="%+.2f")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config=dict.fromkeys(("text", "patched", "other text"), number),
        alt="Logits before and after the patch",
    )
    how = (
        "Both texts have equally many tokens, so each got that of its place."
        if found.aligned
        else "The texts differ in length, so each token got the mean of the other text."
    )
    st.caption(f"Logits of this classifier. {how} {_ABOUT}")
