"""A run as one file that needs nothing else; `imported` makes a run of it again."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from stc_core.classifiers.archive import write_archive
from stc_core.errors import StcError
from stc_core.export.portable import write_portable
from stc_core.files import hash_file, replacing, write_error
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
