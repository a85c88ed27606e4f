"""Every entrance of a file, and what may come of it: the table, or a sentence."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from helpers.faults.generated_files import Generated
from stc_core.classifiers.predict_table import predict_file
from stc_core.cli import app
from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus
from stc_core.data.table import iter_table, read_table
from stc_core.data.uploads import keep_upload
from stc_core.errors import StcError

Result = Literal["right", "read", "sentence"]
LONGEST = 1500
"""The most characters of a sentence that anybody reads."""


class Outcome(NamedTuple):
    """How an entrance dealt with a file: `fault` is empty unless it failed.

    "right" is a table with the cells that were written, "read" one that nobody knows.
    """

    entrance: str
    result: Result
    fault: str = ""


class Same:
    """Labels every text with the first class."""

    classes_ = np.array(["a", "=b"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile([1.0, 0.0], (len(texts), 1))


def outcomes(file: Generated, folder: Path) -> Iterator[Outcome]:
    """What comes of a file at each entrance of Python, the commands and the app.

    An error other than StcError is raised: it is a traceback for the user.
    """
    path = folder / file.name
    path.write_bytes(file.content)
    yield _tried("read_table", lambda: _compared(read_table(path), file))
    yield _tried("iter_table", lambda: _streamed(path, file))
    yield _tried("inspect_corpus", lambda: _inspected(path))
    for suffix in (".csv", ".jsonl", ".parquet"):
        out = folder / f"out{suffix}"
        out.unlink(missing_ok=True)
        yield _tried(f"predict to {suffix}", lambda out=out: _labelled(path, out))
    yield _tried("upload", lambda: _uploaded(file))


def by_command(path: Path) -> Outcome:
    """What `stc data check` says of a file: code 0, or 2 and an error."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stc", "data", "check", str(path)])
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", said)
        try:
            app.main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
    known = code in (0, 2)
    result: Result = "sentence" if said.getvalue().startswith("Error:") else "read"
    return Outcome("stc data check", result, "" if known else f"code {code}")


def by_http(client: TestClient, model: str, file: Generated) -> Iterator[Outcome]:
    """What the service answers to a file as a body, and to its cells as texts."""
    way = f"/v1/models/{model}/predict"
    sent = {"content-type": "application/json"}
    bodies = [file.content]
    if file.table is not None:
        texts = [cell for row in file.table[1] for cell in row][:8]
        bodies.append(json.dumps({"texts": texts}).encode())
    for body in bodies:
        answer = client.post(way, content=body, headers=sent)
        result: Result = "read" if answer.status_code == 200 else "sentence"
        fault = "" if answer.status_code in (200, 400, 413, 422) else answer.text[:200]
        if result == "sentence" and not answer.json()["error"]["what"]:
            fault = "an error that names nothing"
        yield Outcome("POST predict", result, fault)


def _tried(entrance: str, work: Callable[[], tuple[Result, str]]) -> Outcome:
    try:
        result, fault = work()
    except StcError as error:
        said = str(error)
        long = "" if len(said) <= LONGEST else f"{len(said)} characters"
        return Outcome(entrance, "sentence", long or ("" if said else "empty"))
    return Outcome(entrance, result, fault)


def _compared(frame: pd.DataFrame, file: Generated) -> tuple[Result, str]:
    if file.table is None:
        return "read", ""
    heads, rows = file.table
    trimmed = [head.strip().lstrip("\ufeff").strip() for head in heads]
    if list(frame.columns) not in (heads, trimmed):
        return "read", f"columns {list(frame.columns)} for {heads}"
    cells = frame.fillna("\0 missing").to_numpy().tolist()
    return "right", "" if cells == rows else f"cells {cells} for {rows}"


def _streamed(path: Path, file: Generated) -> tuple[Result, str]:
    chunks = list(iter_table(path, chunk_rows=5))
    return _compared(pd.concat(chunks), file) if chunks else ("read", "")


def _inspected(path: Path) -> tuple[Result, str]:
    inspect_corpus(DataConfig(path=str(path)))
    return "read", ""


def _labelled(path: Path, out: Path) -> tuple[Result, str]:
    labelled = predict_file(Same(), path, out, trained="text")
    if not labelled.rows or out.suffix == ".jsonl":
        return "read", ""
    if out.suffix == ".parquet":
        return "read", _wrong(len(pd.read_parquet(out)), labelled.rows)
    with out.open(encoding="utf-8", newline="") as written:
        rows = list(csv.reader(written))
    formula = next((c for row in rows for c in row if c.startswith(("=", "@"))), None)
    return "read", _wrong(len(rows) - 1, labelled.rows) or (
        f"the cell {formula!r}" if formula else ""
    )


def _wrong(found: int, expected: int) -> str:
    return "" if found == expected else f"{found} rows for {expected}"


def _uploaded(file: Generated) -> tuple[Result, str]:
    """What the app does: it keeps the upload, and reads its first rows."""
    kept = keep_upload(file.name, io.BytesIO(file.content))
    read_table(kept.path, nrows=2000)
    return "read", ""
