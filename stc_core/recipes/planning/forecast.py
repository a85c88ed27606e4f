"""What a training will take, before it starts: seconds, memory, disk.

Seconds of forwards and of arithmetic are measured on this machine, once for some texts
and a backbone. All else is computed from counts, so a forecast for other settings is
free. benches/speed/bench_forecast.py compares forecasts with real runs.
"""

from collections.abc import Sequence
from math import log
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
from stc_core.activations.row_file import BLOCK_BYTES
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.onednn import copied_bytes
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.heads.folds import FOLDS
from stc_core.heads.least_squares import RIDGES
from stc_core.probes.control import MOST_CONTROL_ROWS as MOST_CONTROL
from stc_core.probes.fit import cores
from stc_core.recipes.planning.machine_speed import Arithmetic, measure_arithmetic
from stc_core.selection.dense_baselines import MOST_DENSE_ROWS
from stc_core.selection.folds import MOST_CROSS_FITTED
from stc_core.selection.ranking import (
    MOST_RANKED,
    MOST_TRUSTING,
    TRUST_RIDGES,
    most_kept,
)
from stc_core.selection.sample import (
    CURVE_COLUMNS,
    FIRST,
    LARGE,
    MOST_TEST,
    MOST_VALIDATION,
)
from stc_core.selection.word_baseline import LONG_TEXTS, TFIDF_CS
from stc_core.types import PooledSite

MOST_SURVEYED = 2000
"""The most texts that a survey tokenises."""
START_SECONDS = 4.0
PROGRAM_BYTES = 680_000_000
"""Resident memory of a worker that has imported all it needs (.53 GB), of open files
and of what the heap keeps back."""
PROBE_START, PROBE_ROW, PROBE_CLASS = 1.1e7, 2100.0, 0.65
"""Cost of probing a column, in products: fixed, for each row, and the power of
classes."""
TFIDF_CELLS = 20.0
"""Cost of one TF-IDF fit for each character and class, in cells."""
PARTS_FACTOR = 4.5
"""Words with parts of words take so many times as long: 3.4 to 5.8 on five sets."""
GRAM_BYTES = 60_000_000
"""Usual size of one probe's quadratic model; GRAM_CELLS bounds it."""
IN_PLACE = 0.7
"""Inner products added in place take this share of the time of a Gram matrix, since
only one half is computed."""
CONTROL_SHARE = 0.35
"""Share of the time of the probes on as many rows: .27 on the sample, .39 on trec."""
LEADERS = 5
"""The baselines fit a ridge model, for each penalty, to this many sites."""
LOGISTIC_STEPS = 100
"""Steps of all logistic heads of a baseline, two products each: 50 to 125 seen."""
NEAR = 3
"""So many ridges are tried at all depths but the last."""
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


class Shape(NamedTuple):
    """The sizes that decide the work after extraction."""

    n: int
    n_train: int
    n_learned: int
    n_class: int
    characters: int
    widths: tuple[int, ...]  # of the pooled sites
    depths: int = 1  # layers that are read


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

    They come on top of what extraction took, which stays with the process.
    """
    later = [probe_bytes(shape, cores()), select_bytes(shape), baseline_bytes(shape)]
    return max(later + [sampling_bytes(shape)] * large)


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
    baselines = (tfidf_seconds, apart_seconds, joint_seconds, control_seconds)
    return {
        "probe": probe_seconds(shape, pace),
        "select": select_seconds(shape, pace)
        + min(TIMED_SHARE * extraction.seconds, timed),
        "head": 0.0,
        "baselines": sum(seconds(shape, pace) for seconds in baselines),
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
    return max(1, _candidates(shape) // _KEPT)


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


def select_bytes(shape: Shape) -> int:
    """Memory of the neurons that rank high in some fold, of copies for a fit, and of
    the inner products of the rows or of the columns, whichever are fewer."""
    p, columns = _candidates(shape), sum(shape.widths)
    ranked = min(2 * p, columns)
    inner = min(p, shape.n_learned)
    search = shape.n * ranked + 2 * shape.n_learned * p + 3 * inner**2
    rows = min(shape.n_learned, MOST_RANKED)
    ranking = (_folds(shape) + 4) * rows**2 + (2 * shape.n + rows) * max(shape.widths)
    return 4 * max(search, ranking)


def baseline_bytes(shape: Shape) -> int:
    """Memory of the inner products of all rows, and of the widest site or their
    factor."""
    rows = min(shape.n_learned, MOST_DENSE_ROWS)
    return 4 * (rows**2 + max(rows**2, (shape.n + 2 * rows) * max(shape.widths)))


def probe_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the paths of all sites; classes share most of the work.

    A site is one job, so with few sites some cores are idle.
    """
    per_column = PROBE_START + PROBE_ROW * shape.n_train * shape.n_class**PROBE_CLASS
    idle = max(1.0, cores() / len(shape.widths))
    return pace.product * per_column * sum(shape.widths) * idle


def control_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the probes of shuffled labels, which use fewer rows and stop early."""
    some = shape._replace(n_train=min(shape.n_train, MOST_CONTROL))
    return CONTROL_SHARE * probe_seconds(some, pace)


def tfidf_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of TF-IDF of words, and of parts of words unless the texts are long."""
    per_fit = TFIDF_CELLS * pace.cell * shape.characters * shape.n_class
    of_train = shape.characters * shape.n_train // max(1, shape.n)
    parts = PARTS_FACTOR if of_train <= LONG_TEXTS else 0.0
    return per_fit * (1 + parts) * (len(TFIDF_CS) + 1)


def select_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of ranking all columns, and of the search at every depth.

    At the last depth numbers of neurons are tried in steps of the square root of two,
    under each ridge; at the others in steps of two up to the chosen number, assumed to
    be half of the most, under NEAR ridges. Each fold has its own fits. The heads of the
    options take one more fit for each depth.
    """
    p, folds = _candidates(shape), _folds(shape)
    fitted = _fitted_rows(shape)

    def fits(rows: int, most: int, step: float, ridges: int) -> float:
        few = min(rows, most)
        ready = pace.gram(rows, few) + pace.gram(most, rows) * (most > rows)
        sizes = [min(size, rows) for size in _sizes(most, step)]
        return ready + ridges * sum(map(pace.solves, sizes))

    first = folds * fits(fitted, p, 2**0.5, len(RIDGES))
    others = (shape.depths - 1) * folds * fits(fitted, p // 2, 2.0, NEAR)
    heads = shape.depths * fits(shape.n_learned, p // 2, 2.0, 1)
    values = pace.cell * shape.n * sum(shape.widths) * (shape.depths + 1) / 2
    return _ranking_seconds(shape, pace) + first + others + heads + values


def _ranking_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the trust in each site, and of the model of all columns by depth."""
    columns, folds = sum(shape.widths), _folds(shape)
    some = min(shape.n_learned, MOST_TRUSTING)
    inverses = 3 * len(TRUST_RIDGES) * pace.solves(some) * (folds + 1)
    alone = pace.gram(columns, some) + len(shape.widths) * inverses
    rows = min(shape.n_learned, MOST_RANKED)
    fitted = min(_fitted_rows(shape), rows)
    products = IN_PLACE * pace.gram(columns, rows)
    products += pace.cell * len(shape.widths) * rows**2 * (folds + 1)
    solves = shape.depths * (folds * pace.solves(fitted) + pace.solves(rows))
    weights = 2 * pace.product * rows * columns * shape.n_class * (folds + 1)
    reads = 3 * pace.cell * shape.n * columns
    return alone + products + solves + weights * (shape.depths + 1) / 2 + reads


def _folds(shape: Shape) -> int:
    return FOLDS if shape.n_learned <= MOST_CROSS_FITTED else 1


def _fitted_rows(shape: Shape) -> int:
    """The rows on which the models of a fold are fitted."""
    folds = _folds(shape)
    return shape.n_train if folds == 1 else shape.n_learned * (folds - 1) // folds


def _sizes(most: int, step: float) -> list[int]:
    """The sizes from `most` downwards."""
    return [int(most / step**power) for power in range(int(log(max(most, 2), step)))]


def joint_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the ridge model of all sites: the choice of the ridge, and the
    refit."""
    learned = min(shape.n_learned, MOST_DENSE_ROWS)
    train = learned * shape.n_train // max(1, shape.n_learned)
    columns = sum(shape.widths)
    choice = _joint(shape, pace, train, columns)
    return choice + _joint(shape, pace, learned, columns, ridges=1)


def _joint(
    shape: Shape,
    pace: Arithmetic,
    rows: int,
    columns: int,
    *,
    ridges: int = len(RIDGES),
) -> float:
    """Seconds of `kernel_ridge.joint_ridge`, by features or by rows, whichever are
    fewer.

    By rows, features are read twice and each class needs a product for its weights.
    """
    if columns < rows:
        read = pace.cell * shape.n * columns
        return pace.gram(rows, columns) + ridges * pace.solves(columns) + read
    products = IN_PLACE * pace.gram(columns, rows)
    weights = 2 * pace.product * rows * columns * shape.n_class * ridges
    read = 2 * pace.cell * shape.n * columns
    return products + ridges * pace.solves(rows) + weights + read


def apart_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the heads on single sites: ridge models of the best sites, and
    logistic heads on the best one and on the last layer."""
    widest = sorted(shape.widths, reverse=True)[:LEADERS]
    ridge_models = sum(
        2 * pace.cell * shape.n * width
        + pace.gram(shape.n_train, width)
        + len(RIDGES) * pace.solves(width)
        for width in widest
    )
    step = 2 * pace.product * shape.n_train * shape.n_class
    return ridge_models + LOGISTIC_STEPS * step * (widest[0] + min(shape.widths))


def _candidates(shape: Shape) -> int:
    """The most neurons of a classifier."""
    return min(most_kept(shape.n_class), sum(shape.widths))
