"""The text encoding of a table: detected, or chosen by the user."""

from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from stc_core.data.checks import codec_name
from stc_core.data.reading.charsets import text_codec, text_codecs
from stc_core.data.reading.sniff import Sniffed, sniff
from stc_core.data.uploads import Upload, read_choice, write_choice
from stc_core.errors import StcError
from ui.cache.run_files import stamp
from ui.cache.tables import head
from ui.shell.messages import show_error

USUAL = (
    "utf-8 cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 "
    "iso8859-5 iso8859-15 cp850 cp852 cp437 mac-roman koi8-r gb18030 big5 cp932 euc_jp "
    "cp949 cp874 utf-16"
).split()
OTHER_NAMES = {
    "iso8859-1": "latin-1",
    "iso8859-2": "latin-2",
    "iso8859-15": "latin-9",
    "mac-roman": "Macintosh",
    "mac-latin2": "Macintosh, Central Europe",
    "gb18030": "gbk, gb2312",
    "cp932": "Shift JIS",
    "cp949": "Korean",
}
"""Other names under which people look for a codec."""


@st.cache_data(max_entries=8, show_spinner=False)
def _sniffed(path: str, written: int) -> Sniffed:
    return sniff(Path(path))


def encoding_box(
    table: Upload, field: DeltaGenerator, *, guessed_only: bool = False
) -> str | None:
    """Draw a box in `field` to choose the encoding; return it, None if detected.

    A table that is not a text file has no box. With `guessed_only` the box is drawn
    only if the detected encoding is a guess, or one was chosen before.
    """
    detected = _sniffed(str(table.path), stamp(table.path))
    if detected.encoding is None:
        return None
    previous = read_choice(table.key).encoding
    if previous is not None:  # a command may have said latin-1 for iso8859-1
        previous = text_codec(previous) or previous
    if guessed_only and not detected.candidates and previous is None:
        return None
    auto = f"{detected.encoding} (automatic)"
    likely = [candidate.encoding for candidate in detected.candidates[1:]]
    kept = [previous] if previous else []
    names = list(dict.fromkeys([*likely, *USUAL, *text_codecs(), *kept]))
    chosen = field.selectbox(
        "Encoding",
        [auto, *names],
        index=names.index(previous) + 1 if previous else 0,
        format_func=_with_other_name,
        key=f"encoding_{table.key}",
        help="How the file stores letters. If letters look wrong, choose another "
        "encoding. Type a part of its name to find it.",
    )
    wanted = None if chosen in (auto, None) else str(chosen)
    return previous if wanted == previous else _save_encoding(table, wanted, previous)


def _with_other_name(name: str) -> str:
    """The codec with its other name, by which people look for it.

    An example is 'cp1250 (Windows-1250)'.
    """
    if name not in text_codecs():
        return name
    other = OTHER_NAMES.get(name, codec_name(name))
    return name if other == name else f"{name} ({other})"


def likely_encodings(table: Upload) -> None:
    """Show how one line of the table reads in each likely encoding.

    It is shown also after an encoding was chosen.
    """
    candidates = _sniffed(str(table.path), stamp(table.path)).candidates
    if not candidates:
        return
    with st.expander("The likeliest encodings", type="compact"):
        lines = [
            {"Encoding": candidate.encoding, "How a line reads": candidate.line}
            for candidate in candidates
        ]
        st.dataframe(pd.DataFrame(lines), hide_index=True)


def _save_encoding(
    table: Upload, wanted: str | None, previous: str | None
) -> str | None:
    """Save and return `wanted`; return `previous` if the table cannot be read so."""
    try:
        encoding = text_codec(wanted) if wanted else None
        head(table.path, encoding)
    except StcError as error:
        show_error(error)
        return previous
    data = read_choice(table.key)
    write_choice(table.key, data.changed(encoding=encoding))
    return encoding
