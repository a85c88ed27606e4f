"""Features that were damaged on disk are set aside, said, and read again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations import integrity
from stc_core.activations.extract import extract
from stc_core.activations.integrity import (
    BlockChecks,
    DamagedFeatures,
    add_rows,
    array_sums,
    damage_of,
)
from stc_core.activations.store import FeatureStore, find_store
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("small_shards")
SOME = tuple(PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max"))
DEAD = 2**22 + 1  # above the most that a process has on Linux


def extracted(folder: Path) -> FeatureStore:
    return extract(tiny_backbone(), TEXTS, SOME, folder=folder, token_budget=40)


def values(store: FeatureStore) -> list[np.ndarray]:
    return [store.read(site) for site in SOME]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: truncate(path / "resid.1.mean.npy"),
    "empty": lambda path: (path / "resid.1.mean.npy").write_bytes(b""),
    "longer": lambda path: lengthen(path / "mlp.2.max.npy"),
    "missing": lambda path: (path / "order.npy").unlink(),
    "order": lambda path: flip(path / "order.npy", -7),
    "texts": lambda path: flip(path / "texts.npy", -7),
    "frames": lambda path: flip(path / "frames.npz", 100),
    "half frames": lambda path: truncate(path / "frames.npz"),
    "journal": lambda path: truncate(path / "journal.json"),
    "meta": lambda path: (path / "meta.json").write_text("{}"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_that_is_seen_at_opening_is_read_again(tmp_path: Path, name: str):
    expected = values(extracted(tmp_path))
    (path,) = tmp_path.glob("[!.]*-*/")
    DAMAGES[name](path)
    again = extracted(tmp_path)
    for one, other in zip(values(again), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(list(tmp_path.glob(".damaged-*"))) == 1
    if "frames" not in name:  # those say it when they are opened
        assert "were damaged and are read again" in again.notes[0]
    assert not extracted(tmp_path).notes  # said once


def test_a_flipped_bit_is_found_where_it_is_first_read(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(integrity, "SUMMED_BYTES", 128)
    expected = values(extracted(tmp_path))
    store = extracted(tmp_path)
    flip(store.path / "resid.1.mean.npy", -1)  # in the last row that was computed
    texts, order = (np.load(store.path / f"{n}.npy") for n in ("texts", "order"))
    size = integrity.rows_per_block(32)
    assert size == 4
    far = np.flatnonzero(np.isin(texts, order[:-size]))
    np.testing.assert_array_equal(store.read(SOME[0], far), expected[0][far])
    np.testing.assert_array_equal(store.read(SOME[1]), expected[1])
    with pytest.raises(DamagedFeatures, match=r"rows .* of resid\.1\.mean\.npy"):
        store.read(SOME[0])
    assert find_store(tmp_path, store.path.name.partition("-")[0], SOME) is None
    for one, other in zip(values(extracted(tmp_path)), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_readers_of_a_store_that_is_set_aside_learn_why(tmp_path: Path):
    store, elsewhere = extracted(tmp_path), extracted(tmp_path)
    flip(store.path / "resid.1.mean.npy", -1)
    with pytest.raises(DamagedFeatures):
        store.read(SOME[0])
    with pytest.raises(DamagedFeatures, match=r"rows .* of resid\.1\.mean\.npy"):
        store.read(SOME[1])  # as another thread does that reads another site
    with pytest.raises(DamagedFeatures, match="another process"):
        elsewhere.read(SOME[1])


def test_a_file_that_is_truncated_while_in_use_is_damaged(tmp_path: Path):
    store = extracted(tmp_path)
    truncate(store.path / "mlp.2.max.npy")
    with pytest.raises(DamagedFeatures, match="truncated"):
        store.read(SOME[1])


def test_a_store_of_an_older_version_is_read_unchecked(tmp_path: Path):
    store = extracted(tmp_path)
    path = store.path / "journal.json"
    journal = json.loads(path.read_text())
    del journal["sums"]
    path.write_text(json.dumps(journal))
    assert damage_of(store.path) is None
    np.testing.assert_array_equal(
        extracted(tmp_path).read(SOME[0]), store.read(SOME[0])
    )


@pytest.mark.parametrize("pieces", [(7,), (1, 6), (3, 3, 1), (5, 2)])
def test_sums_do_not_depend_on_the_pieces_written(monkeypatch, pieces):
    monkeypatch.setattr(integrity, "SUMMED_BYTES", 24)
    rows = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    sums: list[int] = []
    start = 0
    for n in pieces:
        data = rows[start : start + n].data.cast("B")
        add_rows(sums, start, data, row_bytes=12)
        start += n
    assert sums == array_sums(rows) and len(sums) == 4
    checks = BlockChecks(sums)
    assert checks.damaged_block(rows, np.array([6, 0])) == ""
    rows[2, 0] += 1
    assert checks.damaged_block(rows, np.array([6, 0, 5])) == ""
    assert checks.damaged_block(rows, np.array([3])) == "rows 2 to 3"


def test_what_a_dead_process_was_writing_goes(tmp_path: Path):
    store = extracted(tmp_path)
    expected = values(store)
    left = [
        tmp_path / f".{DEAD}-1.{store.path.name}",
        store.path / f".{DEAD}-1.journal.json",
    ]
    alive = tmp_path / f".1-1.{store.path.name}"
    for path in (left[0], alive):
        path.mkdir()
    left[1].write_text("{")
    truncate(store.path / "mlp.2.max.npy")
    again = extracted(tmp_path)
    assert not left[0].exists() and alive.exists()
    assert not list(tmp_path.rglob(f".{DEAD}*journal.json"))
    for one, other in zip(values(again), expected, strict=True):
        np.testing.assert_array_equal(one, other)
