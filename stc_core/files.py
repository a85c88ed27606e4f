"""Whole files or none: atomic replacement, and JSON that any program can read."""

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
    """A path to write to that becomes `path` at once, or leaves it as it was."""
    # The suffix stays last: writers choose their format by it.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{writer}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> StcError:
    return StcError(
        f"cannot write {str(path)!r}",
        got=error.strerror or str(error),
        remedy="Free some disk space or choose another folder.",
    )


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        text = json.dumps(
            json_value(value), indent=1, allow_nan=False, ensure_ascii=False
        )
        temporary.write_text(text + "\n", encoding="utf-8")


def json_value(value: Any) -> Any:
    """`value` in JSON's own types; a number that is not finite becomes None.

    Dates become ISO text.
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
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StcError(
            str(path), expected="a readable file of a run", got=str(error)
        ) from error


def read_json(path: Path) -> dict[str, Any]:
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
    """The size of all files under `folder`; one that goes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).lstat().st_size
    return total


def tail(path: Path, n_lines: int = 30) -> str:
    """The last lines of a log, empty when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-n_lines:])
