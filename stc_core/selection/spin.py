"""The preset `spin`: the recipe of the paper Sparsify-then-Classify, for comparison.

Source: arXiv 2311.15983. It takes one kind of site and one pooling, keeps in each layer
the neurons that hold a share eta of w^2, joins the first k layers and fits an L1 head.
All choices are made on validation. Here, unlike in the paper, the features are
standardised, since w^2 means nothing otherwise; w^2 is summed over all classes; and
(kind, pooling, eta) are searched with all layers first, then k.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from jaxtyping import Float, Int

from stc_core.config import SPIN_CS, SPIN_ETAS
from stc_core.data.task import Read, Task
from stc_core.heads.head import SparseHead, value_range
from stc_core.heads.least_squares import importance
from stc_core.metrics.scores import accuracy, first_best, macro_f1
from stc_core.probes.fit import ProbeResult
from stc_core.probes.solver import Path, fit_path
from stc_core.selection.frontier import FrontierPoint
from stc_core.selection.importance import keep_mass
from stc_core.selection.ranking import nothing_selected
from stc_core.selection.stc import Fitted
from stc_core.types import Feature, Progress, silent

HEAD_TOL = 0.1


class _Trial:
    """An L1 head on the kept neurons of some probes, at the C with the best score."""

    def __init__(
        self, read: Read, task: Task, probes: Sequence[ProbeResult], eta: float
    ) -> None:
        self.eta, self.probes = eta, probes
        kept = [
            np.sort(keep_mass(importance(p.path.coef[p.best]), eta)) for p in probes
        ]
        self.features = tuple(
            Feature(probe.pooled_site.site, probe.pooled_site.pooling, int(index))
            for probe, columns in zip(probes, kept, strict=True)
            for index in columns
        )
        X = np.concatenate(
            [
                read(probe.pooled_site)[:, columns]
                for probe, columns in zip(probes, kept, strict=True)
            ],
            axis=1,
        )
        self.path = _path(X, task)
        self.low, self.high = value_range(X[task.train])
        y = task.codes[task.validation]
        X_val = np.clip(X[task.validation], self.low, self.high)
        guesses = [self.path.logits(X_val, i) for i in range(len(SPIN_CS))]
        scores = [task.score(task.validation, guess) for guess in guesses]
        self.best = first_best(np.array(scores))
        self.score = scores[self.best]
        self.logits = guesses[self.best]
        self.accuracy = accuracy(y, self.logits.argmax(1))
        self.macro_f1 = macro_f1(y, self.logits.argmax(1))

    @property
    def columns(self) -> Int[np.ndarray, " kept"]:
        """Positions of the features that have a weight in the head."""
        return np.flatnonzero(self.path.coef[self.best].any(axis=0))

    def point(self, curve: str) -> FrontierPoint:
        """The head as a point of a curve of scores."""
        layer = self.probes[-1].pooled_site.site.layer
        C = SPIN_CS[self.best]
        n = len(self.columns)
        scores = self.accuracy, self.macro_f1, self.score
        return FrontierPoint(curve, n, layer, 1 / C, *scores)

    def head(self, task: Task) -> SparseHead:
        """The head on the features that it weighs, in float32."""
        used = self.columns
        path = self.path
        return SparseHead(
            tuple(self.features[column] for column in used),
            path.mean[used].astype(np.float32),
            path.sd[used].astype(np.float32),
            path.coef[self.best][:, used].astype(np.float32),
            path.intercept[self.best].astype(np.float32),
            task.classes,
            low=self.low[used],
            high=self.high[used],
        )


def fit_spin(
    read: Read,
    task: Task,
    probes: Sequence[ProbeResult],
    *,
    etas: Sequence[float] = SPIN_ETAS,
    progress: Progress = silent,
) -> Fitted:
    """The paper's head: its kind, pooling, eta, k and C have the best validation score.

    The score is that of the task's goal. On a tie fewer layers win.
    The head is not fitted again and has no temperature.
    """
    chains = _chains(probes)
    depth = max(map(len, chains))
    total = len(chains) * len(etas) + depth
    trials: list[_Trial] = []
    for chain in chains:
        for eta in etas:
            trials.append(_Trial(read, task, chain, eta))
            progress(len(trials), total)
    best = _first_best(trials)
    same_chain = [trial for trial in trials if trial.probes is best.probes]
    prefixes = [
        _Trial(read, task, best.probes[:k], best.eta)
        for k in range(1, len(best.probes) + 1)
    ]
    progress(total, total)
    winner = _first_best(prefixes)
    if not len(winner.columns):
        raise nothing_selected()
    points = [trial.point("neurons") for trial in same_chain]
    points += [trial.point("depth") for trial in prefixes]
    return Fitted(
        winner.head(task),
        tuple(points),
        _choice(winner),
        task.validation,
        winner.logits,
    )


def _choice(winner: _Trial) -> dict[str, float | int | str]:
    """What was chosen for the head, as a run records it."""
    site = winner.probes[0].pooled_site
    return {
        "kind": site.site.kind,
        "pooling": site.pooling,
        "eta": winner.eta,
        "C": SPIN_CS[winner.best],
        "layers": len(winner.probes),
        "temperature": 1.0,
    }


def _first_best(trials: Sequence[_Trial]) -> _Trial:
    return trials[first_best(np.array([trial.score for trial in trials]))]


def _chains(probes: Sequence[ProbeResult]) -> list[list[ProbeResult]]:
    """The probes grouped by (kind, pooling), each group by ascending layer."""

    def key(probe: ProbeResult) -> tuple[str, str]:
        return probe.pooled_site.site.kind, probe.pooled_site.pooling

    ordered = sorted(probes, key=lambda probe: (*key(probe), probe.pooled_site))
    return [list(chain) for _, chain in groupby(ordered, key)]


def _path(X: Float[np.ndarray, "n d"], task: Task) -> Path:
    return fit_path(
        X[task.train],
        task.codes[task.train],
        Cs=np.array(SPIN_CS),
        class_weight=task.class_weights(task.train),
        n_class=len(task.classes),
        tol=HEAD_TOL,
    )
