"""A safetensors file whose tensors are written in parts, never all in memory.

The format is that of https://github.com/huggingface/safetensors; the library itself
writes only whole tensors. It reads these files.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from stc_core.activations.store import check_space
from stc_core.files import replacing

_NAMES = {"int64": "I64", "int32": "I32", "float32": "F32", "float16": "F16"}
_ALIGNMENT = 8


class TensorShape(NamedTuple):
    """The dtype (int64, int32, float32, float16) and the shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class TensorWriter:
    """Writes rows of the tensors of an open file; every row must be written."""

    def __init__(
        self, file: BinaryIO, tensors: Mapping[str, TensorShape], starts: dict[str, int]
    ) -> None:
        self._file, self._tensors, self._starts = file, tensors, starts

    def write(self, name: str, row: int, block: np.ndarray) -> None:
        """Write the rows of `block` to the tensor `name`, from row `row` on."""
        dtype, shape = self._tensors[name]
        assert block.shape[1:] == shape[1:], (name, block.shape, shape)
        assert row + len(block) <= shape[0], (name, row, len(block), shape)
        row_bytes = prod(shape[1:]) * np.dtype(dtype).itemsize
        self._file.seek(self._starts[name] + row * row_bytes)
        little = np.dtype(dtype).newbyteorder("<")
        self._file.write(np.ascontiguousarray(block, little).data.cast("B"))


@contextmanager
def tensor_writer(
    path: Path, tensors: Mapping[str, TensorShape], *, about: Mapping[str, str]
) -> Iterator[TensorWriter]:
    """A writer of the file at `path`, which appears whole or not at all.

    `about` is the metadata of the file. Raises StcError before anything is written if
    the disk is too small.
    """
    check_space(path.absolute().parent, sum(one.n_bytes for one in tensors.values()))
    # The widest dtypes come first, so that every tensor is aligned.
    ordered = sorted(tensors, key=lambda name: -np.dtype(tensors[name].dtype).itemsize)
    header: dict[str, object] = {"__metadata__": dict(about)}
    starts, end = dict[str, int](), 0
    for name in ordered:
        one = tensors[name]
        starts[name], end = end, end + one.n_bytes
        header[name] = {
            "dtype": _NAMES[one.dtype],
            "shape": list(one.shape),
            "data_offsets": [starts[name], end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    first = 8 + len(text)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(first + end)
        yield TensorWriter(file, tensors, {k: first + v for k, v in starts.items()})
