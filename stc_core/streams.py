"""What is printed arrives, whatever the encoding and whoever has stopped reading."""

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
"""Signs of ours that read as well in ASCII."""


def _readable(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: like ones, or escapes."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    said = (
        PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode()
        for one in lacking
    )
    return "".join(said), error.end


codecs.register_error(_ERRORS, _readable)


def let_all_be_printed() -> None:
    """Let what stdout and stderr cannot encode be printed as an escape.

    Without that a result that holds an emoji ends a command with a traceback where the
    terminal has a code page or ASCII, after its work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def silence(stream: Any) -> None:
    """Send what is still to be printed on `stream`, which nobody reads, nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Within it, one who stops reading stdout (`| head`) stops the printing alone.

    A full disk, or a device that takes nothing, is a StcError.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise unprintable(error) from error


def unprintable(error: OSError) -> StcError:
    return StcError(
        "standard output",
        got=error.strerror or str(error),
        remedy="Free some disk space, or write to another file.",
    )


def flush_all() -> None:
    """Print what waits to be printed; quiet where nobody reads it any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            silence(stream)
        except ValueError:  # it was closed
            continue


@contextmanager
def table_output() -> Iterator[TextIO]:
    """Stdout for a table, in UTF-8 as the file of that name would be.

    A program reads it, so that no character may be replaced or escaped.
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
        except OSError:  # it is under way already
            silence(sys.stdout)
        text.detach()


def as_json(value: Any, encoding: str | None) -> str:
    """`value` as JSON that any program reads: in ASCII unless the output is UTF-8."""
    said = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        whole = codecs.lookup(encoding or "ascii").name == "utf-8"
        said.encode("utf-8")
    except (LookupError, UnicodeEncodeError):
        whole = False
    return said if whole else json.dumps(value, indent=1)
