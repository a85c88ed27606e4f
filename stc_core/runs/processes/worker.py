"""The process that does a run: its identity, whether it lives, and how to stop it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from stc_core.files import write_json
from stc_core.runs.layout import RunFile

CLOCK_SLACK_S = 5.0
REMOTE_SILENCE_S = 600.0


class Worker(NamedTuple):
    """A process, named so that a later process with the same pid is another one."""

    pid: int
    born: float  # seconds since the epoch, from the operating system
    host: str

    @classmethod
    def current(cls) -> "Worker":
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Worker":
        """The process `pid` of this machine; born 0 if it has ended already."""
        try:
            born = psutil.Process(pid).create_time()
        except psutil.Error:
            born = 0.0
        return cls(pid, born, socket.gethostname())

    @property
    def is_local(self) -> bool:
        return self.host == socket.gethostname()

    def process(self) -> psutil.Process | None:
        """The live process; None if it ended, is a zombie, or its pid was reused."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.born) > CLOCK_SLACK_S:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.Error:
            return None

    def is_alive(self, *, heartbeat: float) -> bool:
        """True while the process lives.

        A process on another machine counts as alive until its last `heartbeat` is
        REMOTE_SILENCE_S old.
        """
        if not self.is_local:
            return time.time() - heartbeat < REMOTE_SILENCE_S
        return self.process() is not None

    def stop(self, *, grace_s: float = 5.0) -> bool:
        """Stop the process and all that it started; True if it lived on this machine.

        They are asked to end first; after `grace_s` seconds the rest are killed.
        """
        process = self.process() if self.is_local else None
        if process is None:
            return False
        try:
            family = [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            return True
        for member in family:
            _signal(member, gently=True)
        _, alive = psutil.wait_procs(family, timeout=grace_s)
        for member in alive:
            _signal(member, gently=False)
        psutil.wait_procs(alive, timeout=grace_s)
        return True


def _signal(process: psutil.Process, *, gently: bool) -> None:
    try:
        if gently:
            process.terminate()
        else:
            process.kill()
    except psutil.NoSuchProcess:
        pass


def spawn(
    command: str, folder: Path, *, after: Callable[[], object] | None = None
) -> None:
    """Start `python -m stc_core COMMAND FOLDER`, detached, with its output in log.txt.

    worker.json names the new process. `after` is called when it has ended in any way,
    if the calling process still lives.
    """
    package_home = str(Path(__file__).parents[3])
    paths = [package_home, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / RunFile.LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stc_core", command, str(folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
    try:
        write_json(folder / RunFile.WORKER, Worker.of(process.pid)._asdict())
    except BaseException:
        process.terminate()  # without worker.json the run would be started twice
        process.wait()
        raise

    def wait() -> None:
        process.wait()
        if after is not None:
            after()

    # A child process that nobody waits for stays as a zombie.
    threading.Thread(target=wait, daemon=True).start()
