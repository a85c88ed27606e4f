"""The texts that someone gives to a classifier, checked before anything is read."""

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from stc_core.errors import StcError

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character: JSON can contain it, but no text encoding can store it."""

Strings = Any
"""Texts: a list, an array, a column of a table, or a table of one column."""


def check_texts(texts: Strings) -> list[str]:
    """The texts as a list; StcError names the first that is blank or not a string."""
    out = _listed(texts)
    for row, text in enumerate(out):
        if not isinstance(text, str) or not text.strip():
            raise StcError(
                f"text {row}",
                expected="a string that is not blank",
                got=repr(text)[:60],
                remedy="Leave such rows out.",
            )
        if not text.isascii() and (half := _HALF.search(text)):
            raise StcError(
                f"text {row}",
                expected="whole characters",
                got=f"half a character, {half[0]!r}, at position {half.start()}",
                remedy="Read the text again with the right encoding.",
            )
    if not out:
        raise StcError("texts", expected="at least one text", got="none")
    return out


def _listed(texts: Strings) -> list[Any]:
    """The items of a list, an array, a column, or a table of one column."""
    shape = getattr(texts, "shape", ())
    if len(shape) == 2 and shape[1] == 1:
        return np.asarray(texts, dtype=object)[:, 0].tolist()
    if len(shape) > 1:
        raise StcError(
            "texts",
            expected="one text for each row",
            got=f"an array or a table of shape {tuple(shape)}",
            remedy="Give only the column of the texts.",
        )
    if isinstance(texts, str):
        raise StcError("texts", expected="a list of texts", got="one string")
    if isinstance(texts, bytes | Mapping | Set) or not isinstance(texts, Iterable):
        raise StcError(
            "texts", expected="a list of texts", got=f"a {type(texts).__name__}"
        )
    # The items of a pyarrow array are not Python strings.
    to_list: Any = getattr(texts, "to_pylist", None)
    return list(texts) if to_list is None else to_list()
