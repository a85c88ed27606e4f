"""Acts on disk are counted, and one of them is cut short: by a kill or a full disk.

The acts are those of the whole process below some folders, whoever does them: opening a
file to write, renaming, removing, making a folder (from Python's audit events), fsync,
and the two libraries that write tensors.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

KILLED = 137
"""The exit status of a process that was killed here."""
_WRITING = os.O_WRONLY | os.O_RDWR
_TIMED = ("status.json", "log.txt", ".lock")
"""Ends of names of files whose writing depends on the clock, or that hold no result."""
_EVENTS = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "os.mkdir": "mkdir",
}


class Act(NamedTuple):
    """What was done to which file; `name` is without the writer's process.

    That of a file in a folder of its own, such as a checkpoint, has this folder.
    """

    what: str
    name: str


class Injector:
    """Counts acts below `folders`; the act `at` is cut short by `fault`.

    `at` is its number, or what it is: then it is the first of its kind.

    `fault` is "kill", as by SIGKILL, or "full", an error of a full disk that lasts.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        at: int | Act | None = None,
        fault: str = "kill",
    ) -> None:
        self.folders = [str(folder.resolve()) for folder in folders]
        self.at, self.fault = at, fault
        self._is_due = False
        self.acts: list[Act] = []
        self._inside = False

    def install(self) -> None:
        """Begin to count; it lasts as long as the process."""
        import safetensors.torch
        import torch

        sys.addaudithook(self._audit)
        real_sync = os.fsync

        def fsync(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            self.act("fsync", Path(f"/proc/self/fd/{number}").readlink())
            real_sync(file)

        os.fsync = fsync
        torch.save = self._torn(torch.save)
        save_file = safetensors.torch.save_file
        torn = self._torn(save_file)
        for module in list(sys.modules.values()):
            if getattr(module, "save_file", None) is save_file:
                setattr(module, "save_file", torn)  # noqa: B010 - modules have no type

    def act(
        self, what: str, path: object, before: Callable[[], object] | None = None
    ) -> None:
        """Count an act, and cut it short if it is the one; `before` is done first."""
        if self._inside or not isinstance(path, str | bytes | os.PathLike):
            return
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - runs in an audit
        name = full.rpartition("/")[2]
        if not full.startswith(tuple(self.folders)) or name.endswith(_TIMED):
            return
        self.acts.append(Act(what, self._named(full)))
        is_it = self.at in (len(self.acts) - 1, self.acts[-1])
        if is_it or (self._is_due and self.fault == "full"):
            self._is_due = True
            if self.fault == "full" and what == "remove":
                return  # a full disk keeps nobody from removing
            if before is not None:
                self._inside = True
                before()
                self._inside = False
            if self.fault == "kill":
                os._exit(KILLED)
            raise OSError(errno.ENOSPC, "No space left on device", full)

    def _named(self, full: str) -> str:
        """The name of a file below the first folder that it is in."""
        folder = next(known for known in self.folders if full.startswith(known))
        parts = full[len(folder) :].strip("/").split("/")
        return "/".join(map(_plain, parts))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS:
            return
        if event == "open":
            path, mode, flags = arguments
            if not (flags or 0) & _WRITING and not set(mode or "") & set("wax+"):
                return
            if (flags or 0) & os.O_DIRECTORY:
                return
            self.act("open", path)
        elif event == "os.rename":
            self.act("rename", arguments[1])
        else:
            path, number = arguments[0], arguments[-1]
            if isinstance(number, int) and number >= 0 and event != "os.mkdir":
                path = Path(f"/proc/self/fd/{number}").readlink() / os.fsdecode(path)
            if event != "os.remove" or os.path.lexists(path):
                self.act(_EVENTS[event], path)

    def _torn(self, save: Callable[..., Any]) -> Callable[..., Any]:
        """`save`, which is cut short after half of its bytes."""

        def torn(value: Any, path: Any, *more: Any, **named: Any) -> Any:
            def half() -> None:
                save(value, path, *more, **named)
                os.truncate(path, Path(path).stat().st_size // 2)

            self.act("write", path, half)
            return save(value, path, *more, **named)

        return torn


def _plain(name: str) -> str:
    """The name of a file without the process and the thread of its writer."""
    first, _, rest = name.removeprefix(".").partition(".")
    owner = first.replace("-", "")
    return rest if name[:1] == "." and owner.isdecimal() and rest else name
