"""A saved classifier on new texts against a whole backbone and sentence-transformers.

Batches; one text at a time (`ours_s` and `rival_s` are the median, p99 beside them);
loading; and one row by `stc predict` in a process of its own, from nothing. Rivals
read the last layer's mean with a linear head, as is usual.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from benches.measure import (
    DATA,
    Row,
    against,
    as_released,
    interleaved,
    peak_mb,
    show,
    texts,
)
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.classifiers.base import open_base
from stc_core.config import DEFAULT_BACKBONE, DataConfig, RunConfig, TrainConfig
from stc_core.recipes import comparisons, registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

SET, N_FIT, N_BATCH, N_SINGLE, ROUNDS = "sst2", 300, 200, 40, 3
DEPTHS = (3, 6)
BATCH = 32
COLD_TARGET_S = 4.0
Predict = Callable[[list[str]], object]


def trained(folder: Path, depth: int) -> Run:
    """A small run that may read `depth` layers; no baselines."""
    comparisons.baselines_of = lambda *_, **__: {}
    source = Path(os.environ.get("STC_BENCH_DATA", DATA)) / SET / "train.csv"
    table = folder / "texts.csv"
    pd.read_csv(source, nrows=N_FIT, keep_default_na=False).to_csv(table, index=False)
    config = RunConfig(
        data=DataConfig(path=str(table), text="text", labels=("label",)),
        train=TrainConfig(
            device="cpu", kinds=("resid",), poolings=("mean", "max"), max_layer=depth
        ),
    )
    with RunWriter(folder / f"run{depth}", config) as writer:
        return registry.train(config, writer)


def whole(
    model: Any, backbone: Backbone, head: LogisticRegression, some: list[str]
) -> object:
    """Transformers as most write it: padded batches of 32, the last layer, its mean."""
    import torch

    found = []
    with torch.inference_mode():
        for start in range(0, len(some), BATCH):
            inputs = backbone.tokenizer(
                some[start : start + BATCH],
                padding=True,
                truncation=True,
                max_length=backbone.max_length,
                return_tensors="pt",
            )
            hidden = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][:, :, None]
            found.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    return head.predict(np.concatenate(found))


def rivals() -> dict[str, Predict]:
    """Each with a head of the same shape; what its weights are takes no time."""
    rng = np.random.default_rng(0)
    backbone = Backbone.load(device="cpu")
    X = rng.standard_normal((50, backbone.d_model)).astype(np.float32)
    head = LogisticRegression().fit(X, np.arange(50) % 2)
    found: dict[str, Predict] = {
        "whole backbone, last layer": partial(whole, as_released(), backbone, head)
    }
    if find_spec("sentence_transformers"):
        encoder = sentence_transformer()
        found["sentence-transformers + logistic regression"] = lambda some: (
            head.predict(encoder.encode(some, show_progress_bar=False))
        )
    return found


def sentence_transformer() -> Any:
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )

    return SentenceTransformer(str(hub.resolve(DEFAULT_BACKBONE)), device="cpu")


def one_by_one(works: dict[str, Predict], some: list[str]) -> dict[str, np.ndarray]:
    """Seconds of each text alone, the works taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for text in [some[0], *some]:
        for name, work in works.items():
            start = time.perf_counter()
            work([text])
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(taken[1:]) for name, taken in seconds.items()}


def singles(works: dict[str, Predict], some: list[str], case: str) -> Iterator[Row]:
    taken = one_by_one(works, some)
    mine = {
        f"p{p}_ms": round(1e3 * np.percentile(taken["ours"], p), 2) for p in (50, 99)
    }
    for name, theirs in taken.items():
        if name == "ours":
            continue
        ours_s, rival_s = np.median(taken["ours"]), np.median(theirs)
        yield {
            "bench": "predict",
            "case": case,
            "ours_s": round(float(ours_s), 5),
            "rival": name,
            "rival_s": round(float(rival_s), 5),
            "ratio": round(float(rival_s / ours_s), 3),
            **mine,
            "rival_p99_ms": round(1e3 * float(np.percentile(theirs, 99)), 2),
        }


def loading(run: Run) -> Iterator[Row]:
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: open_base(run.folder / "model", device="cpu"),
        "the backbone alone": lambda: Backbone.load(device="cpu"),
    }
    if find_spec("sentence_transformers"):
        works["sentence-transformers"] = sentence_transformer
    yield from against("predict", "load, modules imported", interleaved(works, ROUNDS))


ALONE = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer
model = AutoModel.from_pretrained(sys.argv[1])
with torch.inference_mode():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model(**tokenizer(sys.argv[2], return_tensors="pt"))
"""
"""What most would write to read a text by the same library, without a head."""


def cold(run: Run, folder: Path) -> list[Row]:
    """`stc predict` of one row in a process of its own, against the library alone."""
    one, out, text = folder / "one.csv", folder / "labelled.csv", "an utterly charming"
    one.write_text(f"text\n{text}\n")
    predict = ["-m", "stc_core", "predict", str(run.folder), str(one), "--out", out]
    alone = ["-c", ALONE, str(hub.resolve(DEFAULT_BACKBONE)), text]

    def begin(arguments: list[Any]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    works = {
        "ours": partial(begin, predict),
        "transformers alone: import, load, one forward": partial(begin, alone),
    }
    case = "stc predict of one row, cold process"
    seconds = interleaved(works, ROUNDS)
    return against("predict", case, seconds, target_s=COLD_TARGET_S)


def bench() -> Iterator[Row]:
    some = texts(SET, "test", N_BATCH)
    with tempfile.TemporaryDirectory() as name:
        os.environ["STC_HOME"] = name
        runs = [trained(Path(name), depth) for depth in DEPTHS]
        against_us = rivals()
        for run in runs:
            ours = open_base(run.folder / "model", device="cpu")
            used = f"layers {ours.head_.layer} of {ours.backbone_.n_layers}"
            works: dict[str, Predict] = {"ours": ours.predict, **against_us}
            batch = {who: partial(work, some) for who, work in works.items()}
            yield from against(
                "predict",
                f"{len(some)} texts, {used}",
                interleaved(batch, ROUNDS),
                peak_mb=peak_mb(batch["ours"]),
            )
            yield from singles(works, some[:N_SINGLE], f"one text, {used}")
        yield from loading(runs[-1])
        yield from cold(runs[-1], Path(name))


if __name__ == "__main__":
    show(bench, __doc__ or "")
