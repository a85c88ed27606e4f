"""Files written whole or not at all, and JSON that any program can read."""

import json
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from stc_core.errors import StcError

LOG_TAIL_BYTES = 65536


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which replaces `path` at the end.

    The replacement is atomic; after an error `path` is as it was.
    """
    # The suffix stays at the end: writers choose their format by it.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{writer}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> StcError:
    """The error for a file that cannot be written."""
    return StcError(
        f"cannot write {str(path)!r}",
        got=error.strerror or str(error),
        remedy="Free some disk space or choose another folder.",
    )


def write_json(path: Path, value: Any) -> None:
    """Write the value as JSON, whole or not at all."""
    with replacing(path) as temporary:
        text = json.dumps(
            json_value(value), indent=1, allow_nan=False, ensure_ascii=False
        )
        temporary.write_text(text + "\n", encoding="utf-8")


def json_value(value: Any) -> Any:
    """`value` in JSON's own types; a number that is not finite becomes None.

    Dates and times become ISO text.
    """
    if isinstance(value, BaseModel):
        return json_value(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def read_text(path: Path) -> str:
    """The text of a run's file; StcError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StcError(
            str(path), expected="a readable file of a run", got=str(error)
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a run's file; StcError if it is damaged."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        value = error
    if not isinstance(value, dict):
        raise StcError(
            str(path),
            expected="a JSON object",
            got=str(value),
            remedy="The file is damaged; train the run again.",
        )
    return value


def folder_bytes(folder: Path) -> int:
    """The size of all files under `folder`; a file that vanishes meanwhile counts 0."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(directory) / name).lstat().st_size
    return total


def read_tail(path: Path, n_lines: int = 30) -> str:
    """The last lines of a log; empty if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-n_lines:])
