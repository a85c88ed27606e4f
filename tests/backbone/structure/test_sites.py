"""Sites by name, by structure, and in models made up here."""

import copy
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from benches.models.families import build
from benches.models.family_oracle import faults
from helpers.models.odd import OddModel
from helpers.models.tiny import (
    CONFIGS,
    EXPERTS,
    N_BLOCKS,
    UNKNOWN,
    one_thread,  # noqa: F401
    shake,
    tiny_backbone,
    tiny_model,
    tiny_tokenizer,
)
from stc_core.backbone.adapters import add_bottlenecks
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.structure.sites import KNOWN, find_sites
from stc_core.backbone.structure.trace import TRIAL
from stc_core.errors import StcError
from stc_core.types import Site

ENCODER_DECODERS = {"t5", "flan-t5", "bart", "pegasus"}
IDS = torch.arange(6).view(TRIAL)


def forward_of(model: Any):
    more = {}
    if model.config.is_encoder_decoder:
        more = {"decoder_input_ids": IDS}
    mask = torch.ones_like(IDS)
    return lambda: model(input_ids=IDS, attention_mask=mask, **more)


@pytest.mark.parametrize("family", CONFIGS)
def test_structure_finds_what_the_table_says(family):
    model = tiny_model(family)
    assert model.config.model_type in KNOWN
    with torch.inference_mode():
        by_name = find_sites(model, forward_of(model))
        by_structure = find_sites(model, forward_of(model), known=False)
    assert by_structure == by_name


@pytest.mark.parametrize("family", [*CONFIGS, *UNKNOWN])
def test_every_block_has_both_sites(family):
    backbone = tiny_backbone(family)
    if family not in ENCODER_DECODERS:
        layers = range(1, N_BLOCKS + 1)
        expected = {Site(0, "resid")} | {
            Site(layer, kind) for layer in layers for kind in ("resid", "mlp")
        }
        assert backbone.layer_names == (
            "embeddings",
            *(f"block {layer}" for layer in layers),
        )
    else:  # two blocks that read, then the decoder's embeddings and three that write
        resid = {Site(layer, "resid") for layer in range(7)}
        expected = resid | {Site(layer, "mlp") for layer in (1, 2, 4, 5, 6)}
        assert backbone.layer_names == (
            "embeddings",
            "block 1",
            "block 2",
            "decoder embeddings",
            "decoder block 1",
            "decoder block 2",
            "decoder block 3",
        )
    assert set(backbone.sites) == expected
    assert list(backbone.sites) == sorted(expected)
    config = backbone.config
    inner = next(
        size
        for name in ("intermediate_size", "d_ff", "ffn_dim", "hidden_dim", "n_inner")
        if (
            size := getattr(config, name, None) or getattr(config, f"encoder_{name}", 0)
        )
        or name == "n_inner"
    )
    for site, width in backbone.widths.items():
        assert width == (16 if site.kind == "resid" else inner or 64)


@pytest.mark.parametrize("family", EXPERTS)
def test_experts_have_residual_sites_only_and_say_so(family):
    backbone = tiny_backbone(family)
    assert {site.kind for site in backbone.sites} == {"resid"}
    assert "experts" in backbone.notes[0]


def test_a_made_up_model_is_found_by_what_it_does():
    model = OddModel()
    shake(model)
    mask = torch.ones_like(IDS)
    anatomy = find_sites(model, lambda: model(IDS, mask))
    assert [str(site) for site in anatomy.points] == [
        "resid.0",
        "mlp.1",
        "resid.1",
        "mlp.2",
        "resid.2",
        "mlp.3",
        "resid.3",
    ]
    assert anatomy.points[Site(1, "mlp")].module is model.one.squeeze
    last = anatomy.points[Site(3, "mlp")]
    assert (last.module, last.times) == (model.two.squeeze, 1)
    block = sum(p.numel() for p in model.one.parameters())
    products = 2 * (8 * 8 + 8 * 20 + 20 * 8)
    words = 16 * 8
    # The shared block counts once as parameters, twice as work.
    assert anatomy.parameters == (words, words + block, *(2 * [words + 2 * block]))
    assert anatomy.flops == (0, products, 2 * products, 3 * products)


READ = {
    "jamba": ("layers.{}.feed_forward.down_proj", (1, 2, 3, 4)),
    "rwkv": ("blocks.{}.feed_forward.value", (1, 2, 3, 4)),
    "xlstm": ("blocks.{}.ffn.proj_down", (1, 2, 3, 4)),
    "recurrent_gemma": ("layers.{}.mlp_block.down_proj", (1, 2, 3, 4)),
    "megatron-bert": ("encoder.layer.{}.output.dense", (1, 2, 3, 4)),
    "mobilebert": ("", ()),
    "mamba": ("", ()),
    "zamba2": ("", ()),
    "jamba, experts": ("", ()),
}
"""Families of unusual blocks: their down-projections, and of which blocks."""


@pytest.mark.parametrize("family", READ)
def test_blocks_of_other_kinds_are_all_read(family):
    """Blocks of several classes, recurrence, gates and bottlenecks beside the FFN."""
    model, _ = build(family)
    backbone = Backbone.from_model(model, tiny_tokenizer(), name=family)
    assert backbone.n_layers == 4
    path, blocks = READ[family]
    for layer in range(1, 5):
        expected = model.get_submodule(path.format(layer - 1)) if path else None
        assert backbone.down_projection(layer) is (
            expected if layer in blocks else None
        )
    assert not faults(backbone)
    assert bool(backbone.notes) == (not blocks)


REFUSED = {
    "flaubert": "none: the states of its modules are not the hidden states it returns",
    "xlm": "none: the states of its modules are not the hidden states it returns",
    "led": "in the encoder; got none",
    "reformer": "attention by random hashing",
    "flava": "no hidden states, although they were requested",
    "mllama": "expected 4, as its config says; got 3",
}


@pytest.mark.parametrize("family", REFUSED)
def test_what_is_not_what_the_model_shows_is_refused(family):
    model, _ = build(family)
    with pytest.raises(StcError, match=REFUSED[family]):
        Backbone.from_model(model, tiny_tokenizer())


def test_half_of_the_layers_are_not_taken_for_all():
    model = copy.deepcopy(tiny_model("llama"))
    model.config.num_hidden_layers = 4
    with pytest.raises(StcError, match="expected 4, as its config says; got 3"):
        Backbone.from_model(model, tiny_tokenizer())


def test_each_layer_of_a_shared_group_is_a_block():
    config = tiny_model("albert").config.to_dict() | {"inner_group_num": 2}
    model = hf.AutoModel.from_config(hf.AlbertConfig.from_dict(config)).eval()
    shake(model)
    backbone = Backbone.from_model(model, tiny_tokenizer(), name="albert")
    assert backbone.n_layers == 2 * N_BLOCKS
    group = model.encoder.albert_layer_groups[0].albert_layers
    assert [backbone.block(layer) for layer in range(1, 7)] == [*group] * N_BLOCKS


def test_a_bottleneck_behind_an_ffn_is_not_its_down_projection():
    model = copy.deepcopy(tiny_model("olmo2"))
    names = [f"layers.{number}.mlp.down_proj" for number in range(N_BLOCKS)]
    add_bottlenecks(model, names, 4)
    backbone = Backbone.from_model(model, tiny_tokenizer())
    for layer, name in enumerate(names, start=1):
        assert backbone.down_projection(layer) is model.get_submodule(name)


@pytest.mark.parametrize("family", ["llama", "olmo2", "t5"])
def test_nothing_is_left_on_the_model(family):
    model = hf.AutoModel.from_config(tiny_model(family).config).eval()
    Backbone.from_model(model, tiny_tokenizer())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    given = {"input_ids": IDS, "output_hidden_states": True}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = IDS
    out = model(**given)  # and it still shows its hidden states
    shown = getattr(out, "hidden_states", None) or out.encoder_hidden_states
    assert len(shown) > 2


def test_code_of_its_own_that_is_not_run_is_said():
    model = copy.deepcopy(tiny_model("bert"))
    model.config.auto_map = {"AutoModel": "modeling_odd.OddModel"}
    (note,) = Backbone.from_model(model, tiny_tokenizer()).notes
    assert "auto_map" in note
    assert f"BertModel of transformers {hf.__version__}" in note


def test_block_sparse_attention_gives_way_to_full_attention_and_it_is_said():
    backbone = Backbone.from_model(build("big_bird").model, tiny_tokenizer())
    assert "full attention" in backbone.notes[0]
    assert backbone.model.attention_type == "original_full"


def test_a_model_without_blocks_is_refused():
    model = nn.Sequential(nn.Embedding(16, 8), nn.Linear(8, 2))
    with pytest.raises(StcError, match="stack of blocks"):
        find_sites(model, lambda: model(IDS))


def test_hooks_are_gone_after_the_search():
    model = OddModel()
    with pytest.raises(ZeroDivisionError):
        find_sites(model, lambda: 1 // 0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_parameters_and_flops_by_hand():
    backbone = tiny_backbone("bert")
    embeddings = (64 + 48 + 2) * 16 + 2 * 16
    block = 4 * (16 * 16 + 16) + (16 * 24 + 24) + (24 * 16 + 16) + 2 * 2 * 16
    products = 2 * (4 * 16 * 16 + 2 * 16 * 24)
    for layer in range(N_BLOCKS + 1):
        assert backbone.parameters(layer) == embeddings + layer * block
        assert backbone.flops_per_token(layer) == layer * products
    assert backbone.parameters() == backbone.parameters(N_BLOCKS)


def test_shared_blocks_are_stored_once_and_run_often():
    backbone = tiny_backbone("albert")
    assert len({backbone.parameters(layer) for layer in (1, 2, 3)}) == 1
    one, two, three = (backbone.flops_per_token(layer) for layer in (1, 2, 3))
    assert three - two == two - one > 0


def test_of_experts_the_share_that_a_token_uses_is_counted():
    config = tiny_backbone("qwen2_moe").config
    attention = 2 * 16 * 16 + 2 * 16 * 8
    router, gate, shared = 4 * 16, 16, 3 * 16 * 8
    experts = config.num_experts_per_tok * 3 * 16 * 8
    per_block = 2 * (attention + router + gate + shared + experts)
    assert tiny_backbone("qwen2_moe").flops_per_token(1) == per_block
