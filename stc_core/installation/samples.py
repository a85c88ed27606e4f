"""The sample tables, which come with the package."""

import shutil
from pathlib import Path

from stc_core.errors import StcError
from stc_core.files import replacing, write_error
from stc_core.paths import samples_folder


def sample_names() -> list[str]:
    """The file names of the samples, sorted."""
    return sorted(path.name for path in samples_folder().glob("*.csv"))


def copy_sample(name: str, to: str | Path) -> Path:
    """Copy the sample `name` to the new file `to`; return that path.

    Raises StcError for a name that is no sample, and for a file that is there.
    """
    target = Path(to)
    if name not in (known := sample_names()):
        raise StcError(f"sample {name!r}", expected=f"one of {', '.join(known)}")
    if target.exists():
        raise StcError(
            f"file {str(target)!r}",
            expected="a new file",
            got="a folder" if target.is_dir() else "a file",
            remedy="Name another file with --out, or remove this one.",
        )
    try:
        with replacing(target) as path:
            shutil.copyfile(samples_folder() / name, path)
    except OSError as error:
        raise write_error(target, error) from error
    return target
