"""Reads texts although some of them break the tokenizer."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from stc_core.classifiers.labelling.given_texts import check_texts
from stc_core.errors import StcError

_T = TypeVar("_T")
_PANIC = "PanicException"
"""What a tokenizer raises for its own bug; it is no Exception, and has no module."""
_OF_THE_MACHINE = (MemoryError, OSError)


@runtime_checkable
class TextReader(Protocol):
    """What turns texts into at most `max_length` tokens, such as a `Backbone`."""

    @property
    def max_length(self) -> int: ...

    def tokenize(self, texts: Sequence[str]) -> Any: ...


def read_sound(
    read: Callable[[Sequence[str]], _T],
    texts: Sequence[str],
    reader: TextReader | None,
) -> tuple[_T, dict[int, str]]:
    """What `read` gives for the texts that `reader` can tokenise, and why others not.

    The texts are tokenised one by one only if `read` fails for all of them together. If
    each of them can be tokenised, the failure has another cause and is raised.
    """
    try:
        return read(texts), {}
    except BaseException as error:
        if not may_be_of_a_text(error) or reader is None:
            raise
        broken = broken_texts(reader, texts)
        if not broken:
            raise
    sound = [text for row, text in enumerate(texts) if row not in broken]
    return read(sound), broken


def broken_texts(reader: TextReader, texts: Sequence[str]) -> dict[int, str]:
    """The reason for each text that cannot be tokenised, by its row."""
    broken = {}
    for row, text in enumerate(texts):
        try:
            check_texts([text])
            reader.tokenize([text])
        except BaseException as error:
            if not may_be_of_a_text(error):
                raise
            broken[row] = _reason(error)
    return broken


def may_be_of_a_text(error: BaseException) -> bool:
    """Whether a text may be the cause of `error`: no interrupt, no full memory."""
    if isinstance(error, Exception):
        return not isinstance(error, _OF_THE_MACHINE)
    return type(error).__name__ == _PANIC


def _reason(error: BaseException) -> str:
    """The error in one line, without the number of the text, which is always 0."""
    if isinstance(error, StcError) and error.got:
        return error.got
    return " ".join(str(error).split())[:200] or type(error).__name__
