"""Probes over a grid of C against scikit-learn's solvers, on the same objective.

`subopt` is the worst relative excess of the objective over the best that anyone found.
celer fits no intercept: its last column is constant, and so large that the penalty on
its weight is nothing. It is left out where C goes to 100: 187 s there, at 75e3437.
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benches.measure import DATA, Row, against, interleaved, peak_mb, show, texts
from stc_core.activations.extract import extract
from stc_core.backbone.backbone import Backbone
from stc_core.probes.problem import standardise
from stc_core.probes.solver import fit_path
from stc_core.types import PooledSite

SPIN_CS = np.array([0.1, 0.2, 1.0, 10.0, 100.0])
NARROW, WIDE = PooledSite.parse("resid.5.mean"), PooledSite.parse("mlp.4.mean")
SPIN, TIGHT, LIBLINEAR = "saga, 16 x 4 epochs", "saga, tol 1e-3", "liblinear, tol 1e-2"
SKGLM, CELER = "skglm, tol 1e-4", "celer, tol 1e-4, its path"
PACKAGES = {SKGLM: "skglm", CELER: "celer"}
CONSTANT = 100.0
TOL = 0.01  # ten times as strict as in a training, so that rivals reach no further
# data set, site, rivals, grid: the C of the SPIN release, or these steps of our path
PATH = tuple(range(9))
CASES = (
    ("sst2", NARROW, (SPIN, LIBLINEAR, SKGLM), SPIN_CS),
    ("sst2", NARROW, (SPIN, TIGHT, LIBLINEAR, SKGLM, CELER), PATH),
    ("sst2", WIDE, (SPIN, LIBLINEAR, SKGLM, CELER), (0, 4, 8)),
    ("trec", NARROW, (SPIN,), (0, 4, 8)),
    ("banking77", NARROW, (SPIN,), (4,)),
)


def features(name: str, sites: list[PooledSite]) -> dict[PooledSite, np.ndarray]:
    corpus = texts(name, "train", 20_000)
    with tempfile.TemporaryDirectory() as folder:
        backbone = Backbone.load(device="cpu")
        store = extract(backbone, corpus, sites, folder=Path(folder))
        return {site: np.array(store.read(site)) for site in sites}


def codes(name: str) -> np.ndarray:
    folder = Path(os.environ.get("STC_BENCH_DATA", DATA)) / name
    frame = pd.read_csv(folder / "train.csv", keep_default_na=False)
    return np.unique(frame["label"].to_numpy(str), return_inverse=True)[1]


def ours(X: np.ndarray, y: np.ndarray, Cs: np.ndarray) -> list[tuple]:
    path = fit_path(X, y, Cs=Cs, tol=TOL)
    return list(zip(path.coef, path.intercept, strict=True))


def rival(X: np.ndarray, y: np.ndarray, Cs: np.ndarray, *, name: str) -> list[tuple]:
    """Coefficients and intercepts of K rows for each C."""
    X = np.ascontiguousarray(standardise(X)[0].T)
    if name == SKGLM:
        return skglm(X, y, Cs)
    if name == CELER:
        return celer(X, y, Cs)
    found = []
    for C in Cs:
        model = LogisticRegression(C=float(C), l1_ratio=1, random_state=0)
        if name == LIBLINEAR:
            model.set_params(solver="liblinear", tol=1e-2)
        elif name == TIGHT:
            model.set_params(solver="saga", tol=1e-3, max_iter=1000)
        else:
            model.set_params(solver="saga", max_iter=4, warm_start=True)
        for _ in range(16 if name == SPIN else 1):
            model.fit(X, y)
        W, b = model.coef_, model.intercept_
        two = len(W) == 1
        found.append((np.r_[-W, W] / 2, np.r_[-b, b] / 2) if two else (W, b))
    return found


def skglm(X: np.ndarray, y: np.ndarray, Cs: np.ndarray) -> list[tuple]:
    """Working sets and coordinate descent, compiled; two classes, each C anew."""
    from skglm import (  # pyright: ignore[reportMissingImports]
        SparseLogisticRegression,
    )

    found = []
    for C in Cs:
        model: Any = SparseLogisticRegression(1 / (C * len(y)), tol=1e-4)
        model.fit(np.asfortranarray(X), y)
        W, b = model.coef_, np.atleast_1d(model.intercept_)
        found.append((np.r_[-W, W] / 2, np.r_[-b, b] / 2))
    return found


def celer(X: np.ndarray, y: np.ndarray, Cs: np.ndarray) -> list[tuple]:
    """Working sets and prox-Newton, compiled; two classes, warm from C to C."""
    from celer import (  # pyright: ignore[reportMissingImports]
        LogisticRegression,
    )

    Xc = np.asfortranarray(np.c_[X, np.full(len(X), CONSTANT)], dtype=np.float64)
    model: Any = LogisticRegression(tol=1e-4)
    rising = np.argsort(Cs)
    path = model.path(Xc, 2.0 * y - 1, Cs[rising], model.solver)[0].T
    found: list[Any] = [None] * len(Cs)
    for at, w in zip(rising, path, strict=True):
        W, b = w[None, :-1], CONSTANT * w[-1:]
        found[at] = (np.r_[-W, W] / 2, np.r_[-b, b] / 2)
    return found


def objectives(X: np.ndarray, y: np.ndarray, Cs: np.ndarray, found: list) -> np.ndarray:
    XT = standardise(X)[0]
    values = []
    for C, (W, b) in zip(Cs, found, strict=True):
        Z = (W @ XT + b[:, None]).astype(np.float64)
        Z -= Z.max(axis=0)
        losses = np.log(np.exp(Z).sum(axis=0)) - Z[y, np.arange(len(y))]
        values.append(C * losses.sum() + np.abs(W).sum())
    return np.array(values)


def bench() -> Iterator[Row]:
    warnings.simplefilter("ignore", ConvergenceWarning)
    known = {name: features(name, [NARROW, WIDE]) for name, *_ in CASES}
    for name, site, rivals, grid in CASES:
        X, y = known[name][site], codes(name)
        Cs = SPIN_CS if grid is SPIN_CS else fit_path(X, y, tol=1.0).Cs[list(grid)]
        found = {}

        def keep(who: str, work: Callable[[], list], found: dict = found) -> None:
            found[who] = work()

        works = {"ours": partial(keep, "ours", partial(ours, X, y, Cs))}
        there = [who for who in rivals if find_spec(PACKAGES.get(who, "sklearn"))]
        if SKGLM in there:
            skglm(X[:200], y[:200], Cs[:1])  # compiles
        for other in there:
            work = partial(rival, X, y, Cs, name=other)
            works[other] = partial(keep, other, work)
        with threadpool_limits(1):
            works["ours"]()
            seconds = interleaved(works, 1, warm=False)
        values = {who: objectives(X, y, Cs, result) for who, result in found.items()}
        best = np.min(list(values.values()), axis=0)
        worst = {who: f"{(v / best - 1).max():.0e}" for who, v in values.items()}
        case = f"{name}, N {len(X)}, d {X.shape[1]}, K {y.max() + 1}, {len(Cs)} C"
        rows = against("probe", case, seconds, peak_mb=peak_mb(works["ours"]))
        for row in rows:
            yield row | {"subopt": worst["ours"], "rival_subopt": worst[row["rival"]]}


if __name__ == "__main__":
    show(bench, __doc__ or "")
