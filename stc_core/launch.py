"""Detached processes: they outlive whoever starts them, and say who they are."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from stc_core.files import write_json
from stc_core.worker import Worker


def spawn(
    command: str, folder: Path, *, after: Callable[[], object] | None = None
) -> None:
    """Start `python -m stc_core COMMAND FOLDER`, detached, its output in log.txt.

    Who it is stands in worker.json. `after` is called when it has ended, however that
    was, if we are still there.
    """
    package_home = str(Path(__file__).parents[1])
    paths = [package_home, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stc_core", command, str(folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
    try:
        write_json(folder / "worker.json", Worker.of(process.pid)._asdict())
    except BaseException:
        process.terminate()  # nobody would know of it, and it would be started again
        process.wait()
        raise

    def wait() -> None:
        process.wait()
        if after is not None:
            after()

    # Someone must wait for a child that ended, or it stays as a zombie.
    threading.Thread(target=wait, daemon=True).start()
