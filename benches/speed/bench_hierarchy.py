"""Answers of a decoder by levels, against flat decoding and two whole passes.

Weights are random: time does not depend on them. `ours` reads level 1 after K1 of the
blocks; upper blocks catch up when level 2 is asked for. `flat`: the fine name alone, on
top. `two_passes`: level 1 and then level 2 by a whole pass each, nothing kept between.
Block evaluations are blocks x tokens; an encoder's coarse answer is below.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import transformers as hf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn

from benches.measure import Row, against, interleaved, show
from stc_core.activations.extract import extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import Tree, tree_of
from stc_core.classifiers.spelling import Names, Speller
from stc_core.types import Feature, Site

BLOCKS, K1, WIDTH, WORDS, END = 12, 7, 384, 4096, 3
N_TOKENS, N_COARSE, N_FINE, NAME_TOKENS, ROUNDS = 60, 6, 8, 3, 2
BATCHES = (1, 32)
Work = Callable[[], object]


def decoder() -> Backbone:
    config = hf.LlamaConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=BLOCKS,
        num_attention_heads=6,
        max_position_embeddings=256,
    )
    words = Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=words)
    torch.manual_seed(0)
    return Backbone.from_model(hf.AutoModel.from_config(config), tokenizer)


def tree() -> Tree:
    pairs = [(f"{a}", f"{a}-{b}") for a in range(N_COARSE) for b in range(N_FINE)]
    return tree_of(np.array(pairs))


def names(kind: Tree) -> Names:
    """Names of as many random tokens, the same for a node wherever it is."""
    rng = np.random.default_rng(0)
    tokens = [
        tuple(tuple(rng.integers(4, WORDS, NAME_TOKENS).tolist()) for _ in level)
        for level in kind.labels
    ]
    return Names(tuple(tokens), END)


def rivals(backbone: Backbone, ids: list[np.ndarray]) -> dict[str, Speller]:
    """One speller for each way; the heads are the same."""
    kind = tree()
    known = names(kind)
    head = nn.Linear(WIDTH, WORDS, bias=False)

    def speller(tree: Tree, names: Names, *layers: int) -> Speller:
        heads = [head] * len(layers)
        return Speller(backbone, tree, names, layers, heads, norm=True)

    alone = [Tree((level,), ((0,) * len(level),)) for level in kind.labels]
    parts = [Names((tokens,), END) for tokens in known.tokens]
    return {
        "ours": speller(kind, known, K1, BLOCKS),
        "flat": speller(alone[1], parts[1], BLOCKS),
        "first": speller(alone[0], parts[0], BLOCKS),
        "second": speller(alone[1], parts[1], BLOCKS),
    }


def two_passes(found: dict[str, Speller], ids: list[np.ndarray]) -> None:
    """The coarse name by all blocks, then the text again with it, by all blocks."""
    coarse = found["first"].descend(ids, 1).nodes[:, 0]
    tokens = found["first"].names.tokens[0]
    again = [
        np.concatenate([one, [END], tokens[node]]).astype(np.int32)
        for one, node in zip(ids, coarse, strict=True)
    ]
    found["second"].descend(again, 1)


def works(found: dict[str, Speller], ids: list[np.ndarray]) -> dict[str, dict]:
    ours = found["ours"]
    return {
        "coarse": {
            "ours": lambda: ours.descend(ids, 1),
            "whole_pass": lambda: found["first"].descend(ids, 1),
        },
        "full": {
            "ours": lambda: ours.descend(ids, 2),
            "flat": lambda: found["flat"].descend(ids, 1),
            "two_passes": lambda: two_passes(found, ids),
        },
    }


def block_tokens(found: dict[str, Speller], work: Work) -> int:
    for speller in found.values():
        speller.block_tokens = [0] * len(speller.block_tokens)
    work()
    return sum(sum(speller.block_tokens) for speller in found.values())


def decoders() -> Iterator[Row]:
    backbone = decoder()
    flops = backbone.flops_per_token(BLOCKS) / BLOCKS
    rng = np.random.default_rng(1)
    for batch in BATCHES:
        ids = [rng.integers(4, WORDS, N_TOKENS).astype(np.int32) for _ in range(batch)]
        found = rivals(backbone, ids)
        for answer, some in works(found, ids).items():
            counts = {name: block_tokens(found, work) for name, work in some.items()}
            seconds = interleaved(some, ROUNDS)
            case = f"decoder, {answer}, batch {batch}"
            for row in against("hierarchy", case, seconds):
                mine, theirs = counts["ours"], counts[row["rival"]]
                yield row | {
                    "evaluations": f"{mine:,} : {theirs:,}",
                    "gflop": f"{mine * flops / 1e9:.2f} : {theirs * flops / 1e9:.2f}",
                    "compute_ratio": round(theirs / mine, 3),
                }


def encoder() -> Iterator[Row]:
    """A coarse answer of the embedded encoder at layer 3 of 6, and the whole model."""
    backbone = Backbone.load(device="cpu")

    def upto(layer: int) -> list[Feature]:
        return [Feature(Site(layer, "resid"), "mean", i) for i in range(384)]

    for batch in BATCHES:
        texts = [f"number {n} " + "where is my parcel now " * 5 for n in range(batch)]
        some: dict[str, Work] = {
            "ours": lambda texts=texts: extract_features(backbone, texts, upto(3)),
            "whole_pass": lambda texts=texts: extract_features(
                backbone, texts, upto(6)
            ),
        }
        ratio = backbone.flops_per_token(6) / backbone.flops_per_token(3)
        case = f"encoder, coarse, batch {batch}"
        for row in against("hierarchy", case, interleaved(some, ROUNDS)):
            yield row | {"compute_ratio": round(ratio, 3)}


def bench() -> Iterator[Row]:
    torch.set_num_threads(1)
    yield from decoders()
    yield from encoder()


if __name__ == "__main__":
    show(bench, __doc__ or "")
