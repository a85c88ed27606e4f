"""A work on shards that is plain to see, and that kills its worker when it is told."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from stc_core.engine.shards import ReadShard, Shard, numbered, with_about

TEXTS = [f"text {'x' * (n % 5)}" for n in range(12)]


class LengthWork(NamedTuple):
    """The lengths of texts, times `factor`.

    `folder` gets a line for each shard that is begun. As long as it has a file
    `deaths`, whose length is the number of deaths to come, the process of the worker is
    killed in the middle of a shard that has the text `deadly`.
    """

    folder: str
    factor: int = 1
    deadly: str = ""
    threads: int = 1

    @property
    def identity(self) -> tuple[object, ...]:
        return ("lengths", self.factor)

    def open(self) -> ReadShard:
        return self._lengths

    def _lengths(self, texts: Sequence[str]) -> pa.Table:
        with (Path(self.folder) / "begun").open("a") as log:
            log.write(f"{os.getpid()} {texts[0]}\n")
        if self.deadly in texts:
            self._die()
        lengths = [self.factor * len(text) for text in texts]
        return with_about(pa.table({"length": lengths}), {"broken": {}})

    def _die(self) -> None:
        path = Path(self.folder) / "deaths"
        left = path.read_text() if path.exists() else ""
        if left:
            path.write_text(left[1:])
            os.kill(os.getpid(), signal.SIGKILL)

    def begun(self) -> list[str]:
        """The first text of each shard that was begun, in that order."""
        path = Path(self.folder) / "begun"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines]


def shards_of_texts(size: int = 2) -> list[Shard]:
    """The texts in shards of `size`, each with its own first text."""
    named = [f"{n} {text}" for n, text in enumerate(TEXTS)]
    return list(numbered(named[at : at + size] for at in range(0, len(named), size)))


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each finished shard of a store in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.shard"))}
