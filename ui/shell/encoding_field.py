"""How the bytes of a table stand for letters: found out, or chosen."""

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
from ui.shell.messages import escape, show_error

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
"""Names by which people look for a codec, too."""


@st.cache_data(max_entries=8, show_spinner=False)
def _sniffed(path: str, written: int) -> Sniffed:
    return sniff(Path(path))


def title_with_encoding(table: Upload) -> str | None:
    """The name of a table, and the encoding chosen for it; None for what is found out.

    A choice with which the table cannot be read is said here, and not kept.
    """
    title, field = st.columns([5, 2], vertical_alignment="bottom")
    title.subheader(escape(table.path.name), anchor=False)
    encoding = encoding_box(table, field)
    likely_encodings(table)
    return encoding


def encoding_box(
    table: Upload, field: DeltaGenerator, *, guessed_only: bool = False
) -> str | None:
    """The same encoding; a box to choose it is drawn in `field` for a table of text.

    With `guessed_only` there is one only where the encoding is a guess.
    """
    found = _sniffed(str(table.path), stamp(table.path))
    if found.encoding is None:
        return None
    held = read_choice(table.key).encoding
    if guessed_only and not found.candidates and held is None:
        return None
    auto = f"{found.encoding} (automatic)"
    likely = [one.encoding for one in found.candidates[1:]]
    names = list(dict.fromkeys([*likely, *USUAL, *text_codecs()]))
    chosen = field.selectbox(
        "Encoding",
        [auto, *names],
        index=names.index(held) + 1 if held else 0,
        format_func=_with_other_name,
        key=f"encoding_{table.key}",
        help="How the bytes of the file stand for letters. If letters look wrong, "
        "choose another one; type a part of its name to find it.",
    )
    given = None if chosen in (auto, None) else str(chosen)
    return held if given == held else _kept(table, given, held)


def _with_other_name(name: str) -> str:
    """'cp1250 (Windows-1250)': what people call it, too, so that it is found."""
    if name not in text_codecs():
        return name
    other = OTHER_NAMES.get(name, codec_name(name))
    return name if other == name else f"{name} ({other})"


def likely_encodings(table: Upload) -> None:
    """How a line of a table reads in each likely encoding, also when one is chosen."""
    candidates = _sniffed(str(table.path), stamp(table.path)).candidates
    if not candidates:
        return
    with st.expander("The likeliest encodings", type="compact"):
        shown = [
            {"Encoding": one.encoding, "How a line reads": one.line}
            for one in candidates
        ]
        st.dataframe(pd.DataFrame(shown), hide_index=True)


def _kept(table: Upload, given: str | None, held: str | None) -> str | None:
    """The encoding that is given from now on; the held one if it cannot be."""
    try:
        encoding = text_codec(given) if given else None
        head(table.path, encoding)
    except StcError as error:
        show_error(error)
        return held
    data = read_choice(table.key)
    write_choice(table.key, data.changed(encoding=encoding))
    return encoding
