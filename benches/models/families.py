"""A tiny random model of any text family of the installed transformers.

A family's own config class says which sizes it has; SMALL gives them tiny values, and
MORE is for families whose sizes must fit each other in a way of their own.
"""

import inspect
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING

N_LAYERS, D_MODEL, D_FFN, N_WORDS, MOST = 4, 32, 56, 64, 20_000_000
NO_TEXT = "reads no text"

SMALL: dict[str, Any] = {
    "vocab_size": N_WORDS,
    **dict.fromkeys(
        "hidden_size d_model n_embd dim emb_dim d_embed model_dim embed_dim".split(),
        D_MODEL,
    ),
    **dict.fromkeys(
        "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers "
        "num_decoder_layers num_encoder_layers".split(),
        N_LAYERS,
    ),
    **dict.fromkeys(
        "num_attention_heads n_head n_heads num_heads encoder_attention_heads "
        "decoder_attention_heads num_encoder_attention_heads "
        "num_decoder_attention_heads".split(),
        4,
    ),
    **dict.fromkeys(
        "num_key_value_heads num_kv_heads multi_query_group_num n_kv_heads".split(), 2
    ),
    **dict.fromkeys(
        "intermediate_size d_ff ffn_dim encoder_ffn_dim decoder_ffn_dim hidden_dim "
        "n_inner d_inner ffn_hidden_size dim_ff shared_expert_intermediate_size "
        "intermediate_size_mlp dff".split(),
        D_FFN,
    ),
    **dict.fromkeys(
        "head_dim d_head d_kv attention_head_size kv_channels v_head_dim".split(), 8
    ),
    "moe_intermediate_size": 16,
    "max_position_embeddings": 128,
    "n_positions": 128,
    "embedding_size": D_MODEL,
    "type_vocab_size": 2,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_local_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "n_mamba_heads": 2,
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "state_size": 8,
    "sliding_window": 16,
    "attention_window": 8,
    "lru_width": D_MODEL,
    "image_size": 16,
    "patch_size": 8,
    "attention_dropout": 0.0,
    "local_radius": 4,
    "global_block_size": 4,
    "local_attn_chunk_length": 8,
    "lsh_attn_chunk_length": 8,
    "chunk_size": 8,
    "attention_chunk_size": 8,
}
MORE: dict[str, dict[str, Any]] = {
    "codegen": {"rotary_dim": 4},
    "gptj": {"rotary_dim": 4},
    "funnel": {"block_sizes": [2, 2], "block_repeats": [1, 1]},
    "reformer": {
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 16],
        "attn_layers": ["local", "lsh", "local", "lsh"],
        "feed_forward_size": D_FFN,
        "num_buckets": 4,
    },
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "luke": {"entity_vocab_size": 16, "entity_emb_size": D_MODEL},
    "marian": {"decoder_start_token_id": 1},
    "lilt": {"hidden_size": 48},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": N_WORDS},
    "gemma4_text": {"vocab_size_per_layer_input": N_WORDS},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2, "n_groups": 1},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8},
    "zamba": {"layers_block_type": ["mamba", "mamba", "hybrid", "hybrid"]},
    "zamba2": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1},
    "recurrent_gemma": {"attention_window_size": 16},
    "longcat_flash": {"head_dim": 8},
    "esmc": {"num_key_value_heads": 4},
    "zaya": {"num_experts_per_tok": 1},
    "dots1": {"n_shared_experts": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
}
IN_THREE = (
    "qwen2_vl",
    "qwen2_5_vl",
    "glm4v",
    "glm46v",
    "glm_image",
    "glm_ocr",
    "paddleocr",
)
"""Families whose rotary positions have three parts, for time, height and width."""
ROTARY = (
    "axk1 axk2 deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa "
    "longcat_flash minicpm3 mistral_large4_text youtu mistral4"
).split()
"""Families whose heads are part rotary, so that no size of the whole head is given."""


VARIANTS: dict[str, dict[str, Any]] = {
    "albert, two layers a group": {"inner_group_num": 2},
    "falcon, new": {"new_decoder_architecture": True},
    "jamba, experts": {"num_experts": 4},
    "longt5, transient-global": {"encoder_attention_type": "transient-global"},
    "opt, projected": {"word_embed_proj_dim": 16},
    "t5, gated": {"feed_forward_proj": "gated-gelu"},
    "phi3, longrope": {
        "original_max_position_embeddings": 8,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 4,
            "long_factor": [3.0, 4.0, 5.0, 6.0],
        },
    },
    "llama, dynamic": {
        "max_position_embeddings": 8,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
    },
}
"""Other forms of a family, of which one may be read differently from the usual."""


class Built(NamedTuple):
    """A tiny model, or why there is none."""

    model: Any
    reason: str


def families() -> list[str]:
    """Names of all families that AutoModel knows, and of the variants."""
    known = dict.fromkeys(config_class.model_type for config_class in MODEL_MAPPING)
    return sorted([*known, *VARIANTS])


def small(config_class: Any, more: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config of that class which are to be tiny."""
    whole = config_class()
    known = set(whole.to_dict()) | set(getattr(whole, "attribute_map", {}))
    mapped = getattr(config_class, "attribute_map", {})
    fields = {
        name: value
        for name, value in SMALL.items()
        if name in known and not (name in mapped and mapped[name] in SMALL)
    }
    depth = getattr(whole, "num_hidden_layers", None)
    for name, value in whole.to_dict().items():
        if isinstance(value, list) and len(value) == depth and depth:
            fields[name] = value[:N_LAYERS]
        elif isinstance(value, int) and name in ("pad_token_id", "bos_token_id"):
            fields[name] = min(value, 3)
    if "pad_token_id" in known:
        fields["pad_token_id"] = 1
    if config_class.model_type.startswith(IN_THREE) and "rope_parameters" in known:
        angles = [1, 1, 0] if "moe" in config_class.model_type else [2, 1, 1]
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": angles}
        fields["rope_parameters"] = rope
    if config_class.model_type in ROTARY:
        fields.pop("head_dim", None)
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    for name in getattr(config_class, "sub_configs", {}):
        if (sub := getattr(whole, name, None)) is not None:
            fields[name] = type(sub)(**small(type(sub), {}))
    return fields | more


def build(name: str) -> Built:
    """A tiny model of the family, all of whose weights differ from their defaults."""
    family = name.partition(",")[0]
    config_class = CONFIG_MAPPING[family]
    model_class: Any = MODEL_MAPPING[config_class]
    several = isinstance(model_class, (list, tuple))
    if several:
        model_class = model_class[0]
    if "input_ids" not in inspect.signature(model_class.forward).parameters:
        return Built(None, NO_TEXT)
    more = MORE.get(family, {}) | VARIANTS.get(name, {})
    fields = small(config_class, more)
    if family == "funnel":  # its depth is that of its `block_sizes`
        for name in ("num_hidden_layers", "num_layers"):
            fields.pop(name, None)
    config = config_class(**fields)
    if several:
        config.architectures = [model_class.__name__]
    with torch.device("meta"):
        n = sum(p.numel() for p in AutoModel.from_config(config).parameters())
    if n > MOST:
        return Built(None, f"{n:,} parameters where all known sizes are small")
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    shake(model)
    return Built(model, "")


@torch.no_grad()
def shake(model: nn.Module) -> None:
    """Larger weights than a fresh model's, so that mistakes show."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.2)
        else:
            parameter.add_(0.1 * torch.randn_like(parameter))
