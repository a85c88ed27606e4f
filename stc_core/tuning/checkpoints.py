"""The checkpoints of a training, and the one file that says which of them count.

A checkpoint is written aside, brought to the disk and renamed. Then one file is
replaced, which lists every file of the checkpoints that count beside the history of the
epochs. So a training that is killed at any time goes on from its last listed
checkpoint, and no epoch is in the history without its checkpoint.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stc_core.errors import StcError
from stc_core.files import (
    FileHash,
    hash_file,
    read_json,
    sync,
    sync_tree,
    write_error,
    write_json,
)
from stc_core.tuning.history import History

LISTED = "checkpoints.json"
_FORMAT = 1
_ASIDE = "unlisted"
_KEPT = 2
"""The newest checkpoints that are kept, with the best epoch of each."""


class Checkpoint(NamedTuple):
    """A folder with the state after `epoch`; `files` has the size and sha256 of
    each file."""

    folder: str
    epoch: float
    files: Mapping[str, FileHash]


class Resumption(NamedTuple):
    """Where a training goes on: a checkpoint, and the history up to it.

    `last` is None for a training that begins. `left` says which checkpoints are not
    used, and why. A training that `ended` has only the weights of its result.
    """

    last: Path | None
    history: History
    left: tuple[str, ...] = ()
    ended: bool = False


class CheckpointFolder:
    """The checkpoints in `folder` of one training, whose epochs are judged by `by`.

    With `by` None no epoch is better than another, and the last one counts. There is
    one owner: the training that runs. It writes each checkpoint to a folder in `aside`.
    """

    def __init__(self, folder: Path, by: str | None) -> None:
        self.folder, self.by = folder, by
        self.aside = folder / _ASIDE
        self._listed: tuple[Checkpoint, ...] = ()

    def resume(self) -> Resumption:
        """The newest whole checkpoint whose best epoch is whole, too.

        What is not listed is removed, and so is what a fault has damaged.
        """
        read = self._read()
        left = list(read.left)
        for n in range(len(read.checkpoints), 0, -1):
            listed = read.checkpoints[:n]
            last, past = listed[-1], read.history.until(listed[-1].epoch)
            best = last if read.ended else self._best(listed, last, read.history)
            reason = self._fault(last) or self._fault(best)
            if best is not None and reason is None:
                self._listed = self._wanted(listed, past)
                self._sweep()
                path = self.folder / last.folder
                return Resumption(path, past, tuple(left), read.ended)
            epoch = f"The checkpoint of epoch {last.epoch:g}"
            left.append(f"{epoch} is not used: {reason}.")
        self._listed = ()
        self._sweep()
        return Resumption(None, History(), tuple(left))

    def commit(self, history: History) -> None:
        """Let the checkpoint that was written aside count, and drop those of no use.

        Until the list is replaced the checkpoints before it count.
        """
        (written,) = self.aside.iterdir()
        try:
            files = {path.name: hash_file(path) for path in sorted(written.iterdir())}
            sync_tree(written)
            written.rename(self.folder / written.name)
            sync(self.folder)
        except OSError as error:
            raise write_error(self.folder / written.name, error) from error
        new = Checkpoint(written.name, history.epochs[-1].epoch, files)
        self._listed = self._wanted((*self._listed, new), history)
        self._write(history)
        self._sweep()

    def end(self, history: History, weights: str) -> None:
        """Keep only the file `weights` of the best epoch: the training has ended."""
        last = self._listed[-1]
        best = self._best(self._listed, last, history)
        assert best is not None, (last, history.epochs)
        only = {weights: best.files[weights]}
        self._listed = (best._replace(epoch=last.epoch, files=only),)
        self._write(history, ended=True)
        self._sweep()

    def result(self, weights: str) -> Path:
        """The file `weights` of a training that has ended."""
        (only,) = self._listed
        return self.folder / only.folder / weights

    def _read(self) -> "_List":
        """What the list says; an empty list if it cannot be used."""
        path = self.folder / LISTED
        if not path.is_file():
            unlisted = f"The checkpoints are not used: {LISTED} is missing."
            has_some = any(self.folder.glob("checkpoint-*"))
            return _List((), History(), False, (unlisted,) if has_some else ())
        try:
            record = read_json(path)
            if record["format"] != _FORMAT:
                raise ValueError(f"{LISTED} has format {record['format']}")
            return _List(
                tuple(_checkpoint(one) for one in record["checkpoints"]),
                History.of(record["history"]),
                bool(record["ended"]),
            )
        except (StcError, KeyError, TypeError, ValueError) as error:
            said = f"The checkpoints are not used: {error}"
            return _List((), History(), False, (said,))

    def _write(self, history: History, *, ended: bool = False) -> None:
        record = {
            "format": _FORMAT,
            "ended": ended,
            "checkpoints": [one._asdict() for one in self._listed],
            "history": history.record(),
        }
        write_json(self.folder / LISTED, record, durable=True)

    def _best(
        self, listed: Sequence[Checkpoint], last: Checkpoint, history: History
    ) -> Checkpoint | None:
        """The checkpoint of the best epoch up to `last`; None if it is not listed."""
        past = history.until(last.epoch)
        epoch = None if self.by is None else past.best(self.by)
        if epoch is None:
            return last
        return next((one for one in listed if one.epoch == epoch), None)

    def _wanted(
        self, listed: tuple[Checkpoint, ...], history: History
    ) -> tuple[Checkpoint, ...]:
        """The newest of `listed`, and the best epoch at the time of each of them."""
        newest = listed[-_KEPT:]
        best = [self._best(listed, one, history) for one in newest]
        return tuple(one for one in listed if one in newest or one in best)

    def _fault(self, checkpoint: Checkpoint | None) -> str | None:
        """What is wrong with a checkpoint; None if its files are whole."""
        if checkpoint is None:
            return "that of its best epoch is missing"
        for name, (size, digest) in checkpoint.files.items():
            path = self.folder / checkpoint.folder / name
            if not path.is_file():
                return f"{name} is missing"
            if (here := path.stat().st_size) != size:
                return f"{name} has {here:,} bytes instead of {size:,}"
            if hash_file(path) != (size, digest):
                return f"{name} is damaged"
        return None

    def _sweep(self) -> None:
        """Remove what is not listed."""
        listed = {one.folder: one.files for one in self._listed}
        for path in [*self.folder.glob("checkpoint-*"), self.aside]:
            if path.name not in listed:
                shutil.rmtree(path, ignore_errors=path == self.aside)
        for path in self.folder.glob("checkpoint-*/*"):
            if path.name not in listed[path.parent.name]:
                path.unlink()


class _List(NamedTuple):
    """The content of the list, and why it is empty if it should not be."""

    checkpoints: tuple[Checkpoint, ...]
    history: History
    ended: bool
    left: tuple[str, ...] = ()


def _checkpoint(record: dict[str, Any]) -> Checkpoint:
    listed = record["files"].items()
    files = {name: FileHash(int(n), str(sha)) for name, (n, sha) in listed}
    return Checkpoint(record["folder"], record["epoch"], files)
