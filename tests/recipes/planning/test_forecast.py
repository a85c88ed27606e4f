"""What is foretold, against what is then counted, allocated and timed."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from helpers.models.tiny import tiny_backbone
from stc_core.activations.cost import Speed, count_tokens
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.data.task import Task
from stc_core.heads import parallel
from stc_core.heads.kernel_ridge import Block, joint_ridge
from stc_core.probes.fit import fit_probes
from stc_core.recipes.planning import forecast as forecast_module
from stc_core.recipes.planning.forecast import (
    GRAM_BYTES,
    Forecast,
    Survey,
    _kept,
    baseline_bytes,
    forecast,
    probe_bytes,
    sampled,
    sampled_tokens,
    sampling_bytes,
    select_bytes,
    stability_bytes,
    survey,
)
from stc_core.recipes.planning.machine_speed import Arithmetic
from stc_core.recipes.planning.phase_seconds import Shape
from stc_core.selection.repeats import draws
from stc_core.selection.repeats.stability import measure_stability
from stc_core.selection.salience import Salience
from stc_core.selection.sample import gain_of_doubling
from stc_core.selection.stc import fit_stc
from stc_core.types import Feature, PooledSite, Site

RNG = np.random.default_rng(0)
TEXTS = ["good " * int(n) for n in RNG.integers(1, 60, 3000)]
PACE = Arithmetic(product=1e-9, solve=(1e-9, 1e-9), cell=1e-8)
WORK = Shape(
    n=1000, n_train=700, n_learned=800, n_class=5, characters=50_000, widths=(64,) * 9
)


def test_a_sample_has_the_tokens_of_all():
    backbone = tiny_backbone()
    tokens = sampled_tokens(backbone, TEXTS, most=200)
    exact = count_tokens(backbone, TEXTS)
    assert len(tokens.ids) == len(TEXTS)
    assert len({id(row) for row in tokens.ids}) == 200  # each is held once
    assert sum(map(len, tokens.ids)) == pytest.approx(exact.n, rel=0.01)
    assert 0 < exact.cut == pytest.approx(tokens.n_cut, rel=0.1)


def test_few_texts_are_all_read():
    backbone = tiny_backbone()
    tokens, whole = sampled_tokens(backbone, TEXTS[:50]), backbone.tokenize(TEXTS[:50])
    assert tokens.n_cut == whole.n_cut
    for row, expected in zip(tokens.ids, whole.ids, strict=True):
        np.testing.assert_array_equal(row, expected)


def test_tokens_are_counted_in_chunks(monkeypatch):
    """As many as in one go, and never all texts at once."""
    backbone, seen = tiny_backbone(), []
    tokenize = type(backbone).tokenize

    def watched(self, texts):
        seen.append(len(texts))
        return tokenize(self, texts)

    whole = backbone.tokenize(TEXTS)
    monkeypatch.setattr(type(backbone), "tokenize", watched)
    counts = count_tokens(backbone, TEXTS)
    assert counts == (sum(map(len, whole.ids)), whole.n_cut)
    assert sum(seen) == len(TEXTS) and max(seen) <= 512


def foretold(shape: Shape = WORK, *, layers: int = 2) -> Forecast:
    backbone = tiny_backbone()
    wanted = [PooledSite(Site(layer, "resid"), "mean") for layer in range(layers + 1)]
    tokens = sampled_tokens(backbone, TEXTS)
    surveyed = Survey(tokens, Speed((1, 30), (1e-4, 1e-4), 0), PACE)
    return forecast(backbone, wanted, surveyed, shape=shape, store_dtype="float16")


def test_every_phase_takes_time():
    found = foretold()
    phases = ["start", "extract", "probe", "select", "head", "baselines"]
    assert list(found.seconds) == phases and min(found.seconds.values()) > 0
    assert found.extraction.n_texts == len(TEXTS)


def test_less_work_takes_less():
    whole, shallow = foretold(), foretold(layers=1)
    assert shallow.seconds["extract"] < 0.8 * whole.seconds["extract"]
    few = foretold(WORK._replace(n=100, n_train=70, n_learned=80, characters=5000))
    for phase in ("probe", "select", "baselines"):
        assert few.seconds[phase] < 0.9 * whole.seconds[phase]
    assert few.memory_bytes < whole.memory_bytes


LARGE = Shape(100_000, 70_000, 80_000, 3, 5_000_000, (16,) * 3)


def grown(n: int, *, shape: Shape = LARGE) -> Forecast:
    """Of the same texts over and over, `n` of them; the backbone is tiny."""
    backbone = tiny_backbone()
    wanted = [PooledSite(Site(layer, "resid"), "mean") for layer in range(3)]
    ids = backbone.tokenize(TEXTS[:500]).ids
    tokens = Tokens([ids[row % 500] for row in range(n)], n // 10)
    times = n / shape.n
    shape = shape._replace(
        n=n,
        n_train=int(shape.n_train * times),
        n_learned=int(shape.n_learned * times),
        characters=int(shape.characters * times),
    )
    surveyed = Survey(tokens, Speed((1, 60), (1e-4, 1e-4), 0), PACE)
    return forecast(backbone, wanted, surveyed, shape=shape, store_dtype="float16")


def test_many_texts_are_read_once_and_chosen_from_a_sample():
    half, whole = grown(60_000), grown(120_000)
    assert sampled(WORK) is WORK
    assert sampled(LARGE)[:3] == (30_000, 20_000, 25_000)
    many_test = LARGE._replace(n_train=20_000, n_learned=24_000)
    assert sampled(many_test)[:3] == (29_000, 20_000, 24_000)
    assert whole.extraction.n_texts == half.extraction.n_texts == 30_000
    assert whole.n_tokens == 2 * half.n_tokens and whole.n_cut == 12_000
    for phase in ("extract", "probe", "select", "baselines"):
        assert whole.seconds[phase] == pytest.approx(half.seconds[phase], rel=0.05)
    forwards = 1e-4 * whole.n_tokens
    told = whole.seconds["head"] + whole.extraction.seconds
    assert told == pytest.approx(forwards, rel=0.3)
    assert whole.seconds["head"] > 2.5 * half.seconds["head"]
    assert whole.memory_bytes < 1.05 * half.memory_bytes
    more = whole.disk_bytes - half.disk_bytes
    assert more == 60_000 * 4 * _kept(sampled(LARGE))


def test_the_memory_of_sampling_is_that_of_its_columns():
    n = 3000
    task, _ = task_of(n)
    X = RNG.standard_normal((n, 1024), np.float32)
    shape = Shape(n, len(task.train), len(task.learned), 3, 0, (1024,))
    sites = {PooledSite(Site(layer, "resid"), "mean"): 1024 for layer in range(2)}
    peak = peak_of(lambda: gain_of_doubling(lambda site, rows: X[rows], sites, task))
    assert sampling_bytes(shape) > 0.7 * peak


def peak_of(work: Callable[[], object]) -> int:
    """Most bytes that were allocated at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def task_of(n: int) -> tuple[Task, np.ndarray]:
    codes = RNG.integers(3, size=n)
    train, held, test = np.split(np.arange(n), [int(0.7 * n), int(0.8 * n)])
    return Task(codes, ("a", "b", "c"), train, held), test


def test_the_memory_of_probing_is_that_of_the_widest_site():
    task, _ = task_of(4000)
    wide, narrow = (PooledSite(Site(i, "mlp"), "mean") for i in (1, 2))
    width = {wide: 600, narrow: 60}

    def read(site: PooledSite) -> np.ndarray:
        X = np.random.default_rng(0).standard_normal((4000, width[site]), np.float32)
        X[:, 0] += task.codes
        return X

    shape = Shape(4000, 2800, 3200, 3, 0, (600, 60))
    peak = peak_of(
        lambda: fit_probes(
            read,
            task.codes,
            task.train,
            task.validation,
            pooled_sites=[wide, narrow],
            threads=1,
            Cs=np.array([1e-3]),
        )
    )
    assert probe_bytes(shape, 1) - GRAM_BYTES == pytest.approx(peak, rel=0.3)


@pytest.mark.parametrize(("n", "width", "threads"), [(4000, 1500, 1), (600, 3000, 8)])
def test_the_memory_of_selection_is_that_of_the_folds_in_work(
    n: int, width: int, threads: int, monkeypatch
):
    monkeypatch.setattr(parallel, "cores", lambda: threads)
    task, test = task_of(n)
    X = RNG.standard_normal((n, width), np.float32)
    X[:, :99] += task.codes[:, None]
    site = PooledSite(Site(1, "mlp"), "mean")
    probe = Salience(site, np.ones(width), 0.9)
    shape = Shape(n, len(task.train), len(task.learned), 3, 0, (width,))
    peak = peak_of(lambda: fit_stc(lambda site: X.copy(), task, [probe], reported=test))
    assert select_bytes(shape, threads) == pytest.approx(peak, rel=0.3)


@pytest.mark.parametrize(("n", "threads"), [(1000, 1), (4000, 8)])
def test_the_memory_of_repeats_is_that_of_their_inner_products(
    n: int, threads: int, monkeypatch
):
    monkeypatch.setattr(parallel, "cores", lambda: threads)
    monkeypatch.setattr(draws, "MOST_ROWS", 500)
    monkeypatch.setattr(forecast_module, "MOST_ROWS", 500)
    task, _ = task_of(n)
    sites = [PooledSite(Site(layer, "mlp"), "mean") for layer in (1, 2, 3)]
    X = RNG.standard_normal((n, 700), np.float32)
    X[:, :99] += task.codes[:, None]
    probes = [Salience(site, np.ones(700), 0.9) for site in sites]
    features = [Feature(sites[0].site, "mean", index) for index in range(9)]
    shape = Shape(n, len(task.train), len(task.learned), 3, 0, (700,) * 3)
    peak = peak_of(
        lambda: measure_stability(
            lambda site: X.copy(), task, probes, features, depth=3
        )
    )
    assert stability_bytes(shape, threads) == pytest.approx(peak, rel=0.3)


def test_the_memory_of_baselines_grows_with_the_rows_squared():
    task, test = task_of(2500)
    X = RNG.standard_normal((2500, 2100), np.float32)  # more features than rows
    shape = Shape(2500, len(task.train), len(task.learned), 3, 0, (2100,))
    with threadpool_limits(1):
        peak = peak_of(
            lambda: joint_ridge(
                [Block(X.copy, X.shape[1])],  # as a store would read it
                task,
                task.learned,
                others=test,
                ridges=(1.0, 2.0),
            )
        )
    assert baseline_bytes(shape) == pytest.approx(peak, rel=0.3)


def test_a_survey_measures_the_machine():
    found = survey(tiny_backbone(), TEXTS[:300])
    assert min(found.speed.seconds_per_token) > 0
    assert 1e-13 < found.pace.product < 1e-8 and 1e-11 < found.pace.cell < 1e-6
    assert len(found.tokens.ids) == 300
