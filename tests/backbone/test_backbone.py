"""Pooled sites of every family against Hugging Face's own hidden states.

The oracle runs each text alone, in full, without padding, on other hooks.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from tokenizers import normalizers
from torch import nn

from helpers.models.odd import OddModel
from helpers.models.pooled import BY_HAND, all_pooled, assert_equal
from helpers.models.tiny import (
    CONFIGS,
    ENCODERS,
    EXPERTS,
    N_WORDS,
    TEXTS,
    UNKNOWN,
    Padding,
    one_thread,  # noqa: F401
    shake,
    tiny_backbone,
    tiny_model,
    tiny_tokenizer,
)
from stc_core.backbone.backbone import Backbone
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.poolings import POOLING_RULES
from stc_core.types import PooledSite, Site

FAMILIES = [*CONFIGS, *UNKNOWN, *EXPERTS]
PROVEN = TEXTS[:12]  # of every length once; the oracle is slow
FINAL_NORM = {
    "modernbert": "final_norm",
    "gpt2": "ln_f",
    "gpt_neo": "ln_f",
    "gpt_neox": "final_layer_norm",
    "opt": "decoder.final_layer_norm",
    "bloom": "ln_f",
    "falcon": "ln_f",
    "gptj": "ln_f",
    **dict.fromkeys(
        ["llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "olmo2", "stablelm"],
        "norm",
    ),
    **dict.fromkeys(EXPERTS, "norm"),
}
FINAL_NORM_OF_BOTH = {
    "t5": "final_layer_norm",
    "flan-t5": "final_layer_norm",
    "pegasus": "layer_norm",
}
DOWN = {
    **dict.fromkeys(
        ["bert", "roberta", "electra", "mpnet", "deberta-v2", "xlm-roberta"],
        ("encoder.layer.{}.output.dense",),
    ),
    "distilbert": ["transformer.layer.{}.ffn.lin2"],
    "albert": ["encoder.albert_layer_groups.0.albert_layers.0.ffn_output"],
    "modernbert": ["layers.{}.mlp.Wo"],
    "gpt2": ["h.{}.mlp.c_proj"],
    "gpt_neo": ["h.{}.mlp.c_proj"],
    "gpt_neox": ["layers.{}.mlp.dense_4h_to_h"],
    "opt": ["decoder.layers.{}.fc2"],
    "bloom": ["h.{}.mlp.dense_4h_to_h"],
    "falcon": ["h.{}.mlp.dense_4h_to_h"],
    **dict.fromkeys(
        ["llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "olmo2", "stablelm"],
        ("layers.{}.mlp.down_proj",),
    ),
    "t5": [
        "encoder.block.{}.layer.1.DenseReluDense.wo",
        "decoder.block.{}.layer.2.DenseReluDense.wo",
    ],
    "bart": ["encoder.layers.{}.fc2", "decoder.layers.{}.fc2"],
    "gptj": ["h.{}.mlp.fc_out"],
}
DOWN["flan-t5"], DOWN["pegasus"] = DOWN["t5"], DOWN["bart"]


def decoder_ids(model, ids: torch.Tensor) -> torch.Tensor:
    start = torch.tensor([[model.config.decoder_start_token_id]])
    return torch.cat([start, ids[:, :-1]], dim=1)


def residuals(family: str, ids: torch.Tensor) -> dict[Site, torch.Tensor]:
    """Every hidden state that Hugging Face returns; those it norms have site -layer."""
    model = tiny_model(family)
    full = {"attention_mask": torch.ones_like(ids), "output_hidden_states": True}
    if model.config.is_encoder_decoder:
        out = model(input_ids=ids, decoder_input_ids=decoder_ids(model, ids), **full)
        stacks = [out.encoder_hidden_states, out.decoder_hidden_states]
    else:
        stacks = [model(input_ids=ids, **full).hidden_states]
    states = [state for stack in stacks for state in stack]
    return {Site(layer, "resid"): state[0] for layer, state in enumerate(states)}


def activations(family: str, ids: torch.Tensor) -> dict[Site, torch.Tensor]:
    """The inputs of every down-projection, captured here by name."""
    model, caught, handles = tiny_model(family), [], []
    wanted = [
        name.format(number) for name in DOWN.get(family, []) for number in range(9)
    ]
    for name, module in model.named_modules():
        if name in wanted:

            def keep(module, args):
                caught.append(args[0].clone().reshape(ids.shape[1], -1))

            handles.append(module.register_forward_pre_hook(keep))
    residuals(family, ids)
    for handle in handles:
        handle.remove()
    layers = [1, 2, 4, 5, 6] if model.config.is_encoder_decoder else [1, 2, 3]
    return {
        Site(layer, "mlp"): x for layer, x in zip(layers, caught, strict=bool(caught))
    }


@cache
@torch.inference_mode()
def oracle(family: str) -> list[dict[Site, np.ndarray]]:
    ids = tiny_backbone(family).tokenize(PROVEN).ids
    rows = [torch.from_numpy(row[None].astype(np.int64)) for row in ids]
    return [
        {
            s: x.numpy()
            for s, x in (residuals(family, r) | activations(family, r)).items()
        }
        for r in rows
    ]


def normed(family: str) -> dict[Site, nn.Module]:
    """Sites whose state Hugging Face shows only after a norm, and that norm."""
    model = tiny_model(family)
    if family in FINAL_NORM:
        return {Site(3, "resid"): model.get_submodule(FINAL_NORM[family])}
    if family in FINAL_NORM_OF_BOTH:
        norm = FINAL_NORM_OF_BOTH[family]
        return {
            Site(2, "resid"): model.get_submodule(f"encoder.{norm}"),
            Site(6, "resid"): model.get_submodule(f"decoder.{norm}"),
        }
    return {}


@pytest.mark.parametrize("family", FAMILIES)
def test_token_activations_equal_hugging_face(family):
    backbone = tiny_backbone(family)
    found = backbone.token_activations(backbone.tokenize(PROVEN).ids, backbone.sites)
    norms = normed(family)
    for text, expected in zip(found, oracle(family), strict=True):
        assert set(text) == set(expected) == set(backbone.sites)
        for site, hidden in text.items():
            if site in norms:
                hidden = norms[site](hidden)
                if family == "opt":  # goes on to the words' own width
                    hidden = tiny_model("opt").decoder.project_out(hidden)
            assert_equal(hidden, expected[site])


@pytest.mark.parametrize("padding", ["right", "left", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_pooled_equals_unpadded_forwards(family, padding: Padding):
    """In a batch of 64, whatever the tokenizer thinks of padding."""
    backbone = tiny_backbone(family, padding)
    pooled = backbone.pooled(backbone.tokenize(TEXTS).ids, all_pooled(backbone))
    norms = normed(family)
    for (site, pooling), block in pooled.items():
        assert block.dtype == torch.float32
        assert block.shape == (len(TEXTS), backbone.widths[site])
        if site not in norms:  # those are proven by the next test
            by_hand = [BY_HAND[pooling](text[site]) for text in oracle(family)]
            assert_equal(block[: len(PROVEN)], np.stack(by_hand))


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_of_one_equals_batch_of_64(family):
    backbone = tiny_backbone(family)
    ids = backbone.tokenize(TEXTS).ids
    together = backbone.pooled(ids, all_pooled(backbone))
    for row in (0, 11, 37, 63):
        alone = backbone.pooled([ids[row]], all_pooled(backbone))
        tokens = backbone.token_activations([ids[row]], backbone.sites)[0]
        for (site, pooling), block in together.items():
            assert_equal(block[row], alone[PooledSite(site, pooling)][0])
            by_hand = BY_HAND[pooling](tokens[site].numpy())
            assert_equal(block[row], by_hand)


@pytest.mark.parametrize("family", FAMILIES)
def test_truncated_equals_full_and_runs_nothing_above(family):
    backbone = tiny_backbone(family)
    ids = backbone.tokenize(TEXTS[:9]).ids
    full = backbone.pooled(ids, all_pooled(backbone))
    blocks = backbone._anatomy.points
    for layer in range(backbone.n_layers + 1):
        below = [w for w in all_pooled(backbone) if w.site.layer <= layer]
        started: list[tuple] = []
        handles = [
            module.register_forward_hook(lambda *_, ran=started: ran.append(_))
            for module in {blocks[Site(x, "resid")].module for x in range(layer + 1)}
            | {blocks[Site(backbone.n_layers, "resid")].module}
        ]
        try:
            cut = backbone.pooled(ids, below)
        finally:
            for handle in handles:
                handle.remove()
        for wanted in below:
            torch.testing.assert_close(cut[wanted], full[wanted], rtol=0, atol=0)
        decoders_embeddings = int(
            "decoder" in " ".join(backbone.layer_names[: layer + 1])
        )
        assert len(started) == max(layer - decoders_embeddings, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_causal_or_not(family):
    backbone = tiny_backbone(family)
    reads_both_ways = family in ENCODERS or backbone.config.is_encoder_decoder
    assert backbone.causal is not reads_both_ways
    first = "first" if family in ENCODERS else "last"
    assert backbone.default_poolings == (first, "max", "mean")


def test_a_made_up_model_works_like_any_other():
    model = OddModel()
    model.words = nn.Embedding(N_WORDS, 8)
    shake(model)
    backbone = Backbone.from_model(model, tiny_tokenizer("none"), name="odd")
    assert (backbone.family, backbone.n_layers, backbone.d_model) == ("odd", 3, 8)
    ids = backbone.tokenize(["good film"]).ids
    tokens = backbone.token_activations(ids, backbone.sites)[0]
    stream = tokens[Site(2, "resid")][None]
    expected = model.two(stream=stream)[0]
    torch.testing.assert_close(tokens[Site(3, "resid")], expected)


@pytest.mark.parametrize(("family", "limit"), [("bert", 48), ("roberta", 46)])
def test_the_limit_is_that_of_the_positions(family, limit):
    assert tiny_backbone(family).max_length == limit
    with pytest.raises(StcError, match=f"expected 3 to {limit} tokens; got 49"):
        Backbone.from_model(tiny_model(family), tiny_tokenizer(), max_length=49)
    longest = Backbone.from_model(tiny_model(family), tiny_tokenizer())
    ids, n_cut = longest.tokenize(["good " * 90])
    pooled = longest.pooled(ids, [PooledSite(Site(3, "resid"), "mean")])
    assert n_cut == 1
    assert torch.isfinite(*pooled.values()).all()


def test_unknown_sites_and_empty_batches_are_refused():
    backbone = tiny_backbone("mixtral")
    ids = backbone.tokenize(["good"]).ids
    with pytest.raises(StcError, match=r"got mlp.1.*experts"):
        backbone.pooled(ids, [PooledSite(Site(1, "mlp"), "mean")])
    with pytest.raises(StcError, match="at least one text"):
        backbone.pooled([], [PooledSite(Site(1, "resid"), "mean")])
    with pytest.raises(StcError, match=r"none in rows \[1\]"):
        backbone.pooled([ids[0], ids[0][:0]], [PooledSite(Site(1, "resid"), "mean")])


def test_a_model_that_drops_tokens_is_refused():
    class Transposed(OddModel):
        def forward(self, input_ids, attention_mask):
            return super().forward(input_ids.T, attention_mask)

    with pytest.raises(StcError, match="stack of blocks"):
        Backbone.from_model(Transposed(), tiny_tokenizer())


def test_identity_follows_weights_and_configuration():
    model = tiny_model("bert")
    one = Backbone.from_model(model, tiny_tokenizer())
    again = Backbone.from_model(model, tiny_tokenizer())
    assert one.identity == again.identity
    assert one.revision == one.identity[:12]
    other = Backbone.from_model(tiny_model("roberta"), tiny_tokenizer())
    assert other.identity != one.identity
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer(["good"], truncation=True, max_length=5, padding=True)
    assert Backbone.from_model(model, tokenizer).identity == one.identity
    tokenizer.truncation_side = "left"
    assert Backbone.from_model(model, tokenizer).identity != one.identity
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert Backbone.from_model(model, tokenizer).identity != one.identity


def test_the_embedded_backbone_loads_quietly(capfd):
    backbone = Backbone.load()
    assert "".join(capfd.readouterr()) == ""
    assert (backbone.name, backbone.family) == (DEFAULT_BACKBONE, "bert")
    assert (backbone.n_layers, backbone.d_model) == (6, 384)
    assert backbone.parameters() == 22_565_376
    ids = backbone.tokenize(
        ["A fine film.", "Dull, and far too long to sit through."]
    ).ids
    last = PooledSite(Site(6, "resid"), "mean")
    row = torch.from_numpy(ids[0][None].astype(np.int64))
    with torch.inference_mode():
        expected = (
            backbone.model(row, torch.ones_like(row)).last_hidden_state[0].mean(0)
        )
    torch.testing.assert_close(backbone.pooled(ids, [last])[last][0], expected)


def test_device_and_dtype_are_checked():
    with pytest.raises(StcError, match="device: expected auto, cpu"):
        Backbone.load(device="abacus")
    with pytest.raises(StcError, match="dtype: expected auto, float32"):
        Backbone.load(dtype="float7")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_float32_features(dtype):
    backbone = Backbone.load(dtype=dtype, device="cpu")
    assert str(backbone.dtype) == f"torch.{dtype}"
    ids = backbone.tokenize(["A fine film.", "Dull."]).ids
    wanted = [PooledSite(Site(6, "resid"), pooling) for pooling in POOLING_RULES]
    pooled = backbone.pooled(ids, wanted)
    full = Backbone.load(device="cpu").pooled(ids, wanted)
    for key, block in pooled.items():
        assert block.dtype == torch.float32
        error = (block - full[key]).norm() / full[key].norm()
        assert error < 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_of_the_table_sees_padding(family):
    assert not tiny_backbone(family).sees_padding


@pytest.mark.parametrize("config", [hf.FNetConfig, hf.ConvBertConfig])
def test_a_model_that_sees_padding_reads_texts_of_one_length_together(config):
    sizes: dict[str, Any] = {
        "vocab_size": N_WORDS,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 32,
        "pad_token_id": 0,
    }
    if config is hf.ConvBertConfig:
        sizes |= {"num_attention_heads": 4, "embedding_size": 16}
    torch.manual_seed(0)
    model = hf.AutoModel.from_config(config(**sizes))
    backbone = Backbone.from_model(model, tiny_tokenizer())
    assert backbone.sees_padding
    assert "only texts of equal length" in " ".join(backbone.notes)
    ids = backbone.tokenize(["good film", "a", "a good film with a plot", "a film"]).ids
    together = backbone.pooled(ids, all_pooled(backbone))
    means = backbone.content_means(ids, backbone.sites)
    tokens = backbone.token_activations(ids, backbone.sites)
    for row, text in enumerate(ids):
        alone = backbone.pooled([text], all_pooled(backbone))
        for wanted, block in alone.items():
            assert_equal(together[wanted][row], block[0])
        for site, block in backbone.content_means([text], backbone.sites).items():
            assert_equal(means[site][row], block[0])
        for site in backbone.sites:
            expected = backbone.token_activations([text], [site])[0][site]
            assert_equal(tokens[row][site], expected)


def test_a_thread_that_is_alone_with_the_model_may_read_it(monkeypatch):
    backbone = tiny_backbone("bert")
    ids, wanted = backbone.tokenize(["good film"]).ids, all_pooled(backbone)
    with ThreadPoolExecutor(1) as other:
        with backbone.alone():
            waiting = other.submit(backbone.pooled, ids, wanted)
            found = backbone.pooled(ids, wanted)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        for key, block in waiting.result(timeout=20).items():
            assert_equal(block, found[key])
