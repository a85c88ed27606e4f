"""Backbones ranked on a sample of a table before any of them is trained on it."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.activations.extract import extract
from stc_core.activations.resolution import resolved_reader
from stc_core.backbone.backbone import Backbone
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out
from stc_core.heads.least_squares import RIDGES
from stc_core.recipes.results import estimator, task_of
from stc_core.selection.folds import MOST_LEFT_OUT, stratified_order
from stc_core.sweeps.axes import once_each
from stc_core.types import PooledSite, Progress, silent

SAMPLE_ROWS = 1000
LEAST_ROWS = 20
MOST_ROWS = MOST_LEFT_OUT
"""Leave-one-out inverts a matrix of as many rows: see there."""


class RankedBackbone(NamedTuple):
    """A backbone and its score on the sample; without a score the reason says why.

    `score` is the accuracy or the macro-F1 (`criterion`) of ridge models of all its
    sites, each row judged by a model of the other rows. `seconds` is the time of all:
    loading, reading the texts, the models.
    """

    backbone: str
    score: float | None
    seconds: float
    n_layers: int | None = None
    parameters: int | None = None
    reason: str = ""


class RankingSample(NamedTuple):
    """Some learned rows of a corpus: their texts, and the task on them alone."""

    texts: list[str]
    task: Task


def draw_ranking_sample(
    corpus: Corpus, settings: TrainConfig, *, rows: int = SAMPLE_ROWS
) -> RankingSample:
    """At most `rows` training and validation rows, each class in proportion.

    Test rows take no part. The goal is that of a run on the whole corpus. StcError for
    a number of rows outside LEAST_ROWS to MOST_ROWS.
    """
    if not LEAST_ROWS <= rows <= MOST_ROWS:
        raise StcError(
            "option --rows",
            expected=f"{LEAST_ROWS} to {MOST_ROWS:,} rows",
            got=f"{rows:,}",
        )
    whole = task_of(corpus, settings)
    ordered = stratified_order(whole.codes, whole.learned, seed=settings.seed)
    some = np.sort(ordered[:rows])
    task = whole._replace(
        codes=whole.codes[some],
        train=np.arange(len(some)),
        validation=np.arange(0),
    )
    return RankingSample(list(corpus.texts.at(some)), task)


def rank_backbones(
    sample: RankingSample,
    names: Sequence[str],
    settings: TrainConfig,
    *,
    progress: Progress = silent,
    on_result: Callable[[RankedBackbone], None] = lambda ranked: None,
) -> list[RankedBackbone]:
    """The backbones, the best score first, those without a score last.

    One that cannot be loaded or read costs its own row. `settings` has the sites, the
    poolings, the longest text and the device. `on_result` gets each as it is done, and
    `progress` counts the tokens of each. StcError for a name that is given twice.
    """
    ranked = []
    for name in once_each(names, "--backbone"):
        found = _ranked(sample, settings.changed(backbone=name), progress)
        ranked.append(found)
        on_result(found)
    return sorted(ranked, key=lambda one: np.inf if one.score is None else -one.score)


def probe_score(
    read: Read, task: Task, widths: dict[PooledSite, int]
) -> Float[np.ndarray, " n_ridge"]:
    """The scores of ridge models of all sites together, one for each of RIDGES.

    Each row is judged by the model of all other rows, in closed form: see
    `heads.leave_one_out` (Allen 1974, PRESS).
    """
    blocks = [Block(lambda site=site: read(site), w) for site, w in widths.items()]
    tried = joint_leave_one_out(blocks, task, task.train, ridges=RIDGES)
    return np.array([task.score(task.train, scores) for scores in tried])


def _ranked(
    sample: RankingSample, settings: TrainConfig, progress: Progress
) -> RankedBackbone:
    start = time.perf_counter()
    try:
        model = estimator(settings)
        backbone = model.load_backbone()
        score = _score(sample, backbone, model.wanted(backbone), settings, progress)
    except StcError as error:
        taken = time.perf_counter() - start
        return RankedBackbone(settings.backbone, None, taken, reason=str(error))
    return RankedBackbone(
        settings.backbone,
        score,
        time.perf_counter() - start,
        backbone.n_layers,
        backbone.parameters(),
    )


def _score(
    sample: RankingSample,
    backbone: Backbone,
    wanted: Sequence[PooledSite],
    settings: TrainConfig,
    progress: Progress,
) -> float:
    """The best score over the ridges, from the activations of every wanted site."""
    texts, task = sample
    store = extract(
        backbone, texts, wanted, store_dtype=settings.store_dtype, progress=progress
    )
    read = resolved_reader(store, list(wanted), task.train, dtype=backbone.dtype)
    widths = {site: store.widths[site] for site in wanted}
    return float(probe_score(read, task, widths).max())
