"""The one owner of a run folder: whoever writes, moves or removes it.

The lock lies beside the folder, so that it holds before the folder exists and while it
is moved. It is the system's, so that the lock of a dead process blocks nobody.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from stc_core.errors import StcError
from stc_core.files import write_error


def own(folder: Path, *, what: str = "run") -> FileLock:
    """The lock of the run in `folder`, which this thread then owns; see `disown`.

    It can own a folder several times. StcError that names the owner if there is
    another one; `what` is the word for what is in the folder.
    """
    path = lock_path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, is_singleton=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise _owned_error(folder, path, what) from None
    except OSError as error:
        raise write_error(path, error) from error
    with suppress(OSError):  # on a full disk the owner has no name, but the lock holds
        path.write_text(str(os.getpid()), encoding="utf-8")
    return lock


def disown(lock: FileLock) -> None:
    """Give the folder of `lock` back, as often as it is owned.

    Whoever waits for the removed file of a lock begins anew with the next file.
    """
    if lock.lock_counter == 1:
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@contextmanager
def owned(folder: Path, *, what: str = "run") -> Iterator[None]:
    """A context in which this thread owns the run folder; see `own`."""
    lock = own(folder, what=what)
    try:
        yield
    finally:
        disown(lock)


def lock_path(folder: Path) -> Path:
    """The file of the lock of a run folder."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.lock")


def _owned_error(folder: Path, path: Path, what: str) -> StcError:
    try:
        pid = path.read_text(encoding="utf-8")
    except OSError:
        pid = ""
    who = f"process {pid}" if pid.isdecimal() else "another process"
    return StcError(
        f"{what} {str(folder)!r}",
        expected="a folder that no other process works on",
        got=f"one that {who} works on",
        remedy="Wait until it ends, cancel it, or choose another folder.",
    )
