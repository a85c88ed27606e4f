"""Batches without padding give what padded ones give, family by family."""

import numpy as np
import pytest
import torch

from helpers.models.pooled import all_pooled, assert_equal
from helpers.models.tiny import (
    CONFIGS,
    TEXTS,
    UNKNOWN,
    fresh_backbone,
    one_thread,  # noqa: F401
    tiny_backbone,
    tiny_model,
)
from stc_core.backbone.packing import (
    PACKED,
    attend,
    can_pack,
    longest_packed,
    make_batch,
    packed_attention,
)
from stc_core.errors import StcError

CPU = torch.device("cpu")
IDS = [np.array(row) for row in ([7, 8, 9], [5], [4, 6, 8], [9, 9])]


def test_the_table_holds_families_that_are_proven():
    assert {tiny_model(family).config.model_type for family in CONFIGS} >= PACKED
    assert not any(can_pack(tiny_model(family)) for family in UNKNOWN)


@pytest.mark.parametrize("family", sorted(PACKED))
def test_packed_equals_padded(family, monkeypatch):
    backbone = fresh_backbone(family)
    assert backbone.packs
    limit = longest_packed(backbone.config) or 99
    ids = [row for row in backbone.tokenize(TEXTS).ids if len(row) <= limit]
    assert max(map(len, ids)) == min(limit, max(map(len, backbone.tokenize(TEXTS).ids)))
    assert backbone._batch(ids).packed
    packed = backbone.pooled(ids, all_pooled(backbone))
    tokens = backbone.token_activations(ids, backbone.sites)
    monkeypatch.setattr(backbone, "packs", False)
    assert not backbone._batch(ids).packed
    padded = backbone.pooled(ids, all_pooled(backbone))
    for wanted in all_pooled(backbone):
        assert_equal(packed[wanted], padded[wanted])
    for text, expected in zip(
        tokens, backbone.token_activations(ids, backbone.sites), strict=True
    ):
        for site in backbone.sites:
            assert_equal(text[site], expected[site])


@pytest.mark.parametrize("family", ["mistral", "gemma2", "modernbert"])
def test_texts_longer_than_a_window_are_padded(family):
    backbone = tiny_backbone(family)
    limit = longest_packed(backbone.config)
    assert limit is not None
    assert limit == (3 if family == "modernbert" else 6)
    assert backbone._batch([np.full(limit, 5)]).packed
    assert not backbone._batch([np.full(limit + 1, 5), np.full(2, 5)]).packed


def test_a_padded_batch_is_sorted_and_masked():
    config = tiny_model("bert").config
    batch = make_batch(IDS, config, device=CPU, packed=False)
    assert batch.order.tolist() == [1, 3, 0, 2]
    assert batch.inputs["input_ids"].tolist() == [
        [5, 0, 0],
        [9, 9, 0],
        [7, 8, 9],
        [4, 6, 8],
    ]
    assert torch.equal(batch.mask.long(), batch.inputs["attention_mask"])
    assert batch.mask.sum(1).tolist() == [1, 2, 3, 3]


@pytest.mark.parametrize(("family", "first"), [("bert", 0), ("roberta", 2)])
def test_positions_of_a_packed_batch_start_anew(family, first):
    config = tiny_model(family).config
    inputs = make_batch(IDS, config, device=CPU, packed=True).inputs
    assert inputs["input_ids"].tolist() == [[5, 9, 9, 7, 8, 9, 4, 6, 8]]
    positions = inputs["position_ids"] - first
    assert positions.tolist() == [[0, 0, 1, 0, 1, 2, 0, 1, 2]]


def test_a_decoder_reads_the_text_shifted_right():
    config = tiny_model("bart").config
    inputs = make_batch(IDS[:2], config, device=CPU, packed=False).inputs
    assert inputs["input_ids"].tolist() == [[5, 1, 1], [7, 8, 9]]
    assert inputs["decoder_input_ids"].tolist() == [[3, 5, 1], [3, 7, 8]]


@pytest.mark.parametrize("causal", [False, True])
def test_a_high_cap_changes_nothing_a_low_one_does(causal):
    query, key, value = (torch.randn(2, heads, 5, 4) for heads in (4, 2, 2))
    free = attend(query, key, value, scale=0.3, causal=causal)
    high = attend(query, key, value, scale=0.3, causal=causal, softcap=1e4)
    torch.testing.assert_close(high, free, rtol=1e-4, atol=1e-5)
    low = attend(query, key, value, scale=0.3, causal=causal, softcap=0.1)
    assert (low - free).abs().max() > 0.01


def test_the_models_own_attention_is_put_back():
    config = tiny_model("bert").config
    before = config._attn_implementation
    batch = make_batch(IDS, config, device=CPU, packed=True)
    with pytest.raises(ZeroDivisionError), packed_attention(config, batch):
        assert config._attn_implementation != before
        raise ZeroDivisionError
    assert config._attn_implementation == before


def test_empty_batches_and_texts_are_refused():
    config = tiny_model("bert").config
    with pytest.raises(StcError, match="at least one text"):
        make_batch([], config, device=CPU, packed=True)
    with pytest.raises(StcError, match=r"none in rows \[1\]"):
        make_batch([IDS[0], IDS[0][:0]], config, device=CPU, packed=True)
