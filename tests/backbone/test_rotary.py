"""Rotary positions that depend on a batch's longest text: each text is as if alone."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from helpers.models.pooled import assert_equal
from helpers.models.tiny import N_BLOCKS, N_WORDS, one_thread, shake, tiny_tokenizer  # noqa: F401
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.backbone.rotary import frequencies_of
from stc_core.classifiers.spelling import _check_length
from stc_core.errors import StcError
from stc_core.types import PooledSite, Site

LIMIT = 8
LENGTHS = (3, 20, LIMIT, LIMIT + 1, 12, 20, LIMIT, 3)
SIZES: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "hidden_size": 16,
    "num_hidden_layers": N_BLOCKS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 0,
}
FACTORS = {"short_factor": [1.0, 1.0, 1.0, 1.0], "long_factor": [3.0, 4.0, 5.0, 6.0]}
SCALES = {"short_mscale": 1.0, "long_mscale": 2.0}


def rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **more}}


CONFIGS = {
    "phi3": lambda: hf.Phi3Config(
        **SIZES,
        **rope("longrope", **FACTORS),
        max_position_embeddings=64,
        original_max_position_embeddings=LIMIT,
    ),
    "phimoe": lambda: hf.PhimoeConfig(
        **SIZES,
        **rope("longrope", **FACTORS, **SCALES, original_max_position_embeddings=LIMIT),
        max_position_embeddings=64,
        num_local_experts=2,
        num_key_value_heads=2,
    ),
    "llama": lambda: hf.LlamaConfig(
        **SIZES, **rope("dynamic", factor=4.0), max_position_embeddings=LIMIT
    ),
    "olmo": lambda: hf.OlmoConfig(
        **SIZES, **rope("dynamic", factor=4.0), max_position_embeddings=LIMIT
    ),
}


def model_of(family: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.AutoModel.from_config(CONFIGS[family]()).eval()
        shake(model)
    return model.requires_grad_(False)


@cache
def backbone_of(family: str) -> Backbone:
    return Backbone.from_model(model_of(family), tiny_tokenizer(specials=False))


@cache
def ids() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(5, 40, n).astype(np.int32) for n in LENGTHS]


@torch.inference_mode()
def alone(family: str, row: np.ndarray) -> list[torch.Tensor]:
    """Hidden states of a text in a model that has read nothing before."""
    given = torch.from_numpy(row[None].astype(np.int64))
    return [x[0] for x in fresh(family)(given, output_hidden_states=True).hidden_states]


def fresh(family: str) -> Any:
    model = model_of(family)
    return lambda given, **more: model(input_ids=given, use_cache=False, **more)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_text_is_read_as_if_alone(family):
    backbone = backbone_of(family)
    sites = [Site(layer, "resid") for layer in range(N_BLOCKS + 1)]
    together = backbone.token_activations(ids(), sites)
    wanted = PooledSite(sites[1], "mean")
    pooled = backbone.pooled(ids(), [wanted])[wanted]
    batch = make_batch(ids(), backbone.config, device=backbone.device, packed=False)
    graded = backbone.graded(batch.inputs, sites)
    place = {int(text): row for row, text in enumerate(batch.order)}
    for text, row in enumerate(ids()):
        expected = alone(family, row)
        for site in sites[:-1]:  # the last one goes through the final norm there
            assert_equal(together[text][site], expected[site.layer])
            found = graded[site][place[text], : len(row)]
            assert_equal(found, expected[site.layer])
        assert_equal(pooled[text], expected[1].mean(0))


@pytest.mark.parametrize("family", CONFIGS)
def test_frequencies_do_change_beyond_the_limit(family):
    """Or the test above would prove nothing."""
    row = ids()[1]
    with torch.inference_mode():
        whole = fresh(family)(torch.from_numpy(row[None].astype(np.int64)))
        start = fresh(family)(torch.from_numpy(row[None, :LIMIT].astype(np.int64)))
    gap = (whole.last_hidden_state[0, :LIMIT] - start.last_hidden_state[0]).abs().max()
    assert gap > 1e-3


def test_which_texts_are_read_apart():
    lengths = np.array([3, 8, 9, 20, 9])
    steps = frequencies_of(backbone_of("phi3").model)
    assert (steps.steps, steps.growing) == ((LIMIT,), None)
    assert steps.groups(lengths).tolist() == [0, 0, 1, 1, 1]
    growing = frequencies_of(backbone_of("llama").model)
    assert (growing.steps, growing.growing) == ((), LIMIT)
    first, second, *rest = growing.groups(lengths).tolist()
    assert first == second not in rest
    assert rest[0] == rest[2] != rest[1]


def test_the_notes_say_it_where_texts_can_be_so_long():
    assert (
        f"more than {LIMIT} tokens are read separately" in backbone_of("phi3").notes[0]
    )
    tokenizer = tiny_tokenizer(specials=False)
    short = Backbone.from_model(model_of("phi3"), tokenizer, max_length=LIMIT)
    assert short.notes == ()


def test_a_decoder_does_not_write_beyond_the_limit():
    backbone = backbone_of("phi3")
    _check_length(backbone, LIMIT)
    with pytest.raises(StcError, match=r"at most 8 tokens.*Lower max_length by 3"):
        _check_length(backbone, LIMIT + 3)
