"""Batches of masked words for a tiny model."""

import copy

import torch

from helpers.models.tiny import TEXTS, VOCAB, tiny_model, tiny_tokenizer
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import (
    TunableBackbone,
    changes_for,
    cut_and_adapt,
    plan_tuning,
)

MASK = VOCAB["<other pad>"]


def masking(family: str = "bert") -> Backbone:
    """A backbone of its own, whose tokenizer has a mask where it is an encoder."""
    model = copy.deepcopy(tiny_model(family))
    encoder = family in ("bert", "roberta", "albert", "electra", "modernbert")
    tokenizer = copy.deepcopy(tiny_tokenizer("right", specials=encoder))
    if encoder:
        tokenizer.mask_token = "<other pad>"
    return Backbone.from_model(model, tokenizer)


def inputs_of(backbone: Backbone, n: int = 32) -> dict[str, torch.Tensor]:
    ids = backbone.tokenize(TEXTS[:n]).ids
    return make_batch(ids, backbone.config, device=backbone.device, packed=False).inputs


def tunable_of(backbone: Backbone) -> TunableBackbone:
    settings = TuneConfig(where="all")
    plan = plan_tuning(backbone, [], settings)
    return cut_and_adapt(backbone, plan, changes_for(backbone, plan, settings), seed=0)
