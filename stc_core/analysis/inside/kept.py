"""Measurements that are kept in a run's folder, as long as its head is the same."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from stc_core.files import read_json, write_json
from stc_core.runs.run import Run

_HEADS = "model/head.safetensors", "model/word_readout.safetensors"


def kept_or_measured(
    run: Run,
    name: str,
    asked: Mapping[str, Any],
    measure: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """The record in the file `name` of the run, or a new one, which is then kept.

    The kept record counts if it was made with the arguments `asked` and for the head
    that the run has now. StcError if the run was deleted while it was measured.
    """
    key = {**asked, "head": head_digest(run)}
    path = run.folder / name
    if path.is_file():
        known = read_json(path)
        if all(known.get(name) == value for name, value in key.items()):
            return known
    record = {**key, **measure()}
    run.check_folder()
    write_json(path, record)
    return record


def is_current(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether a kept record is about the head that the run has now."""
    return record.get("head") == head_digest(run)


def head_digest(run: Run) -> str:
    """The first characters of the SHA-256 of the head's files; empty without any.

    They are the weights of the neurons, and of the words if the run reads words.
    """
    paths = [path for name in _HEADS if (path := run.folder / name).is_file()]
    content = b"".join(path.read_bytes() for path in paths)
    return hashlib.sha256(content).hexdigest()[:16] if paths else ""
