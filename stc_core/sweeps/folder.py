"""The folder of a sweep: sweep.json, and its results as two tables.

Its runs are ordinary runs in the runs folder, so every page and command knows them.
"""

from datetime import datetime
from pathlib import Path

import pandas as pd

from stc_core.config import KEPT, RunConfig
from stc_core.errors import StcError
from stc_core.files import make_folder, read_text, replacing, write_json
from stc_core.frames import write_csv
from stc_core.frozen import SettingError
from stc_core.paths import runs_folder, sweeps_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.sweeps.plan import SWEEP_FORMAT, Sweep, folder_name

SWEEP_FILE = "sweep.json"
RUNS_TABLE, SETTINGS_TABLE = "runs.csv", "settings.csv"


def sweep_folder(name: str) -> Path:
    """The folder of the sweep called `name`."""
    return sweeps_folder() / folder_name(name)


def keep_sweep(sweep: Sweep) -> Path:
    """The folder of `sweep`, whose sweep.json is there now.

    One that is there already must be of the same sweep: then its runs go on. StcError
    if it is another one, or if a run's folder is taken.
    """
    folder = sweep_folder(sweep.name)
    path = folder / SWEEP_FILE
    if path.is_file():
        _check_same(sweep, read_sweep(folder), folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise StcError(
            f"folder {str(folder)!r}",
            expected="the folder of a sweep, or none",
            got="a folder with other files",
            remedy="Choose another --name.",
        )
    for name, config in sweep.runs.items():
        _check_run(runs_folder() / name, config)
    if not path.is_file():
        make_folder(folder)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(path, sweep.changed(created=now), durable=True)
    return folder


def read_sweep(folder: Path) -> Sweep:
    """The sweep in `folder`; StcError if its file is damaged or of another version."""
    path = folder / SWEEP_FILE
    try:
        sweep = Sweep.model_validate_json(read_text(path), context={KEPT: True})
    except SettingError as error:
        raise StcError(
            f"{path}, {error.where}",
            expected=error.expected,
            got=error.got,
            remedy="Remove this folder; the runs of the sweep are not in it.",
        ) from error
    if sweep.format != SWEEP_FORMAT:
        raise StcError(
            str(path),
            expected=f"format {SWEEP_FORMAT}",
            got=f"{sweep.format}",
            remedy="Use the version of STC Studio that wrote it.",
        )
    return sweep


def list_sweeps() -> tuple[list[Sweep], list[StcError]]:
    """The sweeps of the home, the newest first, and what is wrong with damaged ones."""
    sweeps, damaged = list[Sweep](), list[StcError]()
    for path in sorted(sweeps_folder().glob(f"*/{SWEEP_FILE}")):
        try:
            sweeps.append(read_sweep(path.parent))
        except StcError as error:
            damaged.append(error)
    return sorted(sweeps, key=lambda one: one.created, reverse=True), damaged


def write_tables(folder: Path, runs: pd.DataFrame, settings: pd.DataFrame) -> None:
    """Write both tables of a sweep as CSV, each whole or not at all."""
    for name, frame in ((RUNS_TABLE, runs), (SETTINGS_TABLE, settings)):
        with (
            replacing(folder / name) as path,
            path.open("w", encoding="utf-8", newline="") as file,
        ):
            write_csv(frame, file)


def _check_same(sweep: Sweep, kept: Sweep, folder: Path) -> None:
    """StcError that says how the kept sweep differs, if it does."""
    if sweep.is_same(kept):
        return
    both = [n for n, one in sweep.runs.items() if _as_planned(kept.runs.get(n), one)]
    if len(both) == len(sweep.runs) == len(kept.runs):
        got = "one of the same runs, but the table has changed since"
    else:
        got = f"another one: {len(both)} of its {len(kept.runs):,} runs are the same"
    raise StcError(
        f"sweep {sweep.name!r} in {str(folder)!r}",
        expected="no sweep of this name, or the same one",
        got=got,
        remedy="Choose another --name, or repeat the arguments of that sweep.",
    )


def _check_run(folder: Path, planned: RunConfig) -> None:
    """StcError if another run than the planned one is in `folder`."""
    if (folder / RunFile.CONFIG).is_file() and not _as_planned(
        Run.open(folder).config, planned
    ):
        raise StcError(
            f"run {folder.name!r}",
            expected="the run of this sweep, or none",
            got="a run with other settings",
            remedy="Rename the sweep with --name, or delete that run.",
        )


def _as_planned(config: RunConfig | None, planned: RunConfig) -> bool:
    """Whether a run has the settings that are planned, whenever it was started."""
    return config is not None and config.changed(created="") == planned
