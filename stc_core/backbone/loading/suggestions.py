"""Language models to begin with: what each is for, how large it is, how fast it reads.

The facts are those of the model cards and configs on the Hugging Face Hub. No model is
looked up here, so the list needs no network.
"""

from typing import Literal, NamedTuple

from stc_core.backbone.loading.hub import cached_names
from stc_core.config import DEFAULT_BACKBONE


class SuggestedModel(NamedTuple):
    """A language model with its facts.

    `name` is its id on the Hub. `block_parameters` are the weights of its blocks: each
    token goes through all of them once, so they say how long reading takes.
    """

    name: str
    kind: Literal["encoder", "decoder"]
    languages: str
    good_for: str
    layers: int
    block_parameters: int
    download_bytes: int


def blocks(layers: int, width: int, inner: int, *, gated: bool, key_width: int) -> int:
    """The weights of the matrices of all blocks.

    `inner` is the width of the feed-forward network, `gated` if that has a third
    matrix, and `key_width` the width of keys and of values together.
    """
    attention = 2 * width**2 + width * key_width
    return layers * (attention + (3 if gated else 2) * width * inner)


SUGGESTED = (
    SuggestedModel(
        DEFAULT_BACKBONE,
        "encoder",
        "English",
        "a first look; it is part of the installation",
        6,
        blocks(6, 384, 1536, gated=False, key_width=768),
        0,
    ),
    SuggestedModel(
        "BAAI/bge-small-en-v1.5",
        "encoder",
        "English",
        "twice the layers at the same width",
        12,
        blocks(12, 384, 1536, gated=False, key_width=768),
        133_000_000,
    ),
    SuggestedModel(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "encoder",
        "50 languages",
        "short texts that are not in English",
        12,
        blocks(12, 384, 1536, gated=False, key_width=768),
        471_000_000,
    ),
    SuggestedModel(
        "intfloat/multilingual-e5-small",
        "encoder",
        "about 100 languages",
        "longer texts that are not in English",
        12,
        blocks(12, 384, 1536, gated=False, key_width=768),
        471_000_000,
    ),
    SuggestedModel(
        "answerdotai/ModernBERT-base",
        "encoder",
        "English",
        "long texts, and many layers to look at",
        22,
        blocks(22, 768, 1152, gated=True, key_width=1536),
        599_000_000,
    ),
    SuggestedModel(
        "FacebookAI/xlm-roberta-base",
        "encoder",
        "100 languages",
        "a well-known model of many languages",
        12,
        blocks(12, 768, 3072, gated=False, key_width=1536),
        1_110_000_000,
    ),
    SuggestedModel(
        "HuggingFaceTB/SmolLM2-135M",
        "decoder",
        "English",
        "a small decoder, which can also write labels and replies",
        30,
        blocks(30, 576, 1536, gated=True, key_width=384),
        269_000_000,
    ),
)
"""From five to eight models, the default first. Each has its weights in safetensors."""


def reading_factor(model: SuggestedModel) -> float:
    """How many times as long as the default the model reads a text, about."""
    return model.block_parameters / SUGGESTED[0].block_parameters


def is_here(model: SuggestedModel) -> bool:
    """True if the model is on this machine."""
    return model.name in cached_names()
