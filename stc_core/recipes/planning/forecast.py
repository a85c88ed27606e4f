"""What a training will take, before it starts: seconds, memory, disk.

Seconds of forwards and of arithmetic are measured on this machine, once for some texts
and a backbone. All else is computed from counts, so a forecast for other settings is
free. benches/speed/bench_forecast.py compares forecasts with real runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stc_core.activations.cost import (
    TIMED_SHARE,
    TIMED_TEXTS,
    ExtractionPlan,
    Speed,
    measure_speed,
    plan_extraction,
)
from stc_core.activations.resolution import MOST_KEPT_BYTES
from stc_core.activations.row_file import BLOCK_BYTES
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.onednn import copied_bytes
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.parallel import at_once, cores
from stc_core.recipes.planning.machine_speed import Arithmetic, measure_arithmetic
from stc_core.recipes.planning.phase_seconds import (
    N_REPEATS,
    Shape,
    fitted_rows,
    judging_fold_count,
    most_candidates,
    probe_seconds,
    report_seconds,
    select_seconds,
    use_seconds,
)
from stc_core.selection.dense_baselines import MOST_DENSE_ROWS
from stc_core.selection.ranking import MOST_RANKED, MOST_TRUSTING
from stc_core.selection.repeats.draws import MOST_ROWS
from stc_core.selection.repeats.stability import TRUSTING
from stc_core.selection.sample import (
    CURVE_COLUMNS,
    FIRST,
    LARGE,
    MOST_TEST,
    MOST_VALIDATION,
)
from stc_core.types import PooledSite

MOST_SURVEYED = 2000
"""The most texts that a survey tokenises."""
START_SECONDS = 4.0
PROGRAM_BYTES = 680_000_000
"""Resident memory of a worker that has imported all it needs (.53 GB), of open files
and of what the heap keeps back."""
GRAM_BYTES = 60_000_000
"""Usual size of one probe's quadratic model; GRAM_CELLS bounds it."""
_KEPT = 3
"""Usually one of this many candidates is kept."""
HEAD_SECONDS_PER_TEXT = 1.2e-4
"""For writing and reading a text's neurons, and writing its prediction."""


class Survey(NamedTuple):
    """Measurements of some texts on a backbone; they hold for all settings.

    `tokens` has a row for every text; if only a sample was tokenised, rows repeat.
    """

    tokens: Tokens
    speed: Speed  # of a forward through all layers
    pace: Arithmetic


class Forecast(NamedTuple):
    """Seconds of each phase, the largest memory of any phase, and the disk space.

    `extraction` counts the rows on which neurons are chosen, all else counts all texts.
    """

    extraction: ExtractionPlan
    seconds: dict[str, float]
    memory_bytes: int
    disk_bytes: int
    n_tokens: int
    n_cut: int


def survey(backbone: Backbone, texts: Sequence[str]) -> Survey:
    """Tokens of a sample of the texts, and the speed of this machine on them."""
    sites = [
        PooledSite(site, pooling)
        for site in backbone.sites
        for pooling in backbone.default_poolings
    ]
    tokens = sampled_tokens(backbone, texts)
    speed = measure_speed(backbone, tokens, sites)
    return Survey(tokens, speed, measure_arithmetic())


def sampled_tokens(
    backbone: Backbone, texts: Sequence[str], *, most: int = MOST_SURVEYED
) -> Tokens:
    """Tokens of all texts, or of `most` spread evenly over all lengths.

    Each sampled text stands for the texts of about its length: its row repeats once for
    each of them, in a mixed order, so that there is a row for every text.
    """
    if len(texts) <= most:
        return backbone.tokenize(texts)
    order = np.argsort([len(text) for text in texts], kind="stable")
    bounds = np.linspace(0, len(texts), most + 1).round().astype(int)
    middles = order[(bounds[:-1] + bounds[1:]) // 2]
    ids, n_cut = backbone.tokenize([texts[int(place)] for place in middles])
    rows = np.repeat(np.arange(most), np.diff(bounds))
    mixed = np.random.default_rng(0).permutation(rows)
    return Tokens([ids[row] for row in mixed], round(n_cut * len(texts) / most))


def forecast(
    backbone: Backbone,
    wanted: Sequence[PooledSite],
    surveyed: Survey,
    *,
    shape: Shape,
    store_dtype: str,
) -> Forecast:
    """What a training on `wanted` takes; a pure and cheap function.

    Assumes that forwards up to a layer cost their share of all operations, and that the
    first sample of a large corpus is enough; a second one takes longer.
    """
    layers = {wish.site.layer for wish in wanted}
    whole = shape._replace(depths=len(layers))
    shape, tokens, pace = sampled(whole), surveyed.tokens, surveyed.pace
    large, n_tokens = shape.n < whole.n, sum(map(len, tokens.ids))
    is_sampled = shape.n_learned < whole.n_learned
    speed = _at_depth(surveyed.speed, backbone, max(layers))

    def extraction_of(ids: list[np.ndarray]) -> ExtractionPlan:
        some, dtype = Tokens(ids, tokens.n_cut), store_dtype
        return plan_extraction(backbone, some, wanted, store_dtype=dtype, speed=speed)

    extraction = extraction_of(tokens.ids[: shape.n] if large else tokens.ids)
    memory = PROGRAM_BYTES + _weights_on_host(backbone) + 2 * whole.characters
    memory += extraction.memory_bytes + _memory_of_phases(shape, large=is_sampled)
    seconds = {"start": START_SECONDS, "extract": extraction.seconds}
    seconds |= _later_seconds(shape, pace, extraction)
    seconds["head"] += HEAD_SECONDS_PER_TEXT * whole.n
    if large:
        seconds["head"] += extraction_of(tokens.ids[shape.n :]).seconds
    if is_sampled:
        seconds["extract"] += sampling_seconds(shape, pace)
        seconds["head"] += pace.gram(whole.n_learned, _kept(shape))
    disk = extraction.disk_bytes + 4 * whole.n * _kept(shape)
    return Forecast(extraction, seconds, memory, disk, n_tokens, tokens.n_cut)


def _weights_on_host(backbone: Backbone) -> int:
    """Bytes of the weights in the memory of the machine, not of a GPU."""
    if backbone.device.type != "cpu":
        return 0
    weights = backbone.parameters() * backbone.dtype.itemsize
    return weights + copied_bytes(backbone.model)


def _memory_of_phases(shape: Shape, *, large: bool) -> int:
    """Bytes of the phase after extraction that takes most.

    They come on top of what extraction took, which stays with the process; the features
    that are kept in memory are counted, too.
    """
    threads = cores()
    later = [
        probe_bytes(shape, threads),
        select_bytes(shape, threads),
        stability_bytes(shape, threads),
        baseline_bytes(shape),
    ]
    kept = min(4 * shape.n * sum(shape.widths), MOST_KEPT_BYTES)
    return kept + max(later + [sampling_bytes(shape)] * large)


def _at_depth(speed: Speed, backbone: Backbone, layer: int) -> Speed:
    """Seconds of forwards up to a layer, from the seconds through all layers."""
    part = backbone.flops_per_token(layer) / max(1, backbone.flops_per_token())
    taken = tuple(max(part, 0.02) * s for s in speed.seconds_per_token)
    return Speed(speed.lengths, taken, 0)


def _later_seconds(
    shape: Shape, pace: Arithmetic, extraction: ExtractionPlan
) -> dict[str, float]:
    """Seconds of the phases after extraction, on the rows that were extracted."""
    per_text = extraction.seconds / max(1, extraction.n_texts)
    timed = TIMED_TEXTS[1] * shape.depths * per_text
    return {
        "probe": probe_seconds(shape, pace),
        "select": select_seconds(shape, pace)
        + min(TIMED_SHARE * extraction.seconds, timed)
        + use_seconds(shape, per_text),
        "head": 0.0,
        "baselines": report_seconds(shape, pace),
    }


def sampled(shape: Shape) -> Shape:
    """The number of rows on which neurons are chosen: all, or the first sample."""
    if shape.n <= LARGE:
        return shape
    n_train, n_learned = shape.n_train, shape.n_learned
    if n_learned > LARGE:
        n_train = min(n_train, FIRST)
        n_learned = n_train + min(n_learned - shape.n_train, MOST_VALIDATION)
    n = n_learned + min(shape.n - shape.n_learned, MOST_TEST)
    characters = shape.characters * n // shape.n
    return shape._replace(
        n=n, n_train=n_train, n_learned=n_learned, characters=characters
    )


def _kept(shape: Shape) -> int:
    """A rough number of kept neurons."""
    return max(1, most_candidates(shape) // _KEPT)


def sampling_bytes(shape: Shape) -> int:
    """Memory to find out whether more rows help: columns with copies, blocks of
    rows."""
    return max(3 * 4 * CURVE_COLUMNS * shape.n_learned, 3 * BLOCK_BYTES)


def sampling_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds to find out whether more rows help: two Gram matrices and their
    solves."""
    solves = 2 * len(RIDGES) * pace.solves(CURVE_COLUMNS)
    return pace.gram(3 * shape.n_train // 2, CURVE_COLUMNS) + solves


def probe_bytes(shape: Shape, threads: int) -> int:
    """Memory of `fit_probes`: the widest sites, one for each thread.

    Counts all rows, the training rows and their standardised copy, all float32, and one
    quadratic model for each thread.
    """
    widest = sorted(shape.widths, reverse=True)[:threads]
    rows = shape.n_learned + shape.n + 2 * shape.n_train
    return 4 * sum(widest) * rows + GRAM_BYTES * len(widest)


def select_bytes(shape: Shape, threads: int) -> int:
    """Memory of the ranking, or of the search for the number of neurons.

    The search holds the neurons that rank high in some fold, and for each fold that is
    judged at a time copies of its rows, and inner products of the rows or of the
    columns, whichever are fewer.
    """
    p, columns = most_candidates(shape), sum(shape.widths)
    folds, fitted = judging_fold_count(shape), fitted_rows(shape)
    held = shape.n_learned - fitted
    inner = 4 * fitted**2 if p > fitted else 3 * p**2
    of_fold = (fitted + 2 * held) * p + inner
    search = shape.n * min(2 * p, columns) + at_once(folds, threads) * of_fold
    rows = min(shape.n_learned, MOST_RANKED)
    trusting = min(shape.n_learned, MOST_TRUSTING)
    ranking = _ranking_cells(shape, threads, rows=rows, fits=folds + 1)
    return 4 * max(search, ranking, _trust_cells(shape, threads, trusting))


def stability_bytes(shape: Shape, threads: int) -> int:
    """Memory of the selections on other rows: their rankings, and the importance of all
    columns in each of them."""
    rows = min(shape.n_learned, MOST_ROWS)
    fits = N_REPEATS + 1
    ranking = _ranking_cells(shape, threads, rows=rows, fits=fits)
    trust = _trust_cells(shape, threads, min(rows, TRUSTING))
    return 4 * (max(ranking, trust) + 2 * fits * sum(shape.widths))


def _ranking_cells(shape: Shape, threads: int, *, rows: int, fits: int) -> int:
    """Numbers that rankings hold: inner products of the rows for each fit and for one
    site, and copies of the widest site, or of the products of each fit in work."""
    site = (shape.n + 2 * rows) * max(shape.widths)
    return (fits + 1) * rows**2 + max(site, 3 * at_once(fits, threads) * rows**2)


def _trust_cells(shape: Shape, threads: int, rows: int) -> int:
    """Numbers that the trust in sites takes: one site as a whole, and for each thread
    copies of some rows and their inner products."""
    widest = sorted(shape.widths, reverse=True)[: at_once(len(shape.widths), threads)]
    return shape.n * widest[0] + sum(3 * rows * w + 2 * rows**2 for w in widest)


def baseline_bytes(shape: Shape) -> int:
    """Memory of the inner products of all rows, and of the widest site or their
    factor."""
    rows = min(shape.n_learned, MOST_DENSE_ROWS)
    return 4 * (rows**2 + max(rows**2, (shape.n + 2 * rows) * max(shape.widths)))
