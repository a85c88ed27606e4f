"""A .npy written and read in blocks is the one that numpy writes and reads."""

import numpy as np
import pytest

from stc_core.activations import row_file as module
from stc_core.activations.row_file import RowFile, block_rows, write_rows
from stc_core.errors import StcError

X = np.random.default_rng(0).standard_normal((11, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_MOST_ROWS", 4)


def test_the_file_is_the_one_that_numpy_writes(tmp_path):
    found = write_rows(tmp_path / "x.npy", (X[:5], X[5:6], X[6:]), n=11, width=3)
    np.save(tmp_path / "wanted.npy", X)
    assert found == RowFile(tmp_path / "x.npy", 11, 3)
    assert found.path.read_bytes() == (tmp_path / "wanted.npy").read_bytes()


def test_blocks_are_the_rows_in_order(tmp_path):
    np.save(tmp_path / "x.npy", X)
    places, blocks = zip(*RowFile(tmp_path / "x.npy", 11, 3).blocks(), strict=True)
    np.testing.assert_array_equal(np.concatenate(blocks), X)
    assert places == (slice(0, 4), slice(4, 8), slice(8, 11))


def test_some_rows_come_in_blocks_of_their_own(tmp_path):
    file = write_rows(tmp_path / "x.npy", iter([X]), n=11, width=3)
    wanted = np.array([0, 2, 3, 5, 8, 9, 10])
    rows, blocks = zip(*file.blocks_of(wanted), strict=True)
    assert [len(block) for block in blocks] == [4, 3]
    np.testing.assert_array_equal(np.concatenate(rows), wanted)
    np.testing.assert_array_equal(np.concatenate(blocks), X[wanted])
    assert list(file.blocks_of(wanted[:0])) == []


def test_no_neuron_at_all_is_a_file_too(tmp_path):
    found = write_rows(tmp_path / "x.npy", iter([X[:, :0]]), n=11, width=0)
    assert np.load(found.path).shape == (11, 0)
    assert sum(len(block) for _, block in found.blocks()) == 11


def test_an_error_leaves_no_file(tmp_path):
    def broken():
        yield X
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_rows(tmp_path / "x.npy", broken(), n=22, width=3)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_work(tmp_path):
    def work():
        raise AssertionError("it began")
        yield

    with pytest.raises(StcError, match="not enough disk space"):
        write_rows(tmp_path / "x.npy", work(), n=10**12, width=4096)


def test_blocks_have_few_bytes():
    assert block_rows(1) == 4
    assert block_rows(10**9) == 1
    assert block_rows(0) == 4
