"""Backbones ranked on a sample of a table before any of them is trained on it."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.activations.extract import extract
from stc_core.activations.resolution import resolved_reader
from stc_core.backbone.backbone import Backbone
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.errors import StcError
from stc_core.recipes.results import task_of
from stc_core.selection.folds import stratified_order
from stc_core.sweeps.axes import once_each
from stc_core.sweeps.log_me import log_me
from stc_core.types import PooledSite, Progress, silent

RANKED_ROWS = 1000
LEAST_ROWS, MOST_ROWS = 20, 5000
"""The score decomposes a matrix with a row for each text, so its time is bounded."""


class RankedBackbone(NamedTuple):
    """A backbone and its score on the sample; without a score the reason says why.

    `score` is the LogME of the mean hidden states of its best `layer`. It has no unit
    and compares backbones on the same rows only. `seconds` is the time of all: loading,
    reading the texts, the score.
    """

    backbone: str
    score: float | None
    layer: int | None
    seconds: float
    n_layers: int | None = None
    parameters: int | None = None
    reason: str = ""


class RankingSample(NamedTuple):
    """Some learned rows of a corpus: their texts, and their classes as numbers."""

    texts: list[str]
    codes: Int[np.ndarray, " n"]


def draw_ranking_sample(
    corpus: Corpus, settings: TrainConfig, *, rows: int = RANKED_ROWS
) -> RankingSample:
    """At most `rows` training and validation rows, each class in proportion.

    Test rows take no part. StcError for a number of rows outside LEAST_ROWS to
    MOST_ROWS.
    """
    if not LEAST_ROWS <= rows <= MOST_ROWS:
        raise StcError(
            "option --rows",
            expected=f"{LEAST_ROWS} to {MOST_ROWS:,} rows",
            got=f"{rows:,}",
        )
    task = task_of(corpus, settings)
    ordered = stratified_order(task.codes, task.learned, seed=settings.seed)
    some = np.sort(ordered[:rows])
    return RankingSample(list(corpus.texts.at(some)), task.codes[some])


def rank_backbones(
    sample: RankingSample,
    names: Sequence[str],
    settings: TrainConfig,
    *,
    progress: Progress = silent,
    on_result: Callable[[RankedBackbone], None] = lambda ranked: None,
) -> list[RankedBackbone]:
    """The backbones, the best score first, those without a score last.

    One that cannot be loaded or read costs its own row. `settings` has the longest text
    and the device. `on_result` gets each as it is done, and `progress` counts the
    tokens of each. StcError for a name that is given twice.
    """
    ranked = []
    for name in once_each(names, "--backbone"):
        found = _ranked(sample, settings.changed(backbone=name), progress)
        ranked.append(found)
        on_result(found)
    return sorted(ranked, key=lambda one: np.inf if one.score is None else -one.score)


def _ranked(
    sample: RankingSample, settings: TrainConfig, progress: Progress
) -> RankedBackbone:
    start = time.perf_counter()
    try:
        backbone = Backbone.load(
            settings.backbone,
            device=settings.device,
            dtype=settings.dtype,
            max_length=settings.max_length,
        )
        scores = layer_evidence(sample, backbone, settings.store_dtype, progress)
    except StcError as error:
        taken = time.perf_counter() - start
        return RankedBackbone(settings.backbone, None, None, taken, reason=str(error))
    layer = max(scores, key=lambda one: scores[one])
    return RankedBackbone(
        settings.backbone,
        scores[layer],
        layer,
        time.perf_counter() - start,
        backbone.n_layers,
        backbone.parameters(),
    )


def layer_evidence(
    sample: RankingSample,
    backbone: Backbone,
    store_dtype: str,
    progress: Progress = silent,
) -> dict[int, float]:
    """The LogME of the mean hidden states of each layer, 0 for the embeddings."""
    states = [site for site in backbone.sites if site.kind == "resid"]
    wanted = [PooledSite(site, "mean") for site in states]
    store = extract(
        backbone, sample.texts, wanted, store_dtype=store_dtype, progress=progress
    )
    every = np.arange(len(sample.texts))
    read = resolved_reader(store, wanted, every, dtype=backbone.dtype)
    return {place.site.layer: log_me(read(place), sample.codes) for place in wanted}
