"""The library reads what is written in parts, and it is as the library writes it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from stc_core.activations.tensor_file import TensorShape, tensor_writer
from stc_core.errors import StcError

ARRAYS = {
    "a": np.arange(12, dtype=np.float16).reshape(4, 3),
    "b": np.arange(5, dtype=np.int64),
    "c": np.linspace(0, 1, 7, dtype=np.float32).reshape(7, 1),
    "d": np.arange(3, dtype=np.int32),
}
SHAPES = {name: TensorShape(one.dtype.name, one.shape) for name, one in ARRAYS.items()}


def write(path: Path, order: list[tuple[str, int]]) -> None:
    with tensor_writer(path, SHAPES, about={"made": "by hand"}) as writer:
        for name, row in order:
            writer.write(name, row, ARRAYS[name][row : row + 2])


@pytest.mark.parametrize("backwards", [False, True])
def test_parts_in_any_order_are_one_file(tmp_path: Path, backwards: bool):
    order = [(name, row) for name in ARRAYS for row in range(0, len(ARRAYS[name]), 2)]
    write(tmp_path / "x.safetensors", order[::-1] if backwards else order)
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    with safe_open(tmp_path / "x.safetensors", "np") as file:
        assert file.metadata() == {"made": "by hand"}
        assert file.get_slice("a")[1:3].tolist() == ARRAYS["a"][1:3].tolist()


def test_an_error_leaves_no_file(tmp_path: Path):
    with (
        pytest.raises(RuntimeError),
        tensor_writer(tmp_path / "x.safetensors", SHAPES, about={}),
    ):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_found_first(tmp_path: Path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with (
        pytest.raises(StcError, match="not enough disk space"),
        tensor_writer(tmp_path / "x.safetensors", SHAPES, about={}),
    ):
        pytest.fail("it began to write")
    assert list(tmp_path.iterdir()) == []
