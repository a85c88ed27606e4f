"""Small corpora are their own sample; large ones are sampled until that is enough."""

import numpy as np
import pytest

from helpers.models.tiny import tiny_backbone
from stc_core.activations.groups import extract_groups
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.selection import sample as module
from stc_core.selection.folds import stratified_order
from stc_core.selection.sample import draw_sample, gain_of_doubling
from stc_core.types import PooledSite, Site

SITES = [PooledSite(Site(layer, "resid"), "mean") for layer in range(3)]
TEXTS = [f"{'good' if i % 3 else 'bad'} film {i} of {i % 7}" for i in range(90)]
CODES = np.array([0 if i % 3 else 1 for i in range(90)])
TASK = Task(CODES, ("good", "bad"), np.arange(0, 60), np.arange(60, 75))
TEST = np.arange(75, 90)


@pytest.fixture
def extracted(own_home):
    def run(texts, groups):
        return extract_groups(
            tiny_backbone("bert"), texts, groups, wanted=SITES, store_dtype="float32"
        )

    return run


@pytest.fixture
def small(monkeypatch):
    sizes = {"LARGE": 50, "FIRST": 10, "MOST_VALIDATION": 9, "MOST_TEST": 8}
    for name, value in (sizes | {"EACH": 2}).items():
        monkeypatch.setattr(module, name, value)


def test_a_small_corpus_is_its_own_sample(extracted):
    found = draw_sample(Texts(TEXTS), TASK, TEST, extract=extracted, seed=0)
    assert found.task is TASK and found.test is TEST and not found.notes
    assert found.is_whole and found.has_all_learned
    np.testing.assert_array_equal(found.rows, np.arange(90))
    np.testing.assert_array_equal(found.known(90), np.arange(90))


@pytest.mark.parametrize(("gains", "n"), [([0.0], 10), ([0.5, 0.0], 20), ([1] * 9, 60)])
def test_it_doubles_while_that_helps(extracted, small, monkeypatch, gains, n):
    left = iter(gains)
    monkeypatch.setattr(module, "gain_of_doubling", lambda *_: (next(left), 0.1))
    found = draw_sample(Texts(TEXTS), TASK, TEST, extract=extracted, seed=0)
    rows, task = found.rows, found.task
    assert not found.is_whole and not found.has_all_learned
    assert len(task.train) == n and len(task.validation) == 9 and len(found.test) == 8
    assert len(np.unique(rows)) == len(rows) == n + 17 == found.store.n
    np.testing.assert_array_equal(task.codes, CODES[rows])
    assert set(rows[task.train]) <= set(TASK.train)
    assert set(rows[task.validation]) <= set(TASK.validation)
    assert set(rows[found.test]) <= set(TEST)
    share = CODES[rows[task.train]].mean()
    assert share == pytest.approx(CODES[:60].mean(), abs=0.11)
    assert f"{n} of 60 training rows" in found.notes[-1]
    known = found.known(90)
    np.testing.assert_array_equal(rows[known[known >= 0]], np.flatnonzero(known >= 0))


def test_the_sample_s_features_are_those_of_its_texts(extracted, small, monkeypatch):
    left = iter([1.0, 0.0])
    monkeypatch.setattr(module, "gain_of_doubling", lambda *_: (next(left), 0.1))
    found = draw_sample(Texts(TEXTS), TASK, TEST, extract=extracted, seed=0)
    whole = extracted(Texts(TEXTS), TASK.groups)
    for site in SITES:
        wanted = whole.read(site, found.rows)
        np.testing.assert_allclose(found.store.read(site), wanted, atol=1e-5)
        some = np.array([36, 0, 29, 5])
        np.testing.assert_allclose(
            found.store.read(site, some), wanted[some], atol=1e-5
        )


def test_many_test_rows_alone_leave_all_learned_rows_in_the_sample(
    extracted, small, monkeypatch
):
    """They are sampled themselves, as their features would fill the disk."""
    monkeypatch.setattr(module, "LARGE", 80)
    texts = Texts(TEXTS)
    found = draw_sample(texts, TASK, TEST, extract=extracted, seed=0)
    task, rows = found.task, found.rows
    assert found.has_all_learned and not found.is_whole
    np.testing.assert_array_equal(rows[task.train], TASK.train)
    np.testing.assert_array_equal(rows[task.validation], TASK.validation)
    assert len(found.test) == 8 and set(rows[found.test]) <= set(TEST)
    np.testing.assert_array_equal(task.codes, CODES[rows])
    monkeypatch.setattr(module, "LARGE", 90)
    whole = draw_sample(texts, TASK, TEST, extract=extracted, seed=0)
    for site in SITES:
        one = found.store.read(site, task.learned)
        two = whole.store.read(site, TASK.learned)
        np.testing.assert_array_equal(one, two)


def test_it_never_grows_beyond_its_bytes(extracted, small, monkeypatch):
    monkeypatch.setattr(module, "gain_of_doubling", lambda *_: (1.0, 0.1))
    width = tiny_backbone("bert").widths[SITES[0].site]
    monkeypatch.setattr(module, "_MOST_BYTES", 4 * width * 39)
    found = draw_sample(Texts(TEXTS), TASK, TEST, extract=extracted, seed=0)
    assert len(found.task.train) == 20


def test_every_beginning_is_stratified():
    rng = np.random.default_rng(0)
    codes = rng.choice(4, 4000, p=[0.6, 0.3, 0.098, 0.002])
    rows = rng.permutation(4000)[:3000]
    order = stratified_order(codes, rows, seed=1)
    assert sorted(order) == sorted(rows)
    whole = np.bincount(codes[rows], minlength=4)
    for n in (100, 500, 1500):
        counts = np.bincount(codes[order[:n]], minlength=4)
        np.testing.assert_allclose(counts / n, whole / 3000, atol=0.08)
        assert (counts >= np.minimum(whole, module.EACH)).all()
    np.testing.assert_array_equal(order, stratified_order(codes, rows, seed=1))
    assert (order != stratified_order(codes, rows, seed=2)).any()


def noisy(codes: np.ndarray, noise: float):
    """A reader of one site whose first column tells the class, amid noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((len(codes), 40)).astype(np.float32) * noise
    X[:, 0] += codes
    return lambda site, rows: X[rows], {SITES[0]: 40}


def test_more_rows_help_where_there_is_much_to_learn():
    codes = np.random.default_rng(1).integers(0, 2, 6000)
    rows = np.arange(6000)
    few = Task(codes, ("a", "b"), rows[:60], rows[1000:])
    many = few._replace(train=rows[:1000])
    gain, error = gain_of_doubling(*noisy(codes, 1.0), few)
    assert gain > error > 0
    gain, error = gain_of_doubling(*noisy(codes, 0.1), many)
    assert abs(gain) <= error
