"""Tiny random models of every family, with a tiny tokenizer: all in memory.

`tiny_backbone("bert")` is shared by every test of a session: it refuses to be changed,
and a test that changes its model or tokenizer fails (hermetic.py). `fresh_backbone` is
for tests that do.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import nn

from helpers.hermetic import used, watch
from stc_core.backbone.backbone import Backbone

WORDS = (
    "good bad great awful film plot actor scene funny boring long short never very "
    "not the a an is was and but or with of to in card refund late order broken "
    "password login price cheap fast slow support rude kind"
).split()
SPECIAL = ["<pad>", "<other pad>", "<s>", "</s>", "<unk>"]
VOCAB = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
N_WORDS = 64  # of the models: more than the tokenizer knows
N_BLOCKS = 3

TEXTS = tuple(
    " ".join(WORDS[(7 * i + 11 * j + i * j) % len(WORDS)] for j in range(1 + i % 12))
    for i in range(64)
)
"""64 texts of 1 to 12 words, in no order of length."""

_IDS: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 3}
_PAD_0: dict[str, Any] = {"pad_token_id": 0, **_IDS}
_PAD_1: dict[str, Any] = {"pad_token_id": 1, **_IDS}
_SIZE: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "hidden_size": 16,
    "num_hidden_layers": N_BLOCKS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 48,
}
_GROUPED: dict[str, Any] = {**_SIZE, "num_key_value_heads": 1}
_GPT: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "n_embd": 16,
    "n_layer": N_BLOCKS,
    "n_head": 2,
}
_T5: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": N_BLOCKS,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
_BART: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": N_BLOCKS,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 48,
    "decoder_start_token_id": 3,
}

# As in the released models, whose config class does not name them.
_DEBERTA: dict[str, Any] = {
    "position_buckets": 4,
    "norm_rel_ebd": "layer_norm",
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}

CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: hf.BertConfig(**_SIZE, **_PAD_0),
    "distilbert": lambda: hf.DistilBertConfig(
        vocab_size=N_WORDS,
        dim=16,
        n_layers=N_BLOCKS,
        n_heads=2,
        hidden_dim=24,
        max_position_embeddings=48,
    ),
    "roberta": lambda: hf.RobertaConfig(**_SIZE, **_PAD_1),
    "albert": lambda: hf.AlbertConfig(**_SIZE, **_PAD_0, embedding_size=8),
    "electra": lambda: hf.ElectraConfig(**_SIZE, **_PAD_0, embedding_size=8),
    "mpnet": lambda: hf.MPNetConfig(**_SIZE, **_PAD_1),
    "deberta-v2": lambda: hf.DebertaV2Config(
        **_SIZE,
        **_PAD_0,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        **_DEBERTA,
    ),
    "modernbert": lambda: hf.ModernBertConfig(
        **_SIZE, **_PAD_0, cls_token_id=2, sep_token_id=3, local_attention=6
    ),
    "xlm-roberta": lambda: hf.XLMRobertaConfig(**_SIZE, **_PAD_1),
    "gpt2": lambda: hf.GPT2Config(**_GPT, **_IDS, n_positions=48),
    "gpt_neo": lambda: hf.GPTNeoConfig(
        vocab_size=N_WORDS,
        hidden_size=16,
        num_layers=N_BLOCKS,
        num_heads=2,
        attention_types=[[["global", "local", "global"], 1]],
        window_size=4,
        max_position_embeddings=48,
        **_IDS,
    ),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**_SIZE, **_IDS),
    "opt": lambda: hf.OPTConfig(
        vocab_size=N_WORDS,
        hidden_size=16,
        num_hidden_layers=N_BLOCKS,
        num_attention_heads=2,
        ffn_dim=24,
        word_embed_proj_dim=8,
        max_position_embeddings=48,
        **_PAD_1,
    ),
    "bloom": lambda: hf.BloomConfig(
        vocab_size=N_WORDS, hidden_size=16, n_layer=N_BLOCKS, n_head=2, **_IDS
    ),
    "falcon": lambda: hf.FalconConfig(
        vocab_size=N_WORDS,
        hidden_size=16,
        num_hidden_layers=N_BLOCKS,
        num_attention_heads=2,
        **_IDS,
    ),
    "llama": lambda: hf.LlamaConfig(**_GROUPED, **_IDS),
    "mistral": lambda: hf.MistralConfig(**_GROUPED, **_IDS, sliding_window=6),
    "qwen2": lambda: hf.Qwen2Config(**_GROUPED, **_IDS),
    "qwen3": lambda: hf.Qwen3Config(**_GROUPED, **_IDS, head_dim=8),
    "gemma2": lambda: hf.Gemma2Config(
        **_GROUPED,
        **_PAD_0,
        head_dim=8,
        sliding_window=6,
        attn_logit_softcapping=2.0,
        query_pre_attn_scalar=8,
    ),
    "phi3": lambda: hf.Phi3Config(**_SIZE, **_PAD_0),
    "t5": lambda: hf.T5Config(**_T5, pad_token_id=0, eos_token_id=3),
    "flan-t5": lambda: hf.T5Config(
        **_T5, pad_token_id=0, eos_token_id=3, feed_forward_proj="gated-gelu"
    ),
    "bart": lambda: hf.BartConfig(**_BART, **_PAD_1),
}
"""The families that are known by name."""

UNKNOWN: dict[str, Callable[[], Any]] = {
    "gptj": lambda: hf.GPTJConfig(**_GPT, **_IDS, rotary_dim=4, n_positions=48),
    "olmo2": lambda: hf.Olmo2Config(**_SIZE, **_PAD_0),
    "pegasus": lambda: hf.PegasusConfig(**_BART, **_PAD_0),
    "stablelm": lambda: hf.StableLmConfig(**_GROUPED, **_IDS),
}
"""Families whose sites are found by structure."""

EXPERTS: dict[str, Callable[[], Any]] = {
    "mixtral": lambda: hf.MixtralConfig(**_GROUPED, **_IDS, num_local_experts=2),
    "qwen2_moe": lambda: hf.Qwen2MoeConfig(
        **_GROUPED,
        **_IDS,
        num_experts=4,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
    ),
}
ENCODERS = tuple(CONFIGS)[:9]

Padding = Literal["right", "left", "none"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny products are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_model(family: str = "bert") -> Any:
    """A random model whose sites differ clearly between tokens and positions."""
    used(f"model {family}")
    return _shared_model(family)


@cache
@torch.inference_mode(False)
def _shared_model(family: str) -> Any:
    """Its weights are ordinary ones, even if a test in inference mode asks first."""
    model = fresh_model(family)
    watch(f"model {family}", lambda: look_at(model))
    return model


def look_at(model: nn.Module) -> tuple[object, ...]:
    """Its numbers, and whether it learns, runs hooks or trains.

    Hooks of transformers do not count: they come with the first states it is asked for.
    """
    modules = list(model.modules())
    hooks = [
        not getattr(hook, "__module__", "").startswith("transformers.")
        for m in modules
        for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
    ]
    tensors = [*model.parameters(), *model.buffers()]
    return (
        tuple(crc32(t.detach().numpy().tobytes()) for t in tensors),
        any(t.requires_grad for t in tensors),
        any(m.training for m in modules),
        sum(hooks),
    )


def fresh_model(family: str = "bert") -> Any:
    """The same model, which nobody else has."""
    config = {**CONFIGS, **UNKNOWN, **EXPERTS}[family]()
    with torch.random.fork_rng():
        torch.manual_seed(len(family))
        model = hf.AutoModel.from_config(config).eval()
        shake(model)
    return model.requires_grad_(False)


@torch.no_grad()
def shake(model: nn.Module) -> None:
    """Larger weights than a fresh model's, so that mistakes show."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.3)
        else:
            parameter.add_(0.1 * torch.randn_like(parameter))


def tiny_tokenizer(
    padding: Padding = "right", *, specials: bool = True
) -> hf.PreTrainedTokenizerFast:
    """Words of WORDS, one id each; `<s> text </s>` if `specials`.

    `padding` is the side it pads on; "none": it has no pad token at all.
    """
    used(f"tokenizer {padding} {specials}")
    return _shared_tokenizer(padding, specials)


@cache
def _shared_tokenizer(padding: Padding, specials: bool) -> hf.PreTrainedTokenizerFast:
    made = _tokenizer(padding, specials)
    watch(
        f"tokenizer {padding} {specials}",
        lambda: (
            made.padding_side,
            made.truncation_side,
            made.model_max_length,
            made.special_tokens_map,
            len(made),
            str(made.backend_tokenizer.normalizer),
            str(made.backend_tokenizer.post_processor),
        ),
    )
    return made


def _tokenizer(padding: Padding, specials: bool) -> hf.PreTrainedTokenizerFast:
    backend = Tokenizer(WordLevel(VOCAB, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    if specials:
        backend.post_processor = TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
        )
    more: dict[str, Any] = (
        {} if padding == "none" else {"pad_token": "<pad>", "padding_side": padding}
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **more,
    )


def saved_tiny(folder: Path, family: str = "bert") -> Path:
    """The folder, with a tiny model and its tokenizer in it."""
    tiny_model(family).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


class _Shared(Backbone):
    """A backbone whose attributes stay what they are once it is made."""

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_made"):
            raise AttributeError(f"{self.name} is shared: use tiny.fresh_backbone")
        super().__setattr__(name, value)


def tiny_backbone(family: str = "bert", padding: Padding = "right") -> Backbone:
    """The tiny backbone of a family; special tokens for encoders alone."""
    used(f"model {family}")
    used(f"tokenizer {padding} {family in ENCODERS}")
    return _shared_backbone(family, padding)


@cache
@torch.inference_mode(False)
def _shared_backbone(family: str, padding: Padding) -> Backbone:
    tokenizer = _shared_tokenizer(padding, family in ENCODERS)
    model = _shared_model(family)
    shared = _Shared.from_model(model, tokenizer, name=f"tiny {family}")
    shared._made = True  # pyright: ignore[reportAttributeAccessIssue]
    return shared


def fresh_backbone(family: str = "bert", padding: Padding = "right") -> Backbone:
    """The same backbone, which nobody else has; its tokenizer is shared."""
    tokenizer = tiny_tokenizer(padding, specials=family in ENCODERS)
    return Backbone.from_model(fresh_model(family), tokenizer, name=f"tiny {family}")
