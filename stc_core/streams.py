"""Output that can always be printed, in any encoding, even if nobody reads it."""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from stc_core.errors import StcError

_ERRORS = "stc.readable"
PLAIN = {"–": "-", "—": "-", "−": "-", "·": "-", "…": "...", "›": ">", "─": "-"} | {
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""Characters of ours that can be written in ASCII as well."""


def _readable(error: UnicodeError) -> tuple[str, int]:
    """A replacement for characters that an encoding lacks: similar ones, or escapes."""
    assert isinstance(error, UnicodeEncodeError)
    unencodable = error.object[error.start : error.end]
    replacements = (
        PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode()
        for char in unencodable
    )
    return "".join(replacements), error.end


codecs.register_error(_ERRORS, _readable)


def escape_unencodable() -> None:
    """Print what stdout and stderr cannot encode as an escape.

    Without this, a result with an emoji would end a command with a traceback after its
    work is done, if the terminal uses a code page or ASCII.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def silence(stream: Any) -> None:
    """Discard what is still to be printed on `stream`, which nobody reads."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextmanager
def stop_with_reader() -> Iterator[None]:
    """Inside the block, a reader that stops reading stdout only ends the printing.

    That is the case with `| head`. A full disk, or a device that accepts nothing, is a
    StcError.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise printing_error(error) from error


def printing_error(error: OSError) -> StcError:
    """The error for a standard output that cannot be written."""
    return StcError(
        "standard output",
        got=error.strerror or str(error),
        remedy="Free some disk space, or write to another file.",
    )


def flush_all() -> None:
    """Print what is still buffered; no error if nobody reads it any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            silence(stream)
        except ValueError:  # the stream is closed
            continue


@contextmanager
def table_output() -> Iterator[TextIO]:
    """Stdout for a table, in UTF-8, as a file with the table would be.

    A program reads it, so no character may be replaced or escaped.
    """
    if sys.stdout is None:
        raise StcError("standard output", got="a closed one", remedy="Give a file.")
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        yield sys.stdout
        return
    sys.stdout.flush()
    text = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
    try:
        yield text
        text.flush()
    finally:
        try:
            text.flush()
        except OSError:  # the error is already being raised
            silence(sys.stdout)
        text.detach()


def printable_json(value: Any, encoding: str | None) -> str:
    """`value` as JSON for any program: in ASCII unless the output is UTF-8."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        is_utf8 = codecs.lookup(encoding or "ascii").name == "utf-8"
        text.encode("utf-8")
    except (LookupError, UnicodeEncodeError):
        is_utf8 = False
    return text if is_utf8 else json.dumps(value, indent=1)
