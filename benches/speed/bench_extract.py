"""Extraction to disk of all sites against forwards that keep less, or nothing.

STC_BENCH_DTYPE=bfloat16 measures that against float32 alone, on a CPU that has it.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benches.measure import (
    Row,
    against,
    as_released,
    interleaved,
    peak_mb,
    show,
    texts,
)
from stc_core.activations.extract import extract, measure_speed, plan_extraction
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import token_batches
from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE
from stc_core.types import PooledSite

CASES = (("sst2", 650), ("trec", 900), ("imdb", 60))
ROUNDS = 3
BUDGET = 2048
ARRIVAL, SPIN = 32, 600


def ours(backbone: Backbone, corpus: list[str], wanted: list[PooledSite]) -> None:
    """Everything: tokens, forwards, poolings, and the store on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        extract(backbone, corpus, wanted, folder=Path(folder), token_budget=BUDGET)


def padded(backbone: Backbone, ids: list[np.ndarray]) -> dict[str, torch.Tensor]:
    longest = max(map(len, ids))
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, of_text in enumerate(ids):
        tokens[row, : len(of_text)] = torch.from_numpy(of_text)
        mask[row, : len(of_text)] = 1
    return {
        "input_ids": tokens.to(backbone.device),
        "attention_mask": mask.to(backbone.device),
    }


def bare(model: nn.Module, batches: list[dict[str, torch.Tensor]]) -> None:
    """The limit: padded batches of the same tokens, ready made; nothing is kept."""
    with torch.inference_mode():
        for inputs in batches:
            model(**inputs)


def naive(model: nn.Module, backbone: Backbone, corpus: list[str], size: int) -> None:
    """Arrival order, hidden states only, pooled afterwards; nothing is stored."""
    with torch.inference_mode():
        for start in range(0, len(corpus), size):
            ids = backbone.tokenize(corpus[start : start + size]).ids
            inputs = padded(backbone, ids)
            states = model(**inputs, output_hidden_states=True).hidden_states
            mask = inputs["attention_mask"][:, :, None]
            for hidden in states:
                _ = (
                    (hidden * mask).sum(1) / mask.sum(1),
                    hidden.masked_fill(mask == 0, -torch.inf).amax(1),
                    hidden[:, 0].clone(),
                )


def encoder(name: str) -> Callable[[list[str]], object] | None:
    """The encode of sentence-transformers, for the last layer; None: not there."""
    if find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )

    model = SentenceTransformer(str(hub.resolve(name)), device="cpu")
    return partial(model.encode, batch_size=ARRIVAL, show_progress_bar=False)


def halves(dtype: str) -> Iterator[Row]:
    """The whole extraction in another data type, beside float32."""
    half, full = (Backbone.load(device="cpu", dtype=d) for d in (dtype, "float32"))
    wanted = [
        PooledSite(site, pooling)
        for site in full.sites
        for pooling in full.default_poolings
    ]
    for name, n in CASES:
        corpus = list(dict.fromkeys(texts(name, "train", n)))
        works = {
            "ours": partial(ours, half, corpus, wanted),
            "float32": partial(ours, full, corpus, wanted),
        }
        seconds = interleaved(works, ROUNDS)
        yield from against("extract", f"{name}, {dtype}", seconds)


def bench() -> Iterator[Row]:
    if dtype := os.environ.get("STC_BENCH_DTYPE"):
        yield from halves(dtype)
        return
    backbone, encode = Backbone.load(device="cpu"), encoder(DEFAULT_BACKBONE)
    model = as_released()
    wanted = [
        PooledSite(site, pooling)
        for site in backbone.sites
        for pooling in backbone.default_poolings
    ]
    for name, n in CASES:
        corpus = list(dict.fromkeys(texts(name, "train", n)))
        tokens = backbone.tokenize(corpus)
        lengths = np.array([len(row) for row in tokens.ids])
        batches = [
            padded(backbone, [tokens.ids[text] for text in batch])
            for batch in token_batches(lengths, BUDGET, max_texts=len(corpus))
        ]
        speed = measure_speed(backbone, tokens, wanted, token_budget=BUDGET)
        plan = plan_extraction(
            backbone, tokens, wanted, token_budget=BUDGET, speed=speed
        )
        works: dict[str, Callable[[], object]] = {
            "ours": partial(ours, backbone, corpus, wanted),
            "bare forward, sorted, same batches": partial(bare, model, batches),
            "naive: batches of 32, pooled afterwards": partial(
                naive, model, backbone, corpus, ARRIVAL
            ),
            "SPIN's schedule: batches of 600": partial(
                naive, model, backbone, corpus, SPIN
            ),
        }
        if encode is not None:
            works["sentence-transformers, last layer"] = partial(encode, corpus)
        seconds = interleaved(works, ROUNDS)
        more = {
            "peak_mb": peak_mb(works["ours"]),
            "planned_mb": plan.memory_bytes // 1_000_000,
            "planned_s": round(plan.seconds, 2),
            "texts": plan.n_texts,
            "tokens": plan.n_tokens,
        }
        yield from against(
            "extract", f"{name}, {len(wanted)} pooled sites", seconds, **more
        )


if __name__ == "__main__":
    show(bench, __doc__ or "")
