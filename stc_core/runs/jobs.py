"""Runs done by a process of their own: where they go, their start and their end.

Whoever starts a run may go away; the run directory tells everyone how far it is.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from stc_core.backbone.loading.hub import local_folder
from stc_core.config import RunConfig
from stc_core.data.uploads import keep_stream
from stc_core.errors import StcError
from stc_core.files import write_error
from stc_core.paths import runs_folder
from stc_core.runs import queue
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, mark_cancelled, read_status
from stc_core.runs.writer import RunWriter, create_run

Train = Callable[[RunConfig, RunWriter], Run]
"""What makes of settings and the writer of a run folder a finished run."""


def start(config: RunConfig, folder: str | Path | None = None) -> Path:
    """The folder of a new run that a detached process will work on.

    Returns at once. The process begins when a place is free (see queue.py), outlives
    its parent and writes to log.txt.
    """
    folder = new_folder(config) if folder is None else vacant(folder)
    create_run(folder, absolute(config))
    queue.submit(folder)
    return folder


def claim(folder: str | Path) -> Run:
    """The run in `folder`, which was cut off, queued again: the caller goes on with it.

    Of several who ask at once one gets it; the others are told that it is queued.
    """
    with queue.queue_lock(runs_folder()):
        run = Run.open(folder)
        if (state := run.status["state"]) not in ("failed", "cancelled"):
            raise StcError(
                f"run {run.name!r}",
                expected="one that failed or was cancelled",
                got=f"a {state} one",
            )
        (run.folder / "worker.json").unlink(missing_ok=True)
        create_run(run.folder, run.config)
    return run


def resume(folder: str | Path) -> Path:
    """The same folder, in which a detached process goes on with what was cut off.

    Activations go on where they were, a tuning after its last whole epoch. Like a new
    run it may have to wait for a place.
    """
    run = claim(folder)
    queue.submit(run.folder)
    return run.folder


def work(folder: str | Path, train: Train) -> Run:
    """Do the queued run in `folder` by `train`; an error is in its status and raised.

    However it ends, the next run that waits is started.
    """
    run = Run.open(folder)
    with queue.handing_on():
        with queue.turn(run.folder):
            if (state := run.status["state"]) != "queued":
                raise StcError(
                    f"run {run.name!r}", expected="a queued run", got=f"a {state} one"
                )
            writer = RunWriter(folder, run.config)  # which says "running"
        with writer:
            return train(writer.config, writer)


def is_alive(folder: str | Path) -> bool:
    """True while the run is queued or a live process works on it."""
    return Run(folder).status["state"] in BUSY


def cancel(folder: str | Path) -> bool:
    """True if the run was stopped; False if it had ended by itself.

    One that waits never begins. Of one at work exactly the process that works on it is
    stopped, with those that it started.
    """
    run = Run.open(folder)
    if queue.leave(run.folder):
        return True
    if not is_alive(folder):
        return False
    worker = run.worker(read_status(run.folder / "status.json"))
    if worker is not None and not worker.is_local:
        raise StcError(
            f"run {run.name!r}",
            got=f"a worker on {worker.host}",
            remedy="Stop it there.",
        )
    if worker is not None:
        worker.stop()
    mark_cancelled(run.folder)
    queue.advance()
    return run.status["state"] == "cancelled"


def absolute(config: RunConfig) -> RunConfig:
    """`config` with paths that mean the same from any working directory, and later.

    The table of a pipe is kept with the uploads.
    """
    data, train = config.data, config.train
    data = data.changed(
        path=keep_stream(data.path),
        test_path=data.test_path and keep_stream(data.test_path),
    )
    if (found := local_folder(train.backbone)) is not None:
        train = train.changed(backbone=str(found.absolute()))
    return config.changed(data=data, train=train)


def new_folder(config: RunConfig) -> Path:
    """A folder of its own in runs_folder(), made now: date-time-name."""
    name = config.name or Path(config.data.path).name.partition(".")[0]
    slug = re.sub(r"[^\w]+", "-", name).strip("-").lower()[:40] or "run"
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{slug}"
    for number in range(1, 1000):
        folder = runs_folder() / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(folder, error) from error
        return folder
    raise AssertionError(f"a thousand runs within a second: {stem}")


def vacant(folder: str | Path) -> Path:
    """`folder`, where a new run may go: it is missing or empty."""
    folder = Path(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        return folder
    if folder.exists():
        is_run = (folder / "status.json").is_file()
        raise StcError(
            f"folder {str(folder)!r}",
            expected="a new or empty folder",
            got="one that holds a run" if is_run else "one that holds other files",
            remedy="Choose another folder.",
        )
    return folder


@contextmanager
def prepared_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """`folder`, ready for a new run; an unfinished run in it makes way.

    A finished one makes way only with `overwrite`: it is kept beside, as
    NAME.before, until the new run is done, and comes back if that never began.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not (folder / "status.json").is_file():
        yield vacant(folder)
        return
    before = _moved_aside(folder, overwrite=overwrite)
    try:
        yield folder
    finally:
        if before is not None and not folder.exists():
            before.rename(folder)
        elif before is not None and Run(folder).done:
            shutil.rmtree(before)


def _moved_aside(folder: Path, *, overwrite: bool) -> Path | None:
    """Where the finished run of `folder` is now; None: it had no result to keep."""
    run = Run.open(folder)
    if is_alive(folder):
        raise StcError(
            f"run {str(folder)!r}",
            got="a run that is being worked on",
            remedy="Wait for it, or choose another --out.",
        )
    before = folder.with_name(f"{folder.name}.before")
    if not run.done:
        shutil.rmtree(folder)
        # It was itself to replace a finished one, which waits beside it since.
        return before if overwrite and before.is_dir() and Run(before).done else None
    if not overwrite:
        raise StcError(
            f"run {str(folder)!r}",
            got="a finished run",
            remedy="Choose another --out, or pass --overwrite to replace it.",
        )
    if before.exists():
        raise StcError(
            f"folder {str(before)!r}",
            expected="no folder of this name, to keep the earlier run in meanwhile",
            remedy="Rename or remove it.",
        )
    return folder.rename(before)
