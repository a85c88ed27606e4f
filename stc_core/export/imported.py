"""A run made of a bundle; it loads neither torch nor the model."""

from pathlib import Path

from stc_core.classifiers.archive import read_manifest, unpack_bundle
from stc_core.errors import StcError
from stc_core.files import working_folder, write_error, write_json
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run


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
        with working_folder(folder / "import") as temporary:
            unpacked = temporary / "run"
            unpack_bundle(path, unpacked)
            _check_opens(unpacked, path)
            config = Run.open(unpacked).config
            if config.example:  # only what came with the program is the example
                own = config.changed(example=False)
                write_json(unpacked / RunFile.CONFIG, own)
            target = place_run(unpacked, folder, manifest.run)
    except OSError as error:
        raise write_error(folder, error) from error
    return Run.open(target)


def _check_opens(unpacked: Path, path: Path) -> None:
    """StcError about the bundle at `path` if this version cannot read its run."""
    try:
        _ = Run.open(unpacked)
    except StcError as error:
        raise StcError(
            error.where.replace(str(unpacked), str(path)),
            expected=error.expected,
            got=error.got,
            remedy="Open it with the version of STC Studio that wrote it.",
        ) from error


def place_run(unpacked: Path, folder: Path, name: str) -> Path:
    """Move the unpacked run into `folder`, and return its folder there.

    It is called `name`, with a number if that is taken: no run is replaced.
    """
    for number in range(1, 1000):
        target = folder / (name if number == 1 else f"{name}-{number}")
        try:
            target.mkdir()  # it is ours from here on
        except FileExistsError:
            continue
        return unpacked.replace(target)
    raise AssertionError(f"a thousand runs called {name}")
