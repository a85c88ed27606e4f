import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations import store
from stc_core.activations.cache import list_stores
from stc_core.activations.extract import (
    extract,
    extract_features,
    find_extracted,
)
from stc_core.activations.store import FeatureStore, share_done
from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.poolings import POOLING_RULES
from stc_core.types import Feature, PooledSite, Site

pytestmark = pytest.mark.usefixtures("small_shards")
BUDGET = 40
FEW = TEXTS[:24]
WANTED = tuple(
    PooledSite(site, pooling)
    for site in tiny_backbone().sites
    for pooling in POOLING_RULES
)
SOME = tuple(PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max"))


def alone(backbone: Backbone, site: PooledSite, texts=FEW) -> np.ndarray:
    """The oracle: every text forwarded by itself."""
    ids = backbone.tokenize(texts).ids
    return np.concatenate([backbone.pooled([row], [site])[site].numpy() for row in ids])


def followed(folder: Path, wanted=SOME, **more) -> tuple[FeatureStore, list]:
    """A store of all texts, and how far its extraction said it was."""
    seen: list[tuple[int, int]] = []
    made = extract(
        tiny_backbone(),
        TEXTS,
        wanted,
        folder=folder,
        progress=lambda *at: seen.append(at),
        **more,
    )
    return made, seen


def same(one: FeatureStore, other: FeatureStore) -> bool:
    sites = one.pooled_sites
    return all(np.array_equal(one.read(site), other.read(site)) for site in sites)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_features_are_those_of_every_text_alone_in_its_place(family, tmp_path: Path):
    backbone = tiny_backbone(family)
    wanted = [PooledSite(s, p) for s in backbone.sites for p in ("last", "mean")]
    stored = extract(
        backbone, FEW, wanted, store_dtype="float32", folder=tmp_path, token_budget=40
    )
    assert stored.n == len(FEW)
    assert set(stored.pooled_sites) == set(wanted)
    for site in wanted:
        expected = alone(backbone, site)
        np.testing.assert_allclose(stored.read(site), expected, rtol=1e-4, atol=2e-5)


def test_equal_texts_are_computed_once(tmp_path: Path, forwards):
    texts = [*TEXTS[:5], *TEXTS[:5], TEXTS[0], "", ""]
    stored = extract(tiny_backbone(), texts, SOME, folder=tmp_path)
    assert sum(forwards) == 6
    values = stored.read(SOME[0])
    np.testing.assert_array_equal(values[:5], values[5:10])
    np.testing.assert_array_equal(values[0], values[10])
    np.testing.assert_array_equal(values[11], values[12])


def test_a_second_run_extracts_nothing(tmp_path: Path, forwards):
    first = extract(tiny_backbone(), TEXTS, WANTED, folder=tmp_path)
    n = len(forwards)
    second, seen = followed(tmp_path, WANTED)
    fewer = extract(tiny_backbone(), TEXTS, SOME[::-1], folder=tmp_path)
    assert len(forwards) == n
    assert second.path == first.path == fewer.path
    assert seen[-1][0] == seen[-1][1]


def test_other_settings_are_other_stores(tmp_path: Path):
    backbone = tiny_backbone()
    short = Backbone.from_model(backbone.model, backbone.tokenizer, max_length=4)
    paths = [
        extract(backbone, TEXTS, SOME, folder=tmp_path).path,
        extract(backbone, TEXTS, SOME, store_dtype="float32", folder=tmp_path).path,
        extract(backbone, TEXTS[::-1], SOME, folder=tmp_path).path,
        extract(backbone, TEXTS, WANTED, folder=tmp_path).path,
        extract(short, TEXTS, SOME, folder=tmp_path).path,
        extract(tiny_backbone("gpt2"), TEXTS, SOME, folder=tmp_path).path,
    ]
    assert len(set(paths)) == 6
    assert list_stores(tmp_path)[0].backbone == backbone.name


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 7])
def test_an_interrupted_extraction_goes_on(after: int, tmp_path: Path, forwards):
    calls = []

    def interrupt(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == after:
            raise Interrupted

    def run(folder: Path, **more) -> FeatureStore:
        return extract(
            tiny_backbone(), TEXTS, WANTED, folder=folder, token_budget=BUDGET, **more
        )

    whole = run(tmp_path / "whole")
    forwards.clear()
    with pytest.raises(Interrupted):
        run(tmp_path / "cut", progress=interrupt)
    assert len(forwards) == after
    resumed, seen = followed(tmp_path / "cut", WANTED, token_budget=BUDGET)
    assert sum(forwards) == len(set(TEXTS))  # nothing twice
    assert seen[0][0] > calls[-1]
    assert same(whole, resumed)


KILLED = """
import sys, time
from pathlib import Path
from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations import store
from stc_core.backbone import batches
from stc_core.types import PooledSite
from stc_core.activations.extract import extract

batches.FIRST_SHARD, batches.LARGEST_SHARD, store.CHECKPOINT_S = 8, 32, -1
wanted = [PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max")]
extract(tiny_backbone(), TEXTS, wanted, folder=Path(sys.argv[1]), token_budget=40,
        progress=lambda done, total: time.sleep(0.3))
"""


def test_a_killed_process_is_taken_over(tmp_path: Path, forwards):
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    with subprocess.Popen(command, env=environment) as process:
        deadline = time.monotonic() + 120
        while not any(s.share_done for s in list_stores(tmp_path / "killed")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    (cut,) = list_stores(tmp_path / "killed")
    assert 0 < cut.share_done < 1
    taken = extract(
        tiny_backbone(), TEXTS, SOME, folder=tmp_path / "killed", token_budget=BUDGET
    )
    assert taken.path == cut.path
    assert sum(forwards) == round(len(set(TEXTS)) * (1 - cut.share_done))
    whole = extract(
        tiny_backbone(), TEXTS, SOME, folder=tmp_path / "whole", token_budget=BUDGET
    )
    assert same(whole, taken)


def test_two_that_want_the_same_extract_it_once(tmp_path: Path, forwards):
    inside, found = threading.Event(), []

    def slowly(done: int, total: int) -> None:
        inside.set()
        time.sleep(0.4)

    def first() -> None:
        found.append(
            extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path, progress=slowly)
        )

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    second, seen = followed(tmp_path)
    thread.join()
    assert sum(forwards) == len(set(TEXTS))
    assert second.path == found[0].path
    assert seen[-1][0] == seen[-1][1]


def test_progress_rises_to_its_total(tmp_path: Path):
    _, seen = followed(tmp_path, token_budget=BUDGET)
    done, totals = zip(*seen, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert totals[0] - 1 <= done[-1] <= totals[0]
    tokens = sum(map(len, tiny_backbone().tokenize(list(set(TEXTS))).ids))
    assert totals[0] == pytest.approx(tokens, rel=0.1)


def scaled(monkeypatch, site: PooledSite, factor: float, *, from_call: int = 0) -> None:
    pooled, calls = Backbone.pooled, []

    def large(self: Backbone, ids, wanted):
        blocks = pooled(self, ids, wanted)
        calls.append(len(ids))
        if len(calls) > from_call:
            blocks[site] = blocks[site] * factor
        return blocks

    monkeypatch.setattr(Backbone, "pooled", large)


def test_values_beyond_float16_are_kept_in_float32(tmp_path: Path, monkeypatch):
    plain = extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path, token_budget=BUDGET)
    scaled(monkeypatch, SOME[0], 1e8, from_call=2)
    folder = tmp_path / "large"
    large = extract(tiny_backbone(), TEXTS, SOME, folder=folder, token_budget=BUDGET)
    files = {site: np.load(large.path / f"{site}.npy") for site in SOME}
    assert [files[site].dtype for site in SOME] == [np.float32, np.float16]
    ratio = large.read(SOME[0]) / plain.read(SOME[0])
    rows = np.median(ratio, axis=1)
    assert np.isclose(rows, 1).any()
    assert (np.isclose(rows, 1) | np.isclose(rows, 1e8, rtol=1e-3)).all()
    np.testing.assert_array_equal(large.read(SOME[1]), plain.read(SOME[1]))


@pytest.mark.parametrize("factor", [np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_activations_that_are_no_numbers_are_refused(
    tmp_path: Path, monkeypatch, factor: float, dtype: str
):
    scaled(monkeypatch, SOME[0], factor)
    with pytest.raises(StcError, match=r"resid\.1\.mean.*inf or NaN.*float32"):
        extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path, store_dtype=dtype)


def test_out_of_memory_halves_the_batch_and_says_so(tmp_path: Path, monkeypatch):
    plain = extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path / "plain")
    pooled, sizes = Backbone.pooled, []

    def small_device(self: Backbone, ids, wanted):
        padded = len(ids) * max(map(len, ids))
        sizes.append(padded)
        if padded > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pooled(self, ids, wanted)

    monkeypatch.setattr(Backbone, "pooled", small_device)
    stored = extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path / "small")
    assert max(sizes) > 50
    assert stored.notes
    assert "Out of memory: batches halved" in stored.notes[0]
    for site in SOME:
        np.testing.assert_allclose(
            stored.read(site), plain.read(site), rtol=2e-3, atol=1e-3
        )


def test_one_text_too_large_for_the_device_is_said(tmp_path: Path, monkeypatch):
    def no_device(self: Backbone, ids, wanted):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Backbone, "pooled", no_device)
    with pytest.raises(StcError, match=r"out of memory.*Lower max_length"):
        extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path)


@pytest.mark.parametrize(
    ("texts", "wanted", "dtype", "message"),
    [
        ([], SOME, "float16", "0 texts"),
        (TEXTS, [], "float16", "got none"),
        (TEXTS, SOME, "bfloat16", "bfloat16"),
        (TEXTS, [PooledSite.parse("mlp.9.max")], "float16", r"got mlp\.9\.max"),
    ],
)
def test_what_cannot_be_extracted_is_said(texts, wanted, dtype, message, tmp_path):
    with pytest.raises(StcError, match=message):
        extract(tiny_backbone(), texts, wanted, store_dtype=dtype, folder=tmp_path)
    assert list_stores(tmp_path) == []


def test_single_features_are_the_columns_of_the_sites():
    sites = ("mlp.2.max", "resid.1.first", "mlp.2.max", "resid.0.mean", "mlp.2.mean")
    features = [
        Feature(*PooledSite.parse(name), index)
        for name, index in zip(sites, (5, 0, 2, 7, 5), strict=True)
    ]
    done = []
    values = extract_features(
        tiny_backbone(),
        FEW,
        features,
        token_budget=BUDGET,
        progress=lambda *at: done.append(at),
    )
    assert (values.shape, values.dtype) == ((len(FEW), 5), np.float32)
    for column, (site, pooling, index) in zip(values.T, features, strict=True):
        expected = alone(tiny_backbone(), PooledSite(site, pooling))[:, index]
        np.testing.assert_allclose(column, expected, rtol=1e-4, atol=2e-5)
    assert done[-1] == (len(FEW), len(FEW))


def test_features_ask_for_no_site_but_theirs(monkeypatch):
    asked, pooled = set(), Backbone.pooled

    def watching(self: Backbone, ids, wanted):
        asked.update(wanted)
        return pooled(self, ids, wanted)

    monkeypatch.setattr(Backbone, "pooled", watching)
    extract_features(tiny_backbone(), TEXTS, [Feature(*SOME[0], 3)])
    assert asked == {SOME[0]}


def test_no_text_gives_no_row():
    features = [Feature(*SOME[0], 3)]
    assert extract_features(tiny_backbone(), [], features).shape == (0, 1)
    assert extract_features(tiny_backbone(), ["good"], features).shape == (1, 1)


def test_a_feature_beyond_the_width_is_refused():
    with pytest.raises(StcError, match=r"resid\.1\[16\]\.mean.*0 to 15"):
        extract_features(tiny_backbone(), TEXTS, [Feature(*SOME[0], 16)])


def test_journal_and_share_agree(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(store, "CHECKPOINT_S", -1)
    shares: list[float] = []

    def watch(done: int, total: int) -> None:
        shares.extend(share_done(s.path) for s in list_stores(tmp_path))

    extract(
        tiny_backbone(),
        TEXTS,
        SOME,
        folder=tmp_path,
        token_budget=BUDGET,
        progress=watch,
    )
    assert shares == sorted(shares)
    assert shares[-1] > 0


def test_a_single_text_needs_no_thread(monkeypatch):
    monkeypatch.setattr("stc_core.activations.forward.ThreadPoolExecutor", None)
    feature = Feature(Site(1, "resid"), "mean", 0)
    assert extract_features(tiny_backbone("bert"), ["good"], [feature]).shape == (1, 1)


def test_memory_is_given_back_after_each_large_shard(monkeypatch):
    released: list[int] = []
    monkeypatch.setattr(
        "stc_core.activations.forward.release_memory", lambda: released.append(1)
    )
    monkeypatch.setattr("stc_core.activations.forward.CHUNK", 7)
    feature = Feature(Site(1, "resid"), "mean", 0)
    extract_features(tiny_backbone("bert"), TEXTS[:7], [feature])
    assert not released
    extract_features(tiny_backbone("bert"), TEXTS[:25], [feature])
    assert len(released) == 2  # of shards of 8, 16 and 1


def test_what_is_stored_is_found_and_nothing_is_computed(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    backbone, texts = tiny_backbone("bert"), ["a b", "c"]
    assert find_extracted(backbone, texts, SOME) is None
    path = extract(backbone, texts, SOME).path
    for wanted in (SOME, SOME[:1]):
        found = find_extracted(backbone, texts, wanted)
        assert found is not None and found.path == path
    assert find_extracted(backbone, texts, SOME, store_dtype="float32") is None
    assert find_extracted(backbone, texts[:1], SOME) is None
