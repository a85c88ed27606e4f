"""Orders: a file to label, done by a process of its own.

Whoever gives one may go away. Beside `out`, in a folder of the same name without the
suffix, are the order itself, its status and its log.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stc_core.classifiers.predict_table import predict_file
from stc_core.data.table import iter_table
from stc_core.files import read_json, write_json
from stc_core.runs.run import Run
from stc_core.runs.status import (
    BUSY,
    WRITE_EVERY_S,
    Status,
    ended,
    mark_cancelled,
    new_status,
    observed,
    worker_of,
)
from stc_core.runs.worker import Worker, spawn

NOTES = "notes.json"


class LabelOrder(NamedTuple):
    """Texts in a column of the table `source`, to be labelled by a run into `out`."""

    run: str
    source: str
    text: str
    out: str
    encoding: str | None = None

    @property
    def folder(self) -> Path:
        return folder_of(Path(self.out))


def folder_of(out: Path) -> Path:
    """Where what is known of the order of `out` is kept."""
    return out.with_suffix("")


def start_labelling(order: LabelOrder) -> None:
    """Begin the work in a detached process; an order that is being done goes on."""
    held = status_of(Path(order.out))
    if held is None or held["state"] not in BUSY:
        spawn("label", _place(order))


def _place(order: LabelOrder) -> Path:
    """The folder of a new order that waits for its worker; earlier labels are gone."""
    folder = order.folder
    folder.mkdir(parents=True, exist_ok=True)
    beside = (folder / name for name in ("worker.json", "log.txt", NOTES))
    for stale in (Path(order.out), *beside):
        stale.unlink(missing_ok=True)
    write_json(folder / "order.json", order._asdict())
    write_json(folder / "status.json", new_status("queued"))
    return folder


def status_of(out: Path) -> Status | None:
    """How far the order of `out` is; None if there is none.

    It has failed, too, when its worker died without a word.
    """
    there = (folder_of(out) / "status.json").is_file()
    return observed(folder_of(out)) if there else None


def notes_of(out: Path) -> list[str]:
    """What a user should know of how the table of a finished order was read."""
    path = folder_of(out) / NOTES
    return read_json(path)["notes"] if path.is_file() else []


def cancel_labelling(out: Path) -> None:
    """Stop the work on the order of `out`, if it goes on."""
    status, folder = status_of(out), folder_of(out)
    if status is None or status["state"] not in BUSY:
        return
    if worker := worker_of(folder, status):
        worker.stop()
    mark_cancelled(folder)


def do_labelling(folder: str | Path) -> int:
    """The number of rows labelled; an error is in the status, and raised."""
    folder = Path(folder)
    order = LabelOrder(**read_json(folder / "order.json"))
    me, status = Worker.current(), new_status("running")
    status.update(pid=me.pid, born=me.born, host=me.host)

    def tell() -> None:
        status["heartbeat"] = time.time()
        write_json(folder / "status.json", status)

    try:
        n_rows = _label(order, status, tell)
        status.update(state="done", done=n_rows, total=n_rows, eta_s=None, message="")
    except BaseException as error:
        status = ended(status, error)
        raise
    finally:
        tell()
    return n_rows


def _label(order: LabelOrder, status: Status, tell: Callable[[], None]) -> int:
    """The number of rows labelled; `status` is kept up to date and told."""
    status["message"] = "Counting the rows"
    tell()
    rows = iter_table(order.source, encoding=order.encoding)
    total = sum(len(chunk) for chunk in rows)
    status.update(total=total, message="Loading the classifier")
    tell()
    classifier = Run.open(order.run).classifier()
    began = told = time.monotonic()

    def progress(done: int, _: int) -> None:
        nonlocal told
        now = time.monotonic()
        rate = done / max(now - began, 1e-3)
        status.update(done=done, rate=rate, message="Labelling")
        status["eta_s"] = max(0, total - done) / rate if rate else None
        if now - told >= WRITE_EVERY_S:
            told = now
            tell()

    notes: list[str] = []
    labelled = predict_file(
        classifier,
        order.source,
        order.out,
        trained=order.text,
        text=order.text,
        encoding=order.encoding,
        progress=progress,
        tell=notes.append,
    )
    write_json(order.folder / NOTES, {"notes": notes})
    return labelled.rows
