"""Extraction on a GPU against the bare forward at its best batching, in bfloat16.

Ours runs at its own default batches. `host`: every pooled site of every text reaches
the host's memory; `store`: and the disk, tokenised on the way; `neurons`: only 800
neurons are kept, as for predictions. MFU is that of ours, relative to the rate of a
large matrix product measured in the same run.
"""

import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaModel

from benches.measure import Row, against, interleaved, show, texts
from stc_core.activations.extract import extract, extract_features
from stc_core.activations.forward import PENDING, BatchBudget
from stc_core.activations.transfer import pack
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import token_batches
from stc_core.types import Feature, PooledSite

ROUNDS = 3
BUDGETS = (16_384, 65_536, 262_144)
NEURONS = 800
SIDE = 8192
BILLION = LlamaConfig(
    vocab_size=32_000,
    hidden_size=2048,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    intermediate_size=8192,
)
# backbone, data set, texts of it, how many times over
CASES = (
    ("MiniLM", "trec", 5_000, 8),
    ("MiniLM", "imdb", 2_000, 4),
    ("random Llama, 1.0B", "trec", 4_000, 1),
    ("random Llama, 1.0B", "imdb", 1_000, 1),
)


def backbones() -> dict[str, Backbone]:
    small = Backbone.load(device="cuda", dtype="bfloat16")
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaModel(BILLION).bfloat16()
    large = Backbone.from_model(model, small.tokenizer, name="random Llama, 1.0B")
    return {"MiniLM": small, large.name: large}


def synchronised(work: Callable[[], object]) -> None:
    work()
    torch.cuda.synchronize()


def bare(backbone: Backbone, batches: list[dict[str, torch.Tensor]]) -> None:
    """Padded, sorted batches that lie on the GPU already; nothing is kept."""
    with torch.inference_mode():
        for inputs in batches:
            backbone.model(**inputs)


def padded(ids: list[np.ndarray]) -> dict[str, torch.Tensor]:
    lengths = np.array([len(row) for row in ids])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, np.int64)
    tokens[mask] = np.concatenate(ids)
    return {
        "input_ids": torch.from_numpy(tokens).cuda(),
        "attention_mask": torch.from_numpy(mask).long().cuda(),
    }


def in_batches(ids: list[np.ndarray], budget: int) -> list[list[np.ndarray]]:
    lengths = np.array([len(row) for row in ids])
    batches = token_batches(lengths, budget, max_texts=len(ids))
    return [[ids[text] for text in batch] for batch in batches]


def to_host(
    backbone: Backbone, batches: list[list[np.ndarray]], wanted: list[PooledSite]
) -> None:
    """Every pooled site in the host's memory, PENDING copies beside the computation."""
    pending = deque()
    for batch in batches:
        pending.append(pack(backbone.pooled(batch, wanted)))
        if len(pending) == PENDING:
            pending.popleft().values.wait()
    while pending:
        pending.popleft().values.wait()


def to_disk(backbone: Backbone, corpus: list[str], wanted: list[PooledSite]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        extract(backbone, corpus, wanted, folder=Path(folder))


def matmul_rate() -> float:
    """FLOP/s of a large product of bfloat16 matrices."""
    a = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        _ = a @ a
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / float(np.median(seconds))


def case(backbone: Backbone, name: str, corpus: list[str], peak: float) -> list[Row]:
    ids = backbone.tokenize(corpus).ids
    n_tokens = sum(map(len, ids))
    wanted = [
        PooledSite(site, pooling)
        for site in backbone.sites
        for pooling in backbone.default_poolings
    ]
    rng = np.random.default_rng(0)
    features = [
        Feature(site, pooling, int(rng.integers(backbone.widths[site])))
        for site, pooling in (
            wanted[at] for at in rng.integers(len(wanted), size=NEURONS)
        )
    ]
    own = in_batches(ids, BatchBudget(backbone, wanted, None).tokens)
    forwards = {
        f"bare, {budget:,} tokens": partial(
            bare, backbone, [padded(batch) for batch in in_batches(ids, budget)]
        )
        for budget in BUDGETS
    }
    ours = {
        "host": partial(to_host, backbone, own, wanted),
        "neurons": partial(extract_features, backbone, corpus, features),
        "store": partial(to_disk, backbone, corpus, wanted),
    }
    works = {k: partial(synchronised, v) for k, v in (ours | forwards).items()}
    seconds = interleaved(works, ROUNDS)
    best = min(forwards, key=lambda forward: float(np.median(seconds[forward])))
    rows = []
    for kept in ours:
        torch.cuda.reset_peak_memory_stats()
        works[kept]()
        rows += against(
            "cuda",
            f"{backbone.name}, {name} x {len(corpus):,}: {kept}",
            {"ours": seconds[kept], best: seconds[best]},
            tokens_per_s=round(n_tokens / float(np.median(seconds[kept]))),
            mfu=round(
                n_tokens
                * backbone.flops_per_token()
                / float(np.median(seconds[kept]))
                / peak,
                3,
            ),
            peak_mb=torch.cuda.max_memory_allocated() // 1_000_000,
            packed=backbone.packs,
            gpu=torch.cuda.get_device_name(),
        )
    return rows


def bench() -> Iterator[Row]:
    if not torch.cuda.is_available():
        sys.stderr.write("No CUDA device: nothing is measured.\n")
        return
    peak, known = matmul_rate(), backbones()
    for which, name, n, times in CASES:
        few = texts(name, "train", n)
        # Distinct texts: equal ones are computed once.
        corpus = [f"{text} {turn}" for turn in range(times) for text in few]
        yield from case(known[which], name, list(dict.fromkeys(corpus)), peak)


if __name__ == "__main__":
    show(bench, __doc__ or "")
