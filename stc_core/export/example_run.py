"""The example: a finished run of the sample that comes with the program.

It is one archive in `samples/`, which docs/example_run.py writes. Whoever opens it gets
a copy in the runs folder, which is a run like any other; the archive never changes.
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from stc_core.data.uploads import SAMPLE_PATH
from stc_core.errors import StcError
from stc_core.export.imported import place_run
from stc_core.files import decode_json, write_error, write_json
from stc_core.paths import runs_folder
from stc_core.runs.environment import without_folders, write_environment
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics, check_metrics
from stc_core.runs.processes.queue import queue_lock
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import new_status

EXAMPLE_PATH = SAMPLE_PATH.with_name("example_run.zip")
EXAMPLE_FOLDER = "example"
_STORED = np.float16
"""The data type of the activations in the archive, as the feature store keeps them."""


def find_example() -> Run | None:
    """The copy of the example in the runs folder; None if it was not opened yet.

    Another run that claims to be an example is none: it has another date.
    """
    claimed = [run for run in list_runs() if run.is_example and run.done]
    if not claimed:
        return None
    with _opened() as packed:
        created = decode_json(packed.read(RunFile.CONFIG))["created"]
    return next((run for run in claimed if run.created == created), None)


def open_example() -> Run:
    """The copy of the example in the runs folder, made now if there is none.

    No model is loaded. Raises StcError if the archive is missing or damaged, or if the
    folder cannot be written.
    """
    folder = runs_folder()
    with queue_lock(folder):  # of two clicks at once, the second finds the copy
        return find_example() or _copied_to(folder)


def example_metrics() -> RunMetrics:
    """The scores and costs of the example, read from the archive."""
    with _opened() as packed:
        return check_metrics(decode_json(packed.read(RunFile.METRICS)))


@contextmanager
def _opened(archive: Path | None = None) -> Iterator[ZipFile]:
    """The archive of the example, or another one; StcError if it is not whole."""
    archive = archive or EXAMPLE_PATH
    try:
        with ZipFile(archive) as packed:
            yield packed
    except FileNotFoundError as error:
        raise _not_whole(archive, "no such file") from error
    except (BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        # A download that was cut off, or the pointer that Git LFS leaves for a file.
        raise _not_whole(archive, f"a damaged file ({error})") from error


def _not_whole(archive: Path, got: str) -> StcError:
    return StcError(
        f"example {str(archive)!r}",
        expected="the archive that comes with the program",
        got=got,
        remedy="Get the files in samples/ again, or train on the sample.",
    )


def _copied_to(folder: Path) -> Run:
    """A new copy of the example in `folder`; it appears whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".example-") as temporary:
            unpacked = Path(temporary) / "run"
            unpack_example(EXAMPLE_PATH, unpacked)
            return Run.open(place_run(unpacked, folder, EXAMPLE_FOLDER))
    except OSError as error:
        raise write_error(folder, error) from error


def unpack_example(archive: Path, folder: Path) -> None:
    """Make the run of `archive` in `folder`, with the sample here as its data."""
    with _opened(archive) as packed:
        for name in (RunFile.CONFIG, RunFile.ACTIVATIONS, RunFile.METRICS):
            packed.getinfo(name)  # KeyError for another archive
        packed.extractall(folder)
    run, values = Run(folder), folder / RunFile.ACTIVATIONS
    np.save(values, np.load(values).astype(np.float32))
    data = run.config.data.changed(path=str(SAMPLE_PATH))
    write_json(folder / RunFile.CONFIG, run.config.changed(data=data))


def pack_example(run: Run, archive: Path) -> None:
    """Write the finished `run` of the sample to `archive`.

    The archive has no path and no process of this machine, and the same run gives the
    same bytes.
    """
    names = sorted(
        file.relative_to(run.folder).as_posix()
        for file in run.folder.rglob("*")
        if file.is_file()
    )
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=9) as packed:
        for name in names:
            entry = ZipInfo(name)  # its time is the first of 1980
            entry.compress_type = ZIP_DEFLATED
            packed.writestr(entry, _portable(run, name), compresslevel=9)


def _portable(run: Run, name: str) -> bytes:
    """The content of a file of `run` as the archive keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        if name == RunFile.CONFIG:
            config = run.config
            data = config.data.changed(path=SAMPLE_PATH.name)
            write_json(copy, config.changed(data=data, example=True))
        elif name == RunFile.ENVIRONMENT and run.environment is not None:
            write_environment(copy.parent, without_folders(run.environment))
            copy = copy.parent / RunFile.ENVIRONMENT
        elif name == RunFile.STATUS:
            before = run.status
            times = {"started": before["started"], "heartbeat": before["heartbeat"]}
            write_json(copy, {**new_status("done"), "phase": "report", **times})
        elif name == RunFile.ACTIVATIONS:
            with copy.open("wb") as file:
                np.save(file, run.activations.astype(_STORED))
        elif name == RunFile.LOG:
            told = (run.folder / name).read_text("utf-8")
            copy.write_text(told.replace(str(SAMPLE_PATH), SAMPLE_PATH.name), "utf-8")
        else:
            return (run.folder / name).read_bytes()
        return copy.read_bytes()
