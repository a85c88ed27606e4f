"""One served app for all workers of a session: it starts once, and stays warm."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

from helpers.browser.browser import ServedApp, server


@contextmanager
def shared_app(folder: Path, prepare: Callable[[Path], None]) -> Iterator[ServedApp]:
    """The app with a home in `folder` that `prepare` fills, if none serves it yet.

    The worker that started the server ends it, once no other worker uses it. One that
    comes later starts another, with a new home.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, told = FileLock(folder / "lock"), folder / "app"
    mine = folder / f"user {os.getpid()}"
    started = None
    with lock:
        if not told.exists():
            home = folder / f"home {os.getpid()}"
            home.mkdir()
            prepare(home)
            started = server(home)
            told.write_text(f"{started.__enter__()}\n{home}", "utf-8")
        mine.touch()
        address, home_of_app = told.read_text("utf-8").split("\n")
    try:
        yield ServedApp(address, Path(home_of_app))
    finally:
        mine.unlink()
        if started is not None:
            _withdraw(folder, lock, told)
            started.__exit__(None, None, None)


def _withdraw(folder: Path, lock: FileLock, told: Path) -> None:
    """Wait until nobody uses the app any more; then nobody finds it any more."""
    while True:
        with lock:
            users = [int(one.name.split()[1]) for one in folder.glob("user *")]
            if not any(map(psutil.pid_exists, users)):
                told.unlink()
                return
        time.sleep(0.1)
