"""Orders to label a file, each done by a separate process.

The process that gives the order may end. A folder beside the output file `out`, with
its name without the suffix, holds the order, its status and its log.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stc_core.classifiers.predict_table import predict_file
from stc_core.data.table import iter_table
from stc_core.files import read_json, write_json
from stc_core.runs.layout import RunFile
from stc_core.runs.processes.worker import Worker, spawn
from stc_core.runs.run import Run
from stc_core.runs.status import (
    BUSY,
    WRITE_EVERY_S,
    Status,
    ended_status,
    mark_cancelled,
    new_status,
    observe_status,
    worker_of,
)

NOTES = "notes.json"


class LabelOrder(NamedTuple):
    """An order: the run labels column `text` of the table `source` into file `out`.

    `keep_formulas` is that of `predict_file`.
    """

    run: str
    source: str
    text: str
    out: str
    encoding: str | None = None
    keep_formulas: bool = False

    @property
    def folder(self) -> Path:
        return folder_of(Path(self.out))


def folder_of(out: Path) -> Path:
    """The folder that holds the order for the output file `out`."""
    return out.with_suffix("")


def start_labelling(order: LabelOrder) -> None:
    """Start a detached process that does the order, unless one does it already."""
    status = status_of(Path(order.out))
    if status is None or status["state"] not in BUSY:
        spawn("label", _write_order(order))


def _write_order(order: LabelOrder) -> Path:
    """Write the order to its folder and remove earlier labels; return the folder."""
    folder = order.folder
    folder.mkdir(parents=True, exist_ok=True)
    beside = (folder / name for name in (RunFile.WORKER, RunFile.LOG, NOTES))
    for stale in (Path(order.out), *beside):
        stale.unlink(missing_ok=True)
    write_json(folder / "order.json", order._asdict())
    write_json(folder / RunFile.STATUS, new_status("queued"))
    return folder


def status_of(out: Path) -> Status | None:
    """The status of the order for `out`; None if there is no order.

    The state is also "failed" if the worker died without writing it.
    """
    exists = (folder_of(out) / RunFile.STATUS).is_file()
    return observe_status(folder_of(out)) if exists else None


def notes_of(out: Path) -> list[str]:
    """Notes for the user on how the table of a finished order was read."""
    path = folder_of(out) / NOTES
    return read_json(path)["notes"] if path.is_file() else []


def cancel_labelling(out: Path) -> None:
    """Stop the process that does the order for `out`, if there is one."""
    status, folder = status_of(out), folder_of(out)
    if status is None or status["state"] not in BUSY:
        return
    if worker := worker_of(folder, status):
        worker.stop()
    mark_cancelled(folder)


def do_labelling(folder: str | Path) -> int:
    """Do the order in `folder`; return the number of rows labelled.

    An error is written to the status and raised.
    """
    folder = Path(folder)
    order = LabelOrder(**read_json(folder / "order.json"))
    me, status = Worker.current(), new_status("running")
    status.update(pid=me.pid, born=me.born, host=me.host)

    def write_status() -> None:
        status["heartbeat"] = time.time()
        write_json(folder / RunFile.STATUS, status)

    try:
        n_rows = _label(order, status, write_status)
        status.update(state="done", done=n_rows, total=n_rows, eta_s=None, message="")
    except BaseException as error:
        status = ended_status(status, error)
        raise
    finally:
        write_status()
    return n_rows


def _label(order: LabelOrder, status: Status, write_status: Callable[[], None]) -> int:
    """Label the table of `order`; return the number of rows labelled.

    `status` is kept up to date and written now and then.
    """
    status["message"] = "Counting the rows"
    write_status()
    rows = iter_table(order.source, encoding=order.encoding)
    total = sum(len(chunk) for chunk in rows)
    status.update(total=total, message="Loading the classifier")
    write_status()
    classifier = Run.open(order.run).classifier()
    began = written_at = time.monotonic()

    def progress(done: int, _: int) -> None:
        nonlocal written_at
        now = time.monotonic()
        rate = done / max(now - began, 1e-3)
        status.update(done=done, rate=rate, message="Labelling")
        status["eta_s"] = max(0, total - done) / rate if rate else None
        if now - written_at >= WRITE_EVERY_S:
            written_at = now
            write_status()

    notes: list[str] = []
    labelled = predict_file(
        classifier,
        order.source,
        order.out,
        trained=order.text,
        text=order.text,
        encoding=order.encoding,
        keep_formulas=order.keep_formulas,
        progress=progress,
        tell=notes.append,
    )
    write_json(order.folder / NOTES, {"notes": notes})
    return labelled.rows
