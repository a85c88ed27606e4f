"""The unit of work: some texts, computed by themselves, kept under a key by content."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from stc_core.activations.store import text_key

_ABOUT = b"stc"
ReadShard = Callable[[Sequence[str]], pa.Table]
"""Computes the result of the texts of a shard, from them alone."""


class Shard(NamedTuple):
    """Consecutive texts of a corpus; `start` texts come before them."""

    number: int
    start: int
    texts: list[str]


@runtime_checkable
class ShardWork(Protocol):
    """What is computed of shards. It is pickled, and opened by every worker."""

    @property
    def identity(self) -> tuple[object, ...]:
        """All that changes the result of a shard, but for its texts."""
        ...

    @property
    def threads(self) -> int:
        """The threads that compute a shard."""
        ...

    def open(self) -> ReadShard:
        """Load what computes shards; StcError if it is not here or another one."""
        ...


class FinishedShard(NamedTuple):
    """A shard whose result is in the store; `broken` are the texts left out of it."""

    number: int
    key: str
    n_texts: int
    broken: Mapping[int, str]


DoShards = Callable[[Iterable[Shard]], Iterator[FinishedShard]]
"""Does shards on open workers; yields each that is finished, in any order."""


def with_about(result: pa.Table, about: Mapping[str, Any]) -> pa.Table:
    """The result with facts of its texts, of which `broken` must be one."""
    known = result.schema.metadata or {}
    text = json.dumps(about, sort_keys=True)
    return result.replace_schema_metadata({**known, _ABOUT: text.encode()})


def about_of(result: pa.Table) -> dict[str, Any]:
    """The facts that `with_about` was given."""
    return json.loads((result.schema.metadata or {})[_ABOUT])


def broken_of(result: pa.Table) -> dict[int, str]:
    """The reason for each text of the shard that could not be read, by its row."""
    return {int(row): reason for row, reason in about_of(result)["broken"].items()}


def shard_key(work: ShardWork, texts: Iterable[str]) -> str:
    """The key of the result: a hash of the texts and of what is computed of them."""
    return text_key(texts, *work.identity)


def numbered(parts: Iterable[list[str]]) -> Iterator[Shard]:
    """Yield a shard for each part of a corpus."""
    start = 0
    for number, texts in enumerate(parts):
        yield Shard(number, start, texts)
        start += len(texts)
