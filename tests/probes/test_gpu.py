"""Sites swept over a device are probed as the host probes them."""

import gc
import weakref

import numpy as np
import pytest
import torch

from helpers.problems import SITES, blocks
from helpers.toy_features import make
from stc_core.data.task import Task
from stc_core.probes import fit, gpu
from stc_core.probes.device import site_bytes, upload
from stc_core.probes.fista import fit_paths
from stc_core.probes.fit import fit_probes
from stc_core.probes.penalties import get_penalty
from stc_core.probes.problem import pose_problem
from stc_core.types import PooledSite

GIVEN = {"n_class": 3, "class_weight": None, "sample_weight": None}
GOAL = {"penalty": "l1", "tol": 1e-3, "patience": 2}


def swept(toy, **more) -> dict[PooledSite, gpu.SolvedSite]:
    found = gpu.solve_sites(
        toy.read, toy.task, list(toy.blocks), device="cpu", **{**GOAL, **more}
    )
    return {one.pooled_site: one for one in found}


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_paths_end_where_those_of_the_host_do(class_weight) -> None:
    toy = make(3, class_weight=class_weight)
    toy.blocks.update({site: X.astype(float) for site, X in toy.blocks.items()})
    found = swept(toy, tol=1e-6)
    assert found.keys() == toy.blocks.keys()
    for expected in toy.probes(tol=1e-6):
        path = found[expected.pooled_site].path
        assert len(path.Cs) == len(expected.path.Cs)
        # The first has a feature of one class alone: it leaves ties among the others.
        np.testing.assert_array_equal(path.score[1:], expected.path.score[1:])
        np.testing.assert_allclose(path.objective, expected.path.objective, rtol=1e-6)


def test_a_small_device_takes_batches_and_leaves_out_what_is_too_large(
    monkeypatch,
) -> None:
    toy = make(3)
    wide = PooledSite.parse("mlp.9.mean")
    toy.blocks[wide] = np.tile(toy.read(PooledSite.parse("mlp.1.max")), 30)
    sizes: list[int] = []

    def watched(posed, **more):
        sizes.append(len(posed))
        return fit_paths(posed, **more)

    need: list[int] = []
    monkeypatch.setattr(
        gpu, "site_bytes", lambda p: need.append(site_bytes(p)) or need[-1]
    )
    swept(toy)
    monkeypatch.setattr(gpu, "usable_bytes", lambda device: int(2.5 * min(need)))
    monkeypatch.setattr(gpu, "fit_paths", watched)
    found = swept(toy)
    assert sizes == [2, 2, 1] and wide not in found


def test_what_a_device_cannot_do_is_left_out(monkeypatch) -> None:
    toy = make(3)
    monkeypatch.setattr(
        gpu, "fit_paths", lambda posed, tol: fit_paths(posed, tol=tol, max_iter=1)
    )
    assert not swept(toy)

    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "fit_paths", full)
    assert not swept(toy)


@pytest.mark.parametrize("cells", [0, 10**12])
def test_probes_go_to_the_device_when_they_are_many(monkeypatch, cells: int) -> None:
    features, y = blocks()
    rows = np.random.default_rng(1).permutation(180)
    calls = []

    def here(read, task: Task, sites, *, device: str, **goal):
        calls.append(device)
        some = list(sites)[1:]  # one is left for the host
        return real(read, task, some, device="cpu", **goal)

    real = gpu.solve_sites
    monkeypatch.setattr(gpu, "solve_sites", here)
    monkeypatch.setattr(fit, "GPU_CELLS", cells)
    seen: list[tuple[int, int]] = []
    found, expected = (
        fit_probes(
            features.__getitem__,
            y,
            rows[:120],
            rows[120:],
            pooled_sites=SITES,
            threads=1,
            tol=1e-3,
            device=device,
            progress=lambda *at: seen.append(at),
        )
        for device in ("cuda", "cpu")
    )
    assert calls == ([] if cells else ["cuda"])
    assert seen[:6] == [(i, 6) for i in range(1, 7)]
    for one, other in zip(found, expected, strict=True):
        assert one.pooled_site == other.pooled_site and one.best == other.best
        np.testing.assert_array_equal(one.val_accuracy, other.val_accuracy)


def test_sites_that_are_hard_keep_none_from_being_solved() -> None:
    toy = make(3)
    width, n = next(iter(toy.blocks.values())).shape[1], len(toy.task.codes)
    flat, twins, apart = (PooledSite.parse(f"mlp.{i}.mean") for i in range(7, 10))
    column = toy.read(PooledSite.parse("mlp.2.max"))
    toy.blocks[flat] = np.full((n, width), 2.5, np.float32)
    toy.blocks[twins] = np.repeat(column[:, :1], width, axis=1)
    toy.blocks[apart] = column + 100 * np.eye(3, width)[toy.task.codes]
    found = swept(toy)
    assert found.keys() == toy.blocks.keys()
    for expected in toy.probes(tol=1e-3):
        path = found[expected.pooled_site].path
        some = slice(min(len(path.Cs), len(expected.path.Cs)))
        np.testing.assert_allclose(
            path.objective[some], expected.path.objective[some], rtol=2e-3
        )
    assert found[flat].path.n_iter.max() == 0


def test_features_are_let_go_once_they_are_on_the_device() -> None:
    toy = make(3)
    site = next(iter(toy.blocks))
    y = toy.task.codes
    problem = pose_problem(toy.read(site), y, get_penalty("l1"), **GIVEN)
    there = weakref.ref(problem.XT)
    shape = problem.XT.shape
    posed = upload(problem, "meta")  # which holds nothing
    del problem
    gc.collect()
    assert there() is None
    assert posed.X.shape == shape
    assert posed.problem.XT.shape == (shape[0], 0)
