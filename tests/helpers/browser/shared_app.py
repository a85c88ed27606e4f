"""One served app for all workers of a session: it starts once, and stays warm."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

from helpers.browser.browser import ServedApp, server

PATIENCE_S = 900
"""The longest that the worker with the server waits for the others."""


@contextmanager
def shared_app(folder: Path, prepare: Callable[[Path], None]) -> Iterator[ServedApp]:
    """The app with a home in `folder` that `prepare` fills, if none serves it yet.

    The worker that started the server ends it, once no other worker uses it. One that
    comes later starts another, with a new home.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, told = FileLock(folder / "lock"), folder / "app"
    mine = folder / f"user {os.getpid()}"
    with ExitStack() as at_end:
        with lock:
            if not told.exists():
                home = folder / f"home {os.getpid()}"
                home.mkdir()
                prepare(home)
                address = at_end.enter_context(server(home))
                at_end.callback(_withdraw, folder, lock, told)
                told.write_text(f"{address}\n{home}", "utf-8")
            mine.touch()
            at_end.callback(mine.unlink)
            address, home_of_app = told.read_text("utf-8").split("\n")
        yield ServedApp(address, Path(home_of_app))


def _withdraw(folder: Path, lock: FileLock, told: Path) -> None:
    """Wait until nobody uses the app any more; then nobody finds it any more."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with lock:
            users = [int(one.name.split()[1]) for one in folder.glob("user *")]
            if not any(map(_works, users)) or time.monotonic() > end:
                told.unlink()
                return
        time.sleep(0.1)


def _works(pid: int) -> bool:
    """Whether the process is there; one that ended and was not reaped is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
