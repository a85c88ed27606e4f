"""The buttons that download a run as one file, and make a run of such a file."""

import shutil
import tempfile
from pathlib import Path

import streamlit as st

from stc_core.display import size
from stc_core.errors import StcError
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.shell.messages import escape, show_error
from ui.state.navigation import remember

IN_BUNDLE = (
    "One file with the classifier, the part of the language model that it reads, its "
    "scores and a model card. It works on another machine without a network."
)
TEXTS = "With the texts of the training"
MOST_BYTES = 1 << 30
"""A larger bundle is made by the command: a browser gets its file through memory."""
_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_TURN, _DONE = "_bundle_turn", "_bundle_done"


def download_form(run: Run) -> None:
    """Draw the choice of what to pack, and the button that downloads it."""
    n_bytes = _backbone_bytes(run)
    st.markdown(f"{IN_BUNDLE} It has about {size(n_bytes)}.")
    has_texts = run.has(RunFile.CORPUS)
    texts = st.checkbox(
        TEXTS,
        disabled=not has_texts,
        key=f"texts_{run.folder.name}",
        help="Needed to look at texts, neurons and errors elsewhere. Whoever gets the "
        "file can read them."
        if has_texts
        else "This run came without its texts.",
    )
    name = f"{run.folder.name}.zip"
    if n_bytes > MOST_BYTES:
        st.markdown("That is too large for a browser. Use the command:")
        option = " --texts" if texts else ""
        st.code(f"stc export {run.folder.name} {name}{option}", language="sh")
        return
    st.download_button(
        "Download the bundle",
        lambda: _packed(run, texts=texts),
        file_name=name,
        mime="application/zip",
        on_click="ignore",
        type="primary",
        icon=":material/download:",
        key=f"bundle_{run.folder.name}",
    )


def _backbone_bytes(run: Run) -> int:
    """About how many bytes the model of the bundle has."""
    metrics = run.metrics
    dtype = metrics["backbone"]["dtype"]
    return metrics["cost"]["parameters"] * _ITEM_BYTES.get(dtype, 4)


def _packed(run: Run, *, texts: bool) -> bytes:
    from stc_core.export.bundle import write_bundle  # imports torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zip"
        write_bundle(run, path, texts=texts)
        return path.read_bytes()


def upload_form() -> None:
    """Draw the field for a bundle; one that was uploaded becomes the picked run."""
    turn = st.session_state.setdefault(_TURN, 0)
    uploaded = st.file_uploader(
        "A bundle: a file from *Download* or `stc export`", key=f"bundle_upload_{turn}"
    )
    if uploaded is None:
        if done := st.session_state.pop(_DONE, None):
            st.success(done, icon=":material/check:")
        return
    from stc_core.export.imported import import_bundle  # imports torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        with path.open("wb") as copy:
            shutil.copyfileobj(uploaded, copy)
        try:
            run = import_bundle(path)
        except StcError as error:
            show_error(
                StcError(
                    f"file {uploaded.name!r}",
                    expected=error.expected,
                    got=error.got,
                    remedy=error.remedy,
                )
            )
            return
    st.session_state[_TURN] = turn + 1
    st.session_state[_DONE] = (
        f"{escape(run.name)} is in the list now, in the folder "
        f"{escape(run.folder.name)}. It is the run that is picked."
    )
    remember(run=run.folder.name)
    st.rerun()
