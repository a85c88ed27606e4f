"""Guides: a head inside a model that tells the blocks above, padded or packed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.models.saved import saved_base
from helpers.models.tiny import TEXTS
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.class_guides import GuideSpec, guides_of
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import TunePlan, changes_for, cut_and_adapt
from stc_core.types import PooledSite

FAMILIES = ("bert", "roberta", "distilbert", "modernbert", "llama", "gpt2", "falcon")
GROUPS = (0, 1, 1, 2)


def guided(folder: Path, family: str, layer: int = 1) -> Any:
    base = Backbone.load(str(saved_base(folder, family)), device="cpu")
    plan = TunePlan(base.n_layers, (base.n_layers,))
    what = changes_for(base, plan, TuneConfig(blocks=1))
    above = base.block(layer + 1)
    name = next(n for n, m in base.model.named_modules() if m is above)
    what = what._replace(guides=(GuideSpec(name, base.d_model, GROUPS),))
    return cut_and_adapt(base, plan, what, seed=0).backbone, what


def shaken(backbone: Backbone) -> None:
    (guide,) = guides_of(backbone.model)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_()


def states(backbone: Backbone, texts=TEXTS[:9]) -> list[np.ndarray]:
    wanted = [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]
    found = backbone.pooled(backbone.tokenize(texts).ids, wanted)
    return [found[wish].numpy() for wish in wanted]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_guide_changes_nothing(tmp_path: Path, family: str):
    plain = Backbone.load(str(saved_base(tmp_path, family)), device="cpu")
    backbone, _ = guided(tmp_path, family)
    assert backbone.sites == plain.sites
    for ours, theirs in zip(states(backbone), states(plain), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_changes_the_layers_above_and_none_below(tmp_path: Path, family: str):
    backbone, _ = guided(tmp_path, family)
    before = states(backbone)
    shaken(backbone)
    after = states(backbone)
    for layer in (0, 1):  # layer 1 is what the guide itself reads
        assert np.allclose(before[layer], after[layer], atol=1e-5)
    assert not np.allclose(before[2], after[2], atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_is_guided_by_its_own_tokens_alone(tmp_path: Path, family: str):
    backbone, _ = guided(tmp_path, family)
    shaken(backbone)
    together = states(backbone)
    for row in (0, 3, 8):
        alone = states(backbone, TEXTS[row : row + 1])
        for ours, theirs in zip(alone, together, strict=True):
            assert np.allclose(ours[0], theirs[row], atol=1e-4)
    if backbone.packs:
        backbone.packs = False
        for ours, theirs in zip(states(backbone), together, strict=True):
            assert np.allclose(ours, theirs, atol=1e-4)


def test_what_it_adds_is_what_its_definition_says(tmp_path: Path):
    backbone, _ = guided(tmp_path, "bert")
    shaken(backbone)
    (guide,) = guides_of(backbone.model)
    ids = backbone.tokenize(TEXTS[:1]).ids
    seen: list[Any] = []
    guide.register_forward_hook(lambda m, i, o: seen.extend((i[0], o)))
    backbone.packs = False
    states(backbone, TEXTS[:1])
    before, after = seen
    leaves = guide.head(before[0, : len(ids[0])].mean(0)).softmax(-1)
    p = torch.stack([leaves[0], leaves[1] + leaves[2], leaves[3]])
    assert torch.allclose(
        after - before, (guide.embedding.weight @ p).expand_as(before), atol=1e-4
    )


@pytest.mark.parametrize("family", ("bert", "llama"))
def test_it_is_saved_with_the_backbone(tmp_path: Path, family: str):
    backbone, what = guided(tmp_path / "base", family)
    shaken(backbone)
    (guide,) = guides_of(backbone.model)
    name = f"{what.guides[0].block}.guide"
    tensors = {f"{name}.{k}": v for k, v in guide.state_dict().items()}
    folder = changes.save_changes(tmp_path / "tuned", what, tensors)
    again = Backbone.load(str(folder), device="cpu")
    assert changes.read_changes(folder) == what
    for ours, theirs in zip(states(again), states(backbone), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)
