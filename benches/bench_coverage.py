"""How often intervals hold the true value: simulated rows of known populations.

    python -m benches coverage        # half an hour

95 % is meant. `coverage` is the smallest over several true accuracies, .5 to .97, and
`width` the mean; `given` is the share of tables for which there is an interval.
`before` is the coverage of what was used before: the percentile bootstrap of macro-F1,
and for the best of many the interval of a single one. `bias` is what a score is too
high by, `bias_before` without the correction. The standard error of a coverage is below
1 % (TABLES, PROBED), that of `before` of macro-F1 about 1.5 %.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from benches.coverage import f1_of, labelled, percentiles, population, probe_rows
from benches.measure import Row, show
from stc_core.metrics.bands import may_be_best, simultaneous_level
from stc_core.metrics.best_of import best_of, score_interval
from stc_core.metrics.intervals import (
    exact_interval,
    least_rows,
    macro_f1_bounds,
    wilson_interval,
)
from stc_core.metrics.paired import difference_interval
from stc_core.metrics.resampling import resample_scores
from stc_core.metrics.scores import Metric

ACCURACIES = (0.5, 0.8, 0.9, 0.97)
ROWS = (60, 150, 400, 1000, 3000)
TABLES, POPULATIONS, BEFORE, LEAST_GIVEN = 4000, 4, 240, 100
PROBED, PROBED_ROWS, PROBED_ACCURACIES = 500, (60, 150, 400, 1500), (0.5, 0.8, 0.97)
N_PROBES: dict[Metric, int] = {"accuracy": 117, "macro_f1": 27}
RESAMPLES = 300
STRUCTURES = {  # (sd of the true accuracies, variance that all probes share)
    "probes all alike": (0.0, 0.5),
    "probes little apart": (0.02, 0.5),
    "probes far apart": (0.08, 0.7),
}
PROBED_CASES: dict[Metric, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "accuracy": (tuple(STRUCTURES), PROBED_ROWS),
    "macro_f1": (("probes all alike",), (150, 400)),
}
RATES = ((0.01, 0.02), (0.03, 0.05), (0.05, 0.05), (0.1, 0.15), (0.02, 0.1))
"""How often only one of two classifiers is right."""


def rounded(row: Row) -> Row:
    return {name: round(float(value), 3) for name, value in row.items()}


def covers(low: np.ndarray, high: np.ndarray, true: float) -> float:
    return float(np.mean((low <= true) & (true <= high)))


def accuracies(n: int) -> Row:
    """Wilson's interval of one share."""
    rng, covered, width = np.random.default_rng(0), [], []
    for true in ACCURACIES:
        hits = rng.binomial(n, true, size=20 * TABLES)
        low, high = wilson_interval(hits, np.full(len(hits), n))
        covered.append(covers(low, high, true))
        width.append(np.mean(high - low))
    return rounded({"coverage": min(covered), "width": np.mean(width)})


def paired(n: int) -> Row:
    """The difference of two classifiers on the same rows."""
    rng, covered, width = np.random.default_rng(0), [], []
    for a, b in RATES:
        drawn = rng.multinomial(n, [a, b, 1 - a - b], size=TABLES)
        ends = [difference_interval(int(row[0]), int(row[1]), n) for row in drawn]
        low, high = np.array(ends).T
        covered.append(covers(low, high, b - a))
        width.append(np.mean(high - low))
    return rounded({"coverage": min(covered), "width": np.mean(width)})


def macro_f1(kind: str, n_class: int, n: int) -> Row:
    """Macro-F1 in several populations of each accuracy."""
    rng, rows = np.random.default_rng(0), []
    for accuracy in ACCURACIES:
        held, width, before, given = [], [], [], []
        for seed in range(POPULATIONS):
            cells = population(kind, n_class, accuracy, seed)
            true, size = float(f1_of(cells)), TABLES // POPULATIONS
            tables = rng.multinomial(n, cells.ravel(), size=size)
            tables = tables.reshape(-1, n_class, n_class)
            some = [percentiles(one, rng) for one in tables[: BEFORE // POPULATIONS]]
            lows, highs = np.array(some).T
            before.append(covers(lows, highs, true))
            is_given = tables.sum(axis=2).min(axis=1) >= least_rows(n_class)
            given.append(is_given.mean())
            low, high = macro_f1_bounds(tables[is_given])
            held += list((low <= true) & (true <= high))
            width += list(high - low)
        is_known = len(held) >= LEAST_GIVEN
        known = (np.mean(held), np.mean(width)) if is_known else (np.nan, np.nan)
        rows.append((*known, np.mean(given), np.mean(before)))
    coverage, width, given, before = np.array(rows).T
    more = rounded({"given": given.mean(), "before": before.min()})
    if np.isnan(coverage).all():
        return {"coverage": "no interval", **more}
    found = {"coverage": np.nanmin(coverage), "width": np.nanmean(width)}
    return rounded(found) | more


def best_of_many(structure: str, n: int, metric: Metric) -> Iterator[tuple[str, Row]]:
    """The corrected best, the band of all, and the set of those that may be best."""
    means = {"best": [], "band": [], "set": []}
    for accuracy in PROBED_ACCURACIES:
        found = [trial(structure, n, accuracy, metric, seed) for seed in range(PROBED)]
        for name, values in zip(means, zip(*found, strict=True), strict=True):
            means[name].append(np.mean(values, axis=0))
    best, band, kept = (np.array(rows) for rows in means.values())
    biases = {
        "bias": best[np.abs(best[:, 3]).argmax(), 3],
        "bias_before": best[:, 4].max(),
    }
    first = {"coverage": best[:, 0].min(), "width": best[:, 1].mean()}
    yield "best", rounded({**first, "before": best[:, 2].min(), **biases})
    yield "band", rounded({"coverage": band[:, 0].min(), "width": band[:, 1].mean()})
    yield (
        "may be best",
        rounded({"coverage": kept[:, 0].min(), "kept": kept[:, 1].mean()}),
    )


def trial(
    structure: str, n: int, accuracy: float, metric: Metric, seed: int
) -> tuple[tuple[float, ...], ...]:
    """Coverage and width (or the share kept) of the best, the band and the set."""
    spread, shared = STRUCTURES[structure]
    rng, p = np.random.default_rng(seed), N_PROBES[metric]
    right, true = probe_rows(n, p, accuracy, spread=spread, shared=shared, rng=rng)
    y, predicted = np.ones(n, np.int64), right
    if metric == "macro_f1":
        y, predicted, true = labelled(right, true, rng)
    drawn = resample_scores(y, predicted, metric, n_resamples=RESAMPLES, seed=seed)
    best = best_of(y, predicted, drawn, metric)
    wanted, low, high = true[best.at], best.low or 0.0, best.high or 1.0
    one = score_interval(y, predicted[best.at], metric).bounds or (0.0, 1.0)
    of_best = low <= wanted <= high, high - low, one[0] <= wanted <= one[1]
    level = simultaneous_level(drawn)
    if metric == "accuracy":
        ends = exact_interval(right.sum(axis=1), np.full(p, n), level)
    else:
        each = [score_interval(y, row, metric, level=level) for row in predicted]
        ends = np.array([one.bounds or (0.0, 1.0) for one in each]).T
    of_all = bool(((ends[0] <= true) & (true <= ends[1])).all())
    kept = may_be_best(drawn)
    return (
        (*of_best, best.value - wanted, best.raw - wanted),
        (of_all, float(np.mean(ends[1] - ends[0]))),
        (bool(kept[true.argmax()]), kept.mean()),
    )


def bench() -> Iterator[Row]:
    for n in ROWS:
        yield {"set": "accuracy", "case": "one", "rows": n, **accuracies(n)}
        yield {"set": "accuracy", "case": "paired difference", "rows": n, **paired(n)}
    for n_class in (2, 10, 77):
        for kind in ("equal", "zipf", "rare"):
            for n in ROWS:
                case = f"{n_class} classes, {kind}"
                row = macro_f1(kind, n_class, n)
                yield {"set": "macro-F1", "case": case, "rows": n, **row}
    for metric, (structures, sizes) in PROBED_CASES.items():
        for structure, n in product(structures, sizes):
            for name, row in best_of_many(structure, n, metric):
                of = f"{name} of {N_PROBES[metric]}, {metric}"
                yield {"set": of, "case": structure, "rows": n, **row}


if __name__ == "__main__":
    show(bench, __doc__ or "")
