"""A run as one file that needs nothing else, and a run made from such a file."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from stc_core.classifiers.archive import (
    hash_file,
    read_manifest,
    unpack_bundle,
    write_archive,
)
from stc_core.errors import StcError
from stc_core.export.portable import write_portable
from stc_core.files import replacing, write_error
from stc_core.paths import runs_folder
from stc_core.runs.run import Run


class BundleFacts(NamedTuple):
    """What was written: the size of the file, and how much of the backbone is in it.

    `whole_because` says why no block was removed although some are not read; it is
    empty otherwise. `sha256` is that of the file.
    """

    n_bytes: int
    sha256: str
    blocks: int
    blocks_total: int
    whole_because: str


def write_bundle(run: Run, path: str | Path, *, texts: bool = False) -> BundleFacts:
    """Write the finished `run` to the file `path`; the same run gives the same bytes.

    With `texts` the file has the texts of the training and the answers for them, so
    that all pages of the app work after an import. Raises StcError if the run is not
    finished, or if the file cannot be written.
    """
    path = Path(path)
    if not run.done:
        raise StcError(
            f"run {run.name!r}",
            expected="a finished run",
            got=f"one that is {run.status['state']}",
            remedy="Wait until it is done, or resume it.",
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise StcError(
            f"file {str(path)!r}",
            expected="a file name in a folder that exists",
            got="a folder" if path.is_dir() else "no such folder",
        )
    try:
        with (
            tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".") as made,
            replacing(path) as archive,
        ):
            folder = Path(made) / "run"
            kept = write_portable(run, folder, texts=texts)
            write_archive(archive, folder, run.folder.resolve().name)
    except OSError as error:
        raise write_error(path, error) from error
    packed = hash_file(path)
    return BundleFacts(*packed, *kept)


def import_bundle(path: str | Path) -> Run:
    """The run in the bundle at `path`, unpacked into the runs folder.

    Its folder is called as it was, with a number if that is taken. Raises StcError if
    the file is not a bundle or was changed.
    """
    path = Path(path)
    if not path.is_file():
        raise StcError(
            f"bundle {str(path)!r}",
            expected="a file that `stc export` wrote",
            got="a folder" if path.is_dir() else "no such file",
        )
    manifest = read_manifest(path)
    folder = runs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".import-") as temporary:
            unpacked = Path(temporary) / "run"
            unpack_bundle(path, unpacked)
            _ = Run.open(unpacked)
            target = _take(unpacked, folder, manifest.run)
    except OSError as error:
        raise write_error(folder, error) from error
    return Run.open(target)


def _take(unpacked: Path, folder: Path, name: str) -> Path:
    """Move the unpacked run into `folder`; another run is never replaced."""
    for number in range(1, 1000):
        target = folder / (name if number == 1 else f"{name}-{number}")
        try:
            target.mkdir()  # it is ours from here on
        except FileExistsError:
            continue
        return unpacked.replace(target)
    raise AssertionError(f"a thousand runs called {name}")
