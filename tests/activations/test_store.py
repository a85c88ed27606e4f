import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from stc_core.activations import store as store_module
from stc_core.activations.cache import delete_store, list_stores, prune_stores
from stc_core.activations.store import (
    FeatureStore,
    Frame,
    StoreWriter,
    find_store,
    open_writer,
    share_done,
    store_bytes,
    store_lock,
    store_path,
    text_key,
)
from stc_core.errors import StcError
from stc_core.types import PooledSite

MEAN, MAX = PooledSite.parse("resid.1.mean"), PooledSite.parse("mlp.2.max")
WIDTHS = {MEAN: 4, MAX: 6}
UNIQUE = np.array([0, 1, 2, 0, 3, 4])  # the fourth text is the first again
ORDER = np.array([3, 0, 4, 2, 1])  # in which the five distinct ones are computed


def values(site: PooledSite, texts: np.ndarray) -> np.ndarray:
    columns = np.arange(WIDTHS[site]) / 8
    return (texts[:, None] + columns).astype(np.float32)


FRAMES = {
    MEAN: Frame(np.array([0, 0.5, -1, 8], np.float32), 2.0),
    MAX: Frame(np.zeros(6, np.float32), 1.0),
}


def begin(path: Path, dtype: str = "float16") -> StoreWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"backbone": "tiny"}
    writer = open_writer(path, WIDTHS, UNIQUE, dtype=dtype, about=about)
    if dtype == "float16" and not writer.frames:
        writer.frame(FRAMES)
    return writer


def framed(writer: StoreWriter, site: PooledSite, block: np.ndarray) -> np.ndarray:
    if not writer.frames:
        return block
    frame = writer.frames[site]
    return (block - frame.offset) / np.float32(frame.scale)


def write(writer: StoreWriter, start: int, stop: int) -> None:
    texts = ORDER[start:stop]
    blocks = {
        site: framed(writer, site, values(site, texts)).astype(writer.store_dtype)
        for site in WIDTHS
    }
    writer.write(start, texts, blocks)


def finished(path: Path, dtype: str = "float16") -> FeatureStore:
    writer = begin(path, dtype)
    write(writer, 0, 2)
    write(writer, 2, 5)
    writer.checkpoint()
    return FeatureStore(path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_reads_what_was_written_in_the_order_of_the_texts(tmp_path: Path, dtype: str):
    store = finished(tmp_path / "key-a", dtype)
    assert (store.n, store.widths, store.pooled_sites) == (6, WIDTHS, (MEAN, MAX))
    for site in WIDTHS:
        read = store.read(site)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, values(site, UNIQUE))
        rows = np.array([5, 3, 3, 0])
        np.testing.assert_array_equal(store.read(site, rows), read[rows])
    assert store.read(MEAN, []).shape == (0, 4)


def test_an_unknown_site_is_refused(tmp_path: Path):
    with pytest.raises(StcError, match=r"resid\.9\.max.*one of resid\.1\.mean"):
        finished(tmp_path / "key-a").read(PooledSite.parse("resid.9.max"))


def test_a_store_goes_on_from_the_last_checkpoint(tmp_path: Path):
    path = tmp_path / "key-a"
    writer = begin(path)
    write(writer, 0, 2)
    writer.notes.append("halved")
    writer.checkpoint()
    write(writer, 2, 4)  # lost: never journalled
    again = begin(path)
    assert (again.rows_done, share_done(path)) == (2, 0.4)
    assert again.done().tolist() == ORDER[:2].tolist()
    assert find_store(tmp_path, "key", [MEAN]) is None
    write(again, 2, 5)
    again.checkpoint()
    store = FeatureStore(path)
    np.testing.assert_array_equal(store.read(MAX), values(MAX, UNIQUE))
    assert store.notes == ("halved",)


def test_rows_are_journalled_while_they_are_written(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(store_module, "CHECKPOINT_S", -1)
    writer = begin(tmp_path / "key-a")
    write(writer, 0, 2)
    assert share_done(tmp_path / "key-a") == 0.4


def test_a_wide_block_widens_its_file_alone(tmp_path: Path):
    writer = begin(tmp_path / "key-a")
    write(writer, 0, 2)
    texts = ORDER[2:]
    wide = framed(writer, MEAN, values(MEAN, texts) * 1e6)
    writer.write(2, texts, {MEAN: wide, MAX: values(MAX, texts).astype(np.float16)})
    writer.checkpoint()
    assert (writer.dtype(MEAN), writer.dtype(MAX)) == (np.float32, np.float16)
    store = FeatureStore(tmp_path / "key-a")
    expected = values(MEAN, UNIQUE)
    late = np.isin(UNIQUE, ORDER[2:])
    expected[late] *= 1e6
    np.testing.assert_array_equal(store.read(MEAN), expected)
    np.testing.assert_array_equal(store.read(MAX), values(MAX, UNIQUE))


def test_a_store_with_more_sites_is_found(tmp_path: Path):
    finished(store_path(tmp_path, "key", WIDTHS))
    for wanted in ([MEAN], [MAX], [MAX, MEAN]):
        assert find_store(tmp_path, "key", wanted) is not None
    assert find_store(tmp_path, "key", [PooledSite.parse("resid.2.mean")]) is None
    assert find_store(tmp_path, "other", [MEAN]) is None


def test_frames_are_kept_and_a_store_without_them_is_begun_anew(tmp_path: Path):
    path = tmp_path / "key-a"
    write(begin(path), 0, 2)
    writer = begin(path)
    for site, frame in FRAMES.items():
        np.testing.assert_array_equal(writer.frames[site].offset, frame.offset)
        assert writer.frames[site].scale == frame.scale
    store = finished(path)
    (path / "frames.npz").unlink()
    assert find_store(tmp_path, "key", [MEAN]) is None
    assert begin(store.path).rows_done == 0


def test_a_store_that_lost_a_file_is_begun_anew(tmp_path: Path):
    store = finished(tmp_path / "key-a")
    (store.path / f"{MAX}.npy").unlink()
    with pytest.raises(StcError, match="deleted while in use"):
        store.read(MAX)
    assert find_store(tmp_path, "key", [MEAN]) is None
    assert begin(store.path).rows_done == 0


def test_the_key_holds_texts_and_settings():
    key = text_key(["a", "b"], "identity", 256)
    assert key == text_key(["a", "b"], "identity", 256)
    others = [
        text_key(["b", "a"], "identity", 256),
        text_key(["ab"], "identity", 256),
        text_key(["a", "b", ""], "identity", 256),
        text_key(["a", "b"], "identity", 128),
        text_key(["a", "\ud800"], "identity", 256),
    ]
    assert len({key, *others}) == 6
    assert store_path(Path(), key, [MEAN, MAX]) == store_path(Path(), key, [MAX, MEAN])


def test_no_room_is_said_with_numbers_and_leaves_nothing(tmp_path: Path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10))
    with pytest.raises(StcError, match=r"expected 0\.00 GB free.*got 0\.00 GB"):
        begin(tmp_path / "key-a")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_said_plainly(tmp_path: Path, monkeypatch):
    writer = begin(tmp_path / "key-a")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreWriter, "_put", full)
    with pytest.raises(StcError, match="No space left"):
        write(writer, 0, 2)
    assert writer.rows_done == 0


def test_bytes_are_those_of_the_files(tmp_path: Path):
    store = finished(tmp_path / "key-a")
    stored = [np.load(file, mmap_mode="r").nbytes for file in store.path.glob("*.npy")]
    assert store_bytes(5, 6, WIDTHS, "float16") == sum(stored)


def test_stores_are_listed_and_the_longest_unused_pruned(tmp_path: Path):
    for number, name in enumerate(("key1-a", "key2-a", "key3-a")):
        journal = finished(tmp_path / name).path / "journal.json"
        os.utime(journal, (1e9 + number, 1e9 + number))
    begin(tmp_path / "key4-a")
    listed = list_stores(tmp_path)
    assert [s.path.name for s in listed] == ["key1-a", "key2-a", "key3-a", "key4-a"]
    assert [s.share_done for s in listed] == [1, 1, 1, 0]
    assert (listed[0].backbone, listed[0].n) == ("tiny", 6)
    total = sum(s.bytes for s in listed)
    assert prune_stores(tmp_path, budget=total) == 0
    begun = {"keep": tmp_path / "key1-a", "needed": listed[0].bytes + 1}
    freed = prune_stores(tmp_path, budget=total, **begun)
    assert freed == listed[1].bytes
    prune_stores(tmp_path, budget=0)
    assert [s.path.name for s in list_stores(tmp_path)] == ["key4-a"]  # used just now


def test_the_budget_comes_from_the_environment(tmp_path: Path, monkeypatch):
    journal = finished(tmp_path / "key1-a").path / "journal.json"
    os.utime(journal, (1e9, 1e9))
    assert prune_stores(tmp_path) == 0
    monkeypatch.setenv("STC_FEATURES_GB", "0")
    assert prune_stores(tmp_path) > 0


def test_what_a_killed_deletion_left_is_swept_up(tmp_path: Path):
    grave = tmp_path / ".key-a.1"
    grave.mkdir()
    prune_stores(tmp_path)
    assert grave.exists()  # perhaps somebody is at it
    os.utime(grave, (1e9, 1e9))
    prune_stores(tmp_path)
    assert not grave.exists()


def test_a_store_that_is_being_written_is_not_deleted(tmp_path: Path):
    store = finished(tmp_path / "key-a")
    with store_lock(tmp_path, "key"):
        assert not delete_store(store.path)
        assert store.path.exists()
    assert delete_store(store.path)
    assert not store.path.exists()
    assert list_stores(tmp_path) == []


@pytest.mark.parametrize("name", ["journal.json", "meta.json"])
def test_a_store_whose_description_is_damaged_is_begun_anew(tmp_path: Path, name: str):
    store = finished(tmp_path / "key-a")
    (store.path / name).write_text("")
    assert find_store(tmp_path, "key", [MEAN]) is None
    (listed,) = list_stores(tmp_path)
    assert (listed.share_done, listed.backbone) == (0, "damaged")
    assert listed.bytes > 0
    assert begin(store.path).rows_done == 0
    assert list_stores(tmp_path)[0].backbone == "tiny"


def test_a_store_that_another_process_has_just_deleted_is_gone(tmp_path: Path):
    path = finished(tmp_path / "key-a").path
    shutil.rmtree(path)
    assert delete_store(path)


def test_a_store_that_goes_while_it_is_opened_is_not_found(tmp_path, monkeypatch):
    store = finished(tmp_path / "key-a")
    monkeypatch.setattr(store_module, "damage_of", lambda path: None)
    (store.path / "texts.npy").unlink()
    assert find_store(tmp_path, "key", [MEAN]) is None


def test_a_store_that_is_gone_on_with_is_not_counted_twice(tmp_path: Path):
    for name in ("key1-a", "key2-a"):
        journal = finished(tmp_path / name).path / "journal.json"
        os.utime(journal, (1e9, 1e9))
    one, two = list_stores(tmp_path)
    budget = one.bytes + two.bytes
    keep = {"keep": two.path, "budget": budget}
    assert prune_stores(tmp_path, needed=two.bytes, **keep) == 0
    assert prune_stores(tmp_path, needed=two.bytes + 1, **keep) == one.bytes


@pytest.mark.parametrize("asked", ["50 GB", "inf", ""])
def test_a_budget_that_is_no_number_is_refused(tmp_path: Path, monkeypatch, asked):
    monkeypatch.setenv("STC_FEATURES_GB", asked)
    with pytest.raises(StcError, match=r"STC_FEATURES_GB.*number of gigabytes"):
        prune_stores(tmp_path)
