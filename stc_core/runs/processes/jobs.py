"""Runs that a separate process does: their folder, their start and their end.

The process that starts a run may end; the run folder shows its progress to everyone.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from stc_core.backbone.loading.hub import local_folder
from stc_core.config import RunConfig
from stc_core.data.uploads import keep_stream
from stc_core.errors import StcError
from stc_core.files import is_temporary, write_error, write_json
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.ownership import owned
from stc_core.runs.processes import queue
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, Phase, mark_cancelled, read_status
from stc_core.runs.writer import RunWriter, create_run

_OF_A_RUN = (RunFile.CONFIG, RunFile.STATUS)
Train = Callable[[RunConfig, RunWriter], Run]
"""A function that takes the settings and the writer of a run, and returns the run."""


def start(
    config: RunConfig,
    folder: str | Path | None = None,
    *,
    expected: Mapping[Phase, float] | None = None,
    engine: Mapping[str, object] | None = None,
) -> Path:
    """The folder of a new run, which a detached process will do.

    Returns at once. The process starts when a place is free (see queue.py), outlives
    its parent and writes to log.txt. `expected` are the seconds that its phases are
    foretold to take, from which its progress says the time left. `engine` are the
    settings of an EngineConfig, which the process then uses.
    """
    config = absolute_paths(config)
    folder = new_folder(config) if folder is None else Path(folder)
    with owned(folder):
        create_run(check_vacant(folder), config)
        if expected:
            write_json(folder / RunFile.EXPECTED, dict(expected))
        if engine:
            write_json(folder / RunFile.ENGINE, dict(engine))
    queue.submit(folder)
    return folder


def claim(folder: str | Path, by: Worker | None = None) -> Run:
    """The failed or cancelled run in `folder`, queued again; the caller continues it.

    `by` is the process that will do it, if it is known: if that dies before it begins,
    the run has failed again at once, and not only when its start takes too long.
    If several callers claim it at once, one gets it. The others get a StcError which
    says that the run is queued.
    """
    with queue.queue_lock(), owned(Path(folder)):
        run = Run.open(folder)
        if (state := run.status["state"]) not in ("failed", "cancelled"):
            raise StcError(
                f"run {run.name!r}",
                expected="a run that failed or was cancelled",
                got=f"a {state} run",
            )
        if by is None:
            (run.folder / RunFile.WORKER).unlink(missing_ok=True)
        else:
            write_json(run.folder / RunFile.WORKER, by._asdict())
        create_run(run.folder, run.config)
    return run


def resume(folder: str | Path) -> Path:
    """The folder of a failed or cancelled run, which a detached process continues.

    Activations continue where they stopped, a tuning after its last finished epoch.
    Like a new run it may have to wait for a place.
    """
    run = claim(folder)
    queue.submit(run.folder)
    return run.folder


def work(folder: str | Path, train: Train) -> Run:
    """Do the queued run in `folder` with `train`, and return it.

    An error is written to its status and raised. In any case the next waiting run is
    started at the end.
    """
    run = Run.open(folder)
    with queue.advance_at_end():
        with queue.start_lock(run.folder):
            if (state := run.status["state"]) != "queued":
                raise StcError(
                    f"run {run.name!r}", expected="a queued run", got=f"a {state} run"
                )
            writer = RunWriter(folder, run.config)  # sets the state "running"
        with writer:
            return train(writer.config, writer)


def is_alive(folder: str | Path) -> bool:
    """True while the run is queued or a live process works on it."""
    return Run(folder).status["state"] in BUSY


def cancel(folder: str | Path) -> bool:
    """Stop the run; True if it was stopped, False if it had already ended.

    A waiting run leaves the queue. For an active run, its worker process and the
    processes that this one started are stopped, and no others.
    """
    run = Run.open(folder)
    if queue.leave_queue(run.folder):
        return True
    if not is_alive(folder):
        return False
    worker = run.worker(read_status(run.folder / RunFile.STATUS))
    if worker is not None and not worker.is_local:
        raise StcError(
            f"run {run.name!r}",
            got=f"a worker on {worker.host}",
            remedy=f"Stop it on {worker.host}.",
        )
    if worker is not None:
        worker.stop()
    mark_cancelled(run.folder)
    queue.advance()
    return run.status["state"] == "cancelled"


def absolute_paths(config: RunConfig) -> RunConfig:
    """`config` with absolute paths, which are valid from any working directory.

    A table that comes from a pipe is saved among the uploads.
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
    """A new folder in runs_folder(), named date-time-name; it is created here."""
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


def check_vacant(folder: str | Path) -> Path:
    """`folder`, if it is missing or empty, so that a new run can use it.

    A status alone is what a start leaves that is killed at once. Raises StcError
    otherwise.
    """
    folder = Path(folder)
    if folder.is_dir() and all(
        path.name == RunFile.STATUS or is_temporary(path) for path in folder.iterdir()
    ):
        return folder
    if folder.exists():
        is_run = (folder / RunFile.STATUS).is_file()
        raise StcError(
            f"folder {str(folder)!r}",
            expected="a new or empty folder",
            got="a folder with a run" if is_run else "a folder with other files",
            remedy="Choose another folder.",
        )
    return folder


@contextmanager
def prepared_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """`folder`, ready for a new run and owned; an unfinished run in it is removed.

    A finished run is replaced only with `overwrite`. It is kept beside the folder as
    NAME.before until the new run is done, and put back if the new run never began.
    StcError if another process owns the folder.
    """
    folder = Path(folder)
    with owned(folder):
        if not all((folder / name).is_file() for name in _OF_A_RUN):
            yield check_vacant(folder)
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
    """Move the run in `folder` away; return the folder of its finished result.

    None if there was no result to keep: an unfinished run is removed.
    """
    run = Run.open(folder)
    if is_alive(folder):
        raise StcError(
            f"run {str(folder)!r}",
            got="an active run",
            remedy="Wait until it ends, or choose another --out.",
        )
    before = folder.with_name(f"{folder.name}.before")
    if not run.done:
        shutil.rmtree(folder)
        # The unfinished run may itself have moved a finished run to NAME.before.
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
            expected="no folder of this name: the earlier run is kept there meanwhile",
            remedy="Rename or remove this folder.",
        )
    return folder.rename(before)
