"""A tuned backbone on disk: its base, cut, and what was learned; for every family."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.models.saved import saved_base, tuned_folder
from helpers.models.tiny import (
    CONFIGS,
    EXPERTS,
    TEXTS,
    UNKNOWN,
    tiny_backbone,
)
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.errors import StcError
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import changes_for, cut_and_adapt, plan_tuning
from stc_core.tuning.readout import learn
from stc_core.types import PooledSite, Site

METHODS = ("full", "lora", "bottleneck")
SOME = ("bert", "albert", "deberta-v2", "gpt2", "bloom", "qwen3", "t5", "bart")


def states(backbone: Backbone, layer: int) -> torch.Tensor:
    wish = PooledSite(Site(layer, "resid"), "mean")
    return backbone.pooled(backbone.tokenize(TEXTS[:9]).ids, [wish])[wish]


@pytest.mark.parametrize("family", [*CONFIGS, *UNKNOWN, *EXPERTS])
def test_a_cut_leaves_the_layers_below_as_they_are(family: str):
    whole = tiny_backbone(family)
    copied = copy.deepcopy(whole.model)
    base = Backbone.from_model(copied, whole.tokenizer)
    layer = base.n_layers - 1
    what = changes_for(
        base, plan_tuning(base, [], TuneConfig(layer=layer)), TuneConfig()
    )
    assert what.cut is not None
    changes.apply_cut(copied, what.cut)
    cut = Backbone.from_model(copied, whole.tokenizer)
    assert cut.n_layers == layer
    assert cut.layer_names == whole.layer_names[: layer + 1]
    assert cut.flops_per_token() == whole.flops_per_token(layer)
    assert torch.allclose(states(cut, layer), states(whole, layer), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", SOME)
def test_a_tuned_backbone_is_the_same_after_a_way_over_the_disk(
    family: str, method: str, tmp_path: Path
):
    base = Backbone.load(str(saved_base(tmp_path / "base", family)), device="cpu")
    layer = base.n_layers - 1
    wish = {"layer": layer, "blocks": 1, "method": method, "width": 3}
    settings = TuneConfig.model_validate(wish)
    plan = plan_tuning(base, [], settings)
    what = changes_for(base, plan, settings)
    assert plan.tuned == (layer,)
    before = states(base, layer)
    tuned, parts, _ = cut_and_adapt(base, plan, what, seed=0)
    assert torch.allclose(states(tuned, layer), before, atol=1e-5)
    with torch.no_grad():
        for part in parts:
            learn(part)
            for parameter in part.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    after = states(tuned, layer)
    assert not torch.allclose(after, before, atol=1e-2)
    learned = {n: p for n, p in tuned.model.named_parameters() if p.requires_grad}
    folder = changes.save_changes(tmp_path / "tuned", what, learned)
    again = Backbone.load(str(folder), device="cpu")
    assert again.n_layers == layer
    assert torch.allclose(states(again, layer), after, atol=1e-4)
    assert not any(p.requires_grad for p in again.model.parameters())
    assert again.identity not in (base.identity, tuned.identity)
    assert again.sites == tuned.sites


def test_it_holds_only_what_changed(tmp_path: Path):
    folder = tuned_folder(tmp_path)
    size = (folder / hub.CHANGED_WEIGHTS).stat().st_size
    assert size < 0.5 * (tmp_path / "base" / "model.safetensors").stat().st_size
    assert not list(folder.glob("*.bin"))


def test_another_base_is_refused(tmp_path: Path):
    folder = tuned_folder(tmp_path)
    shutil.rmtree(tmp_path / "base")
    saved_base(tmp_path / "base", "distilbert")
    with pytest.raises(StcError, match=r"Put the files of the base back"):
        Backbone.load(str(folder), device="cpu")


def test_a_missing_base_and_a_damaged_file_are_said(tmp_path: Path):
    folder = tuned_folder(tmp_path)
    (folder / hub.CHANGED_WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(StcError, match="damaged"):
        Backbone.load(str(folder), device="cpu")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(StcError, match="no such folder"):
        Backbone.load(str(folder), device="cpu")


def test_its_identity_is_of_the_weights_not_of_the_place(tmp_path: Path):
    folder = tuned_folder(tmp_path)
    copied = shutil.copytree(folder, tmp_path / "copy")
    assert changes.tuned_identity(copied) == changes.tuned_identity(folder)
    what = changes.read_changes(folder)._replace(method="bottleneck")
    changes.save_changes(copied, what, {"x": torch.zeros(1)})
    assert changes.tuned_identity(copied) != changes.tuned_identity(folder)


def test_which_blocks_are_tuned():
    backbone = tiny_backbone("bert")  # 3 blocks
    nu = [0.1, 3.0, 1.0, 2.0]
    for settings, end, tuned in (
        (TuneConfig(blocks=2), 2, (1, 2)),
        (TuneConfig(blocks=9), 2, (1, 2)),
        (TuneConfig(blocks=1, layer=1), 1, (1,)),
        (TuneConfig(blocks=2, where="top"), 3, (2, 3)),
        (TuneConfig(blocks=1, where="all"), 3, (1, 2, 3)),
    ):
        assert plan_tuning(backbone, nu, settings) == (end, tuned)
    with pytest.raises(StcError, match="1 to 3"):
        plan_tuning(backbone, nu, TuneConfig(layer=4))


def test_a_decoders_blocks_do_not_reach_into_its_encoder():
    backbone = tiny_backbone("t5")  # 2 blocks, then 3
    low_at = lambda layer: [float(n != layer) for n in range(7)]  # noqa: E731
    settings = TuneConfig(blocks=4)
    assert plan_tuning(backbone, low_at(5), settings) == (5, (4, 5))
    assert plan_tuning(backbone, low_at(2), settings) == (2, (1, 2))
    assert plan_tuning(backbone, low_at(3), settings).layer != 3
    inside = plan_tuning(backbone, low_at(2), settings)
    assert changes_for(backbone, inside, settings).cut is None
    assert np.array_equal(inside.tuned, (1, 2))


def test_bottlenecks_need_a_down_projection():
    backbone = tiny_backbone("mixtral")
    settings = TuneConfig(method="bottleneck")
    with pytest.raises(StcError, match="lora or full"):
        changes_for(backbone, plan_tuning(backbone, [1.0] * 4, settings), settings)
