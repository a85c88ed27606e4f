"""On a GPU: the numbers of the CPU, and the same store. Skipped where there is none."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from helpers.hard_inputs import HARD, SILENT
from helpers.models.tiny import (
    CONFIGS,
    TEXTS,
    tiny_backbone,
    tiny_model,
    tiny_tokenizer,
)
from helpers.problems import make
from helpers.toy_features import make as toy_of
from stc_core.activations.extract import extract, extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import PACKED
from stc_core.poolings import POOLING_RULES
from stc_core.probes.device import site_bytes, upload, usable_bytes
from stc_core.probes.fista import fit_paths
from stc_core.probes.gpu import solve_sites
from stc_core.probes.penalties import PenaltyName, get_penalty
from stc_core.probes.problem import pose_problem
from stc_core.probes.solver import fit_path
from stc_core.types import Feature, PooledSite

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
ERROR = {torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Of the norm: bfloat16 keeps 8 bits, and the blocks add up."""


def on_gpu(family: str, dtype: torch.dtype) -> Backbone:
    model = deepcopy(tiny_model(family)).to("cuda", dtype)
    return Backbone.from_model(model, tiny_tokenizer(), name=family)


def every(backbone: Backbone) -> list[PooledSite]:
    return [
        PooledSite(site, pooling)
        for site in backbone.sites
        for pooling in POOLING_RULES
    ]


@pytest.mark.parametrize("family", sorted(CONFIGS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_numbers_of_the_cpu(family: str, dtype: torch.dtype):
    cpu, gpu = tiny_backbone(family), on_gpu(family, dtype)
    half = dtype == torch.bfloat16
    known = gpu.family in PACKED and gpu.family != "gemma2"
    assert gpu.packs == (half and known)
    ids = cpu.tokenize(TEXTS).ids
    expected, found = cpu.pooled(ids, every(cpu)), gpu.pooled(ids, every(gpu))
    for wish, block in found.items():
        assert block.is_cuda and block.dtype == torch.float32
        error = (block.cpu() - expected[wish]).norm() / expected[wish].norm()
        assert error < ERROR[dtype], (wish, error)


@pytest.mark.parametrize("width", [24, 384, 1000])
def test_one_read_gives_mean_and_maximum(width: int):
    from stc_core.backbone.pooling_triton import pool_packed

    generator = torch.Generator("cuda").manual_seed(0)
    lengths = torch.randint(1, 40, (50,), device="cuda", generator=generator)
    starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
    hidden = torch.randn(
        int(starts[-1]), width, device="cuda", generator=generator
    ).bfloat16()
    found = pool_packed(hidden, starts, list(POOLING_RULES))
    for text in range(50):
        own = hidden[starts[text] : starts[text + 1]].float()
        assert torch.equal(found["max"][text], own.amax(0))
        assert torch.equal(found["first"][text], own[0])
        assert torch.equal(found["last"][text], own[-1])
        torch.testing.assert_close(found["mean"][text], own.mean(0))


def test_a_store_and_single_neurons_hold_what_the_forward_gives(tmp_path):
    backbone = on_gpu("bert", torch.bfloat16)
    wanted, seen = every(backbone), []
    store = extract(
        backbone, TEXTS, wanted, folder=tmp_path, progress=lambda *at: seen.append(at)
    )
    assert seen[-1][0] == seen[-1][1] > 0
    blocks = backbone.pooled(backbone.tokenize(TEXTS).ids, wanted)
    for wish in wanted:
        expected = blocks[wish].cpu().numpy()
        np.testing.assert_allclose(store.read(wish), expected, rtol=1e-2, atol=1e-2)
    site, pooling = wanted[-1]
    columns = extract_features(
        backbone, TEXTS, [Feature(site, pooling, 3), Feature(site, pooling, 0)]
    )
    np.testing.assert_allclose(
        columns, blocks[wanted[-1]][:, [3, 0]].cpu().numpy(), rtol=1e-2, atol=1e-2
    )


def test_out_of_memory_halves_the_batch_and_says_so(tmp_path):
    backbone = on_gpu("gpt2", torch.bfloat16)
    backbone.model.wte = torch.nn.Embedding(64, 16).to("cuda", torch.bfloat16)
    whole = extract(backbone, TEXTS, every(backbone), folder=tmp_path / "whole")
    torch.cuda.empty_cache()
    forward = backbone.model.forward

    def hungry(*args: object, input_ids: torch.Tensor, **more: object) -> object:
        if input_ids.numel() > 100:
            torch.empty(1 << 42, dtype=torch.uint8, device="cuda")  # more than any has
        return forward(*args, input_ids=input_ids, **more)

    backbone.model.forward = hungry
    halved = extract(
        backbone, TEXTS, every(backbone), folder=tmp_path / "halved", token_budget=400
    )
    assert any("Out of memory" in note for note in halved.notes)
    for wish in every(backbone):
        np.testing.assert_allclose(
            halved.read(wish), whole.read(wish), rtol=2e-2, atol=2e-2
        )


@pytest.mark.parametrize("K", [2, 6])
@pytest.mark.parametrize("name", ["l1", "group"])
def test_probes_are_those_of_the_host(K: int, name: PenaltyName):
    X, y = make(K, n=2000, d=60)
    X = X.astype(np.float32)
    given = {"n_class": K, "class_weight": "balanced", "sample_weight": None}
    problem = pose_problem(X, y, get_penalty(name), **given)
    found = fit_paths([upload(problem, "cuda")] * 3, tol=1e-2)
    expected = fit_path(X, y, penalty=name, class_weight="balanced", tol=1e-2)
    for path in found:
        assert (path.kkt <= 1e-2).all() and (path.gap < 1e-2).all()
        np.testing.assert_allclose(path.objective, expected.objective, rtol=1e-4)
    assert site_bytes(problem) < usable_bytes("cuda")


@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("hard", SILENT)
def test_where_nothing_can_be_learned_the_path_is_that_of_the_host(
    hard, name: PenaltyName
):
    X, y = HARD[hard]()
    X = X.astype(np.float32)
    given = {"n_class": None, "class_weight": None, "sample_weight": None}
    (found,) = fit_paths(
        [upload(pose_problem(X, y, get_penalty(name), **given), "cuda")]
    )
    expected = fit_path(X, y, penalty=name)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_sites_are_swept_on_a_gpu():
    toy = toy_of(3)
    goal = {"penalty": "l1", "tol": 1e-2, "patience": 2}
    found = list(
        solve_sites(toy.read, toy.task, list(toy.blocks), device="cuda", **goal)
    )
    assert {one.pooled_site for one in found} == set(toy.blocks)
