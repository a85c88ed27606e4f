"""Seconds of the phases after extraction, from the sizes of a table and the arithmetic.

All is computed from counts of operations; forecast.py adds what is timed.
"""

from math import log
from typing import NamedTuple

from stc_core.heads.folds import FOLDS
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.parallel import cores
from stc_core.probes.control import MOST_CONTROL_ROWS as MOST_CONTROL
from stc_core.recipes.planning.machine_speed import Arithmetic
from stc_core.selection.dense_baselines import MOST_DENSE_ROWS
from stc_core.selection.folds import MOST_CROSS_FITTED, MOST_LEFT_OUT
from stc_core.selection.learning_curve import DRAWS, MOST_LEARNING_ROWS, SIZES
from stc_core.selection.ranking import (
    MOST_RANKED,
    MOST_TRUSTING,
    TRUST_RIDGES,
    most_kept,
)
from stc_core.selection.repeats.draws import MOST_ROWS, N_DRAWS, PAIRS
from stc_core.selection.repeats.stability import TRUSTING
from stc_core.selection.use.attribution import MOST_ATTRIBUTED
from stc_core.selection.word_baseline import LONG_TEXTS, TFIDF_CS
from stc_core.selection.words.choose import MOST_JOINT_ROWS, WORD_SHARES
from stc_core.selection.words.joint import MOST_WORDS

PROBE_START, PROBE_ROW, PROBE_CLASS = 1.1e7, 2100.0, 0.65
"""Cost of probing a column, in products: fixed, for each row, and the power of
classes."""
TFIDF_CELLS = 20.0
"""Cost of one TF-IDF fit for each character and class, in cells."""
PARTS_FACTOR = 4.5
"""Words with parts of words take so many times as long: 3.4 to 5.8 on five sets."""
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
N_HALVES, N_REPEATS = 2 * PAIRS, 2 * PAIRS + 2 * N_DRAWS
USE_PASSES = 6
"""Forwards that a text costs whose use is measured: two for what is usual there, and
one with a backward pass that keeps all sites."""
WORD_CELLS = 150.0
"""Cost to find the words of a text, for each character, in cells."""


class Shape(NamedTuple):
    """The sizes that decide the work after extraction."""

    n: int
    n_train: int
    n_learned: int
    n_class: int
    characters: int
    widths: tuple[int, ...]  # of the pooled sites
    depths: int = 1  # layers that are read
    stable: bool = False  # only neurons that halves of the rows agree on
    use: bool = False  # the ranking weighs what the model uses


def report_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of all that is measured of a finished classifier: the last phase."""
    parts = (
        tfidf_seconds,
        apart_seconds,
        joint_seconds,
        learning_seconds,
        stability_seconds,
        control_seconds,
    )
    return sum(seconds(shape, pace) for seconds in parts)


def learning_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the curve by number of rows: inner products, and a model a fold."""
    if judging_fold_count(shape) == 1 or shape.n_learned > MOST_LEARNING_ROWS:
        return 0.0
    rows, columns = shape.n_learned, sum(shape.widths)
    largest = rows * (FOLDS - 1) // FOLDS
    sizes = [round(largest * 2 ** (-step / 2)) for step in range(SIZES)]
    solves = DRAWS * FOLDS * sum(map(pace.solves, sizes))
    return IN_PLACE * pace.gram(columns, rows) + pace.cell * rows * columns + solves


def stability_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the selection on other rows, as often as it is repeated."""
    return _repeated_seconds(shape, pace, shape.n_learned, N_REPEATS)


def stable_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds to find out, for each fold, which neurons its halves agree on."""
    if not shape.stable:
        return 0.0
    folds = judging_fold_count(shape)
    of_fold = _repeated_seconds(shape, pace, fitted_rows(shape), N_HALVES)
    return folds * of_fold + _repeated_seconds(shape, pace, shape.n_learned, N_HALVES)


def use_seconds(shape: Shape, seconds_per_text: float) -> float:
    """Seconds to measure what the model uses, on some texts of each fold."""
    if not shape.use:
        return 0.0
    texts = (judging_fold_count(shape) + 1) * min(MOST_ATTRIBUTED, shape.n_learned)
    return texts * USE_PASSES * seconds_per_text


def _repeated_seconds(
    shape: Shape, pace: Arithmetic, n_rows: int, repeats: int
) -> float:
    """Seconds of one pass over the features that ranks them on parts of the rows."""
    rows, columns = min(n_rows, MOST_ROWS), sum(shape.widths)
    some, part = min(rows, TRUSTING), 2 * rows // 3
    inverses = 3 * len(TRUST_RIDGES) * pace.solves(2 * some // 3) * len(shape.widths)
    products = IN_PLACE * pace.gram(columns, rows) + pace.gram(columns, some)
    products += pace.cell * len(shape.widths) * rows**2 * repeats
    weights = 2 * pace.product * rows * columns * shape.n_class
    reads = 3 * pace.cell * shape.n * columns
    return products + reads + repeats * (inverses + pace.solves(part) + weights)


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
    p, folds = most_candidates(shape), judging_fold_count(shape)
    fitted = fitted_rows(shape)

    def fits(rows: int, most: int, step: float, ridges: int) -> float:
        few = min(rows, most)
        ready = pace.gram(rows, few) + pace.gram(most, rows) * (most > rows)
        sizes = [min(size, rows) for size in _sizes(most, step)]
        return ready + ridges * sum(map(pace.solves, sizes))

    first = folds * fits(fitted, p, 2**0.5, len(RIDGES))
    others = (shape.depths - 1) * folds * fits(fitted, p // 2, 2.0, NEAR)
    heads = shape.depths * fits(shape.n_learned, p // 2, 2.0, 1)
    values = pace.cell * shape.n * sum(shape.widths) * (shape.depths + 1) / 2
    once = _ranking_seconds(shape, pace) + first + others + heads + values
    # A ranking that weighs use stands beside the default one.
    chosen = once * (1 + shape.use) + word_seconds(shape, pace)
    return chosen + stable_seconds(shape, pace)


def word_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the models of neurons and words: inner products of both, a model that
    ranks the words, and one for each share and ridge."""
    rows, most = min(fitted_rows(shape), MOST_JOINT_ROWS), most_candidates(shape) // 2
    models = 1 + len(WORD_SHARES) * NEAR
    of_fold = pace.gram(most + MOST_WORDS, rows) + models * pace.solves(rows)
    return (
        judging_fold_count(shape) + 1
    ) * of_fold + WORD_CELLS * pace.cell * shape.characters


def _ranking_seconds(shape: Shape, pace: Arithmetic) -> float:
    """Seconds of the trust in each site, and of the model of all columns by depth."""
    columns, folds = sum(shape.widths), judging_fold_count(shape)
    some = min(shape.n_learned, MOST_TRUSTING)
    inverses = 3 * len(TRUST_RIDGES) * pace.solves(some) * (folds + 1)
    alone = pace.gram(columns, some) + len(shape.widths) * inverses
    rows = min(shape.n_learned, MOST_RANKED)
    fitted = min(fitted_rows(shape), rows)
    products = IN_PLACE * pace.gram(columns, rows)
    products += pace.cell * len(shape.widths) * rows**2 * (folds + 1)
    solves = shape.depths * (folds * pace.solves(fitted) + pace.solves(rows))
    weights = 2 * pace.product * rows * columns * shape.n_class * (folds + 1)
    reads = 3 * pace.cell * shape.n * columns
    return alone + products + solves + weights * (shape.depths + 1) / 2 + reads


def judging_fold_count(shape: Shape) -> int:
    return FOLDS if shape.n_learned <= MOST_CROSS_FITTED else 1


def fitted_rows(shape: Shape) -> int:
    """The rows on which the models of a fold are fitted."""
    folds = judging_fold_count(shape)
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
    if shape.n_learned > MOST_LEFT_OUT:
        ridge_models *= judging_fold_count(shape)
    return ridge_models + LOGISTIC_STEPS * step * (widest[0] + min(shape.widths))


def most_candidates(shape: Shape) -> int:
    """The most neurons of a classifier."""
    return min(most_kept(shape.n_class), sum(shape.widths))
