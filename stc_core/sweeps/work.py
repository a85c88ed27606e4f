"""The work of a sweep: its runs, one after another, as far as they are not done."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stc_core.backbone.loading.hub import resolve
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.files import make_folder
from stc_core.installation.diagnosis import LEAST_DISK_BYTES
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.ownership import owned
from stc_core.runs.processes import jobs, queue
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.status import Status
from stc_core.runs.writer import RunWriter
from stc_core.sweeps.folder import keep_sweep, write_tables
from stc_core.sweeps.plan import Sweep
from stc_core.sweeps.table import runs_frame, settings_frame

Begin = Callable[[int, str, RunConfig], None]
"""Called before each run that is not done: its place from 0, its folder, its settings.
"""


def ignore_begin(place: int, name: str, config: RunConfig) -> None:
    """Say nothing of a run that begins."""


def train_sweep(
    sweep: Sweep,
    *,
    on_begin: Begin = ignore_begin,
    on_status: Callable[[Status], None] | None = None,
    elsewhere: Any = None,
) -> Path:
    """Train the runs of `sweep` that are not done, here; return its folder.

    Each is an ordinary run in the runs folder. A run that was cut off goes on where it
    was, and one that failed is tried again. One that fails costs its own row: its
    status says why, and the next one begins. Both tables of the sweep are written
    again after each run. `elsewhere` runs the forwards of the trainings. StcError, and
    an end in the middle, for a disk that is full, for another process that works on the
    sweep, and for what `check_backbones` and `keep_sweep` refuse.
    """
    check_backbones(sweep)
    folder = keep_sweep(sweep)
    with owned(folder, what="sweep"), queue.advance_at_end():
        for place, (name, config) in enumerate(sweep.runs.items()):
            run_folder = runs_folder() / name
            if Run(run_folder).has(RunFile.CONFIG) and Run(run_folder).done:
                continue
            check_room(folder)
            on_begin(place, name, config)
            try:
                _train(run_folder, config, on_status, elsewhere)
            except Exception:  # its status has the reason, and the trace of a bug
                if not (run_folder / RunFile.STATUS).is_file():
                    raise
            _write_results(sweep, folder)
        _write_results(sweep, folder)
    return folder


def check_backbones(sweep: Sweep) -> None:
    """StcError for a backbone that is not here and cannot be downloaded.

    A wrong name is told before the first run, and not hours later.
    """
    for name in dict.fromkeys(one.train.backbone for one in sweep.runs.values()):
        resolve(name)


def check_room(folder: Path) -> None:
    """StcError if the disk has too little room for one more run."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK_BYTES:
        raise StcError(
            f"the disk of {str(folder)!r}",
            expected=f"{LEAST_DISK_BYTES / 1e6:,.0f} MB free for the next run",
            got=f"{free / 1e6:,.0f} MB",
            remedy="Free some disk space, then repeat the command: it goes on with "
            "the runs that are not done.",
        )


def _train(
    folder: Path,
    config: RunConfig,
    on_status: Callable[[Status], None] | None,
    elsewhere: Any,
) -> None:
    """Do the run in `folder`, or what is left of it."""
    from stc_core.recipes import registry

    make_folder(folder.parent)
    with owned(folder):
        if (folder / RunFile.CONFIG).is_file():
            config = jobs.claim(folder, by=Worker.current()).config
        else:
            jobs.check_vacant(folder)
        with RunWriter(
            folder, config, on_status=on_status, elsewhere=elsewhere
        ) as writer:
            registry.train(writer.config, writer)


def _write_results(sweep: Sweep, folder: Path) -> None:
    runs = runs_frame(sweep)
    write_tables(folder, runs, settings_frame(sweep, runs))
