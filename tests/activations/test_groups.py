"""Groups of texts are extracted apart, and read as one."""

import numpy as np
import pytest

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations import extract as extract_module
from stc_core.activations.cache import list_stores
from stc_core.activations.extract import extract
from stc_core.activations.groups import (
    GroupedStore,
    blocks_in_order,
    extract_groups,
    find_groups,
    shared_progress,
)
from stc_core.data.texts import Texts
from stc_core.paths import features_folder
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("small_shards", "own_home")
WANTED = tuple(PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max"))
N = len(TEXTS)
LEARNED = np.flatnonzero(np.arange(N) % 3)
OTHERS = np.flatnonzero(np.arange(N) % 3 == 0)
GROUPS = LEARNED, OTHERS


def extracted(texts=TEXTS, groups=GROUPS, **more) -> GroupedStore:
    return extract_groups(tiny_backbone(), Texts(texts), groups, wanted=WANTED, **more)


def test_every_text_is_in_its_place():
    store = extracted(store_dtype="float32")
    whole = extract(tiny_backbone(), TEXTS, WANTED, store_dtype="float32")
    assert store.n == N and store.widths == whole.widths
    some = np.array([5, 0, 63, 3, 4, 5])
    for site in WANTED:
        np.testing.assert_allclose(store.read(site), whole.read(site), atol=1e-5)
        np.testing.assert_array_equal(store.read(site, some), store.read(site)[some])
        assert store.read(site, []).shape == (0, store.widths[site])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_other_groups_do_not_change_a_bit(dtype: str, monkeypatch, tmp_path):
    before = extracted(store_dtype=dtype)
    values = {site: before.read(site, LEARNED) for site in WANTED}
    texts = list(TEXTS)
    for row in OTHERS:
        texts[row] = " ".join(["never"] * 40)
    monkeypatch.setenv("STC_HOME", str(tmp_path / "empty"))
    after = extracted(texts, store_dtype=dtype)
    for site in WANTED:
        np.testing.assert_array_equal(after.read(site, LEARNED), values[site])


def test_a_group_that_is_on_disk_is_not_computed_again(forwards):
    seen: list[tuple[int, int]] = []
    assert find_groups(tiny_backbone(), Texts(TEXTS), GROUPS, wanted=WANTED) is None
    extract(tiny_backbone(), [TEXTS[row] for row in LEARNED], WANTED)
    assert sum(forwards) == len(LEARNED)
    extracted(progress=lambda *at: seen.append(at))
    assert sum(forwards) == N
    again = extracted(progress=lambda *at: seen.append(at))
    assert sum(forwards) == N and seen[-1] == (2, 2)
    found = find_groups(tiny_backbone(), Texts(TEXTS), GROUPS, wanted=WANTED)
    assert found is not None
    for site in WANTED:
        np.testing.assert_array_equal(found.read(site), again.read(site))
    assert sorted(store.n for store in list_stores(features_folder())) == [22, 42]


def test_progress_rises_over_all_groups():
    seen: list[tuple[int, int]] = []
    extracted(progress=lambda *at: seen.append(at))
    done, totals = zip(*seen, strict=True)
    assert len(set(totals)) == 1 and done[-1] == totals[0]
    assert list(done) == sorted(done) and len(set(done)) > 4


def test_a_killed_extraction_goes_on_in_the_group_where_it_was(monkeypatch, forwards):
    save, n = extract_module._save, iter(range(99))

    def killed(writer, batch):
        if next(n) == 1:
            raise KeyboardInterrupt
        save(writer, batch)

    monkeypatch.setattr(extract_module, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        extracted(store_dtype="float32")
    monkeypatch.setattr(extract_module, "_save", save)
    (begun,) = list_stores(features_folder())
    assert begun.n == len(LEARNED) and 0 < begun.share_done < 1
    done = round(begun.share_done * begun.n)
    forwards.clear()
    store = extracted(store_dtype="float32")
    assert sum(forwards) == N - done
    whole = extract(tiny_backbone(), TEXTS, WANTED, store_dtype="float32")
    for site in WANTED:
        np.testing.assert_allclose(store.read(site), whole.read(site), atol=1e-5)


def test_equal_notes_are_told_once(monkeypatch):
    halve = "Out of memory: batches halved to 8 tokens."
    store = extracted()
    for part, notes in zip(store.parts, ((halve,), (halve, "other")), strict=True):
        part.notes = notes
    assert GroupedStore(store.parts, GROUPS, WANTED).notes == (halve, "other")


def test_a_store_that_follows_another_has_the_later_rows():
    first, second = extracted(), extracted(TEXTS[:5], [np.arange(5)])
    both = first.followed_by(second)
    assert both.n == N + 5
    rows = np.array([N + 4, 3, N])
    for site in WANTED:
        values = np.stack(
            [second.read(site)[4], first.read(site)[3], second.read(site)[0]]
        )
        np.testing.assert_array_equal(both.read(site, rows), values)


def test_shares_of_a_progress_count_up_to_its_end():
    seen: list[tuple[int, int]] = []
    shares = shared_progress(lambda *at: seen.append(at), [10, 30])
    shares[0](1, 2)
    shares[0](2, 2)
    shares[1](0, 7)
    shares[1](7, 7)
    assert seen == [(5, 40), (10, 40), (10, 40), (40, 40)]


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_blocks_of_groups_come_in_the_order_of_the_texts(size: int):
    X = np.random.default_rng(0).standard_normal((N, 3)).astype(np.float32)
    together: list[list[int]] = []

    def blocks_of(rows: np.ndarray):
        for start in range(0, len(rows), 5):
            together.append(rows[start : start + 5].tolist())
            yield X[rows[start : start + 5]]

    blocks = list(blocks_in_order(GROUPS, blocks_of, size=size))
    np.testing.assert_array_equal(np.concatenate(blocks), X)
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert all(len(set(np.isin(rows, OTHERS))) == 1 for rows in together)
