"""Finished shards in a folder, or in any storage that fsspec reaches, such as S3.

A shard is there whole or not at all, so its name alone says that it is done.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from stc_core.errors import StcError
from stc_core.files import replacing

WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The pauses between the attempts to reach a storage: it may fail for a minute."""
_SUFFIX = ".shard"
_CLIENTS = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "adlfs", "requests")
"""Clients of object stores whose errors of the network are no OSError."""
_FINAL = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors that another attempt does not mend."""
_T = TypeVar("_T")


class DamagedShard(StcError):
    """A finished shard is not as it was written; it has been removed."""


class ShardStore:
    """The results of shards by their keys, at the folder or the URL `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise StcError(
                f"storage {url!r}",
                expected="a folder, or a URL that fsspec can open here",
                got=" ".join(str(error).split()),
                remedy="Install the package that fsspec names.",
            ) from error

    def check(self) -> None:
        """StcError unless a file can be written here, read and removed."""
        name = self.put_probe()
        self._attempt(lambda: self._fs.rm_file(self._path(name)), "remove", waits=())

    def put_probe(self) -> str:
        """Write a small file and return its name, so that others can look for it."""
        name = f"probe-{uuid4().hex}"
        self._attempt(lambda: self._put(name, b"stc"), "write", waits=())
        return name

    def sees(self, name: str) -> bool:
        """Whether the file that `put_probe` wrote elsewhere is there."""
        self._fs.invalidate_cache()
        return bool(
            self._attempt(lambda: self._fs.exists(self._path(name)), "read", waits=())
        )

    def remove_probe(self, name: str) -> None:
        """Remove the file that `put_probe` wrote."""
        self._attempt(lambda: self._fs.rm_file(self._path(name)), "remove")

    def keys(self) -> set[str]:
        """The keys of all finished shards."""

        def listed() -> list[str]:
            self._fs.invalidate_cache()
            try:
                return self._fs.ls(self._root, detail=False)
            except FileNotFoundError:  # no shard was written yet
                return []

        names = [str(path).rpartition("/")[2] for path in self._attempt(listed, "list")]
        return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}

    def write(self, key: str, result: pa.Table) -> None:
        """Keep the result of a shard; if it is there already, nothing changes."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, result.schema) as file:
            file.write_table(result)
        data = sink.getvalue().to_pybytes()
        data += hashlib.sha256(data).digest()
        self._attempt(lambda: self._put(f"{key}{_SUFFIX}", data), "write")

    def read(self, key: str) -> pa.Table:
        """The result of a shard; StcError if it is not there or damaged."""
        path = self._path(f"{key}{_SUFFIX}")
        data: bytes = self._attempt(lambda: self._fs.cat_file(path), "read")
        body, digest = data[:-32], data[-32:]
        if hashlib.sha256(body).digest() != digest:
            self._attempt(lambda: self._fs.rm_file(path), "remove")
            raise DamagedShard(
                f"shard {path!r}",
                expected="the file that was written",
                got="other bytes",
                remedy="Give the command again: only this shard is computed anew.",
            )
        return pa.ipc.open_file(body).read_all()

    def remove(self, keys: Iterable[str]) -> None:
        """Remove the results of these shards, if they are there."""
        for key in keys:
            path = self._path(f"{key}{_SUFFIX}")

            def gone(path: str = path) -> None:
                if self._fs.exists(path):
                    self._fs.rm_file(path)

            self._attempt(gone, "remove")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _put(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        path = self._path(name)
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.pipe_file(path, data)  # an object appears when it is complete
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(data)

    def _attempt(
        self,
        act: Callable[[], _T],
        verb: str,
        *,
        waits: tuple[float, ...] | None = None,
    ) -> _T:
        """What `act` gives, tried again for about a minute while the storage fails."""
        pauses = iter(WAITS_S if waits is None else waits)
        while True:
            try:
                return act()
            except Exception as error:
                if not _is_of_storage(error):
                    raise
                pause = None if _is_final(error) else next(pauses, None)
                if pause is None:
                    raise self._failed(verb, error) from error
            time.sleep(pause)

    def _failed(self, verb: str, error: Exception) -> StcError:
        return StcError(
            f"storage {self.url!r}",
            expected=f"a place where this program may {verb} files",
            got=" ".join(str(error).split()) or type(error).__name__,
            remedy="Check the address, the rights and the network. Finished shards "
            "are kept: the same command goes on with the others.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url,)


def _is_of_storage(error: Exception) -> bool:
    """Whether the storage or the way to it has failed, and not this program."""
    client = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | StcError) or client in _CLIENTS


def _is_final(error: Exception) -> bool:
    """Whether the error will come again: missing rights, no such file."""
    cause = error.__cause__ if isinstance(error, StcError) else error
    return isinstance(cause, _FINAL)
