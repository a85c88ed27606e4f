"""Features of made-up sites in which a few known columns carry the label."""

from typing import Any, NamedTuple

import numpy as np

from stc_core.data.goal import ACCURATE, Goal
from stc_core.data.task import Task
from stc_core.probes.fit import ProbeResult, fit_probes
from stc_core.types import Feature, PooledSite

WIDTH = 10
NAMES = ("resid.0.mean", "mlp.1.max", "resid.1.mean", "mlp.2.max", "resid.2.mean")
SITES = tuple(PooledSite.parse(name) for name in NAMES)
N_TRAIN, N_VALIDATION, N_TEST = 160, 60, 60


class Toy(NamedTuple):
    """What a recipe knows after the extraction; `telling` carry the label."""

    blocks: dict[PooledSite, np.ndarray]
    task: Task
    test: np.ndarray
    telling: tuple[Feature, ...]

    def read(self, pooled_site: PooledSite) -> np.ndarray:
        return self.blocks[pooled_site]

    def probes(self, **arguments) -> list[ProbeResult]:
        task = self.task
        return fit_probes(
            self.read,
            task.codes,
            task.train,
            task.validation,
            pooled_sites=list(self.blocks),
            goal=task.goal,
            threads=1,
            **arguments,
        )


def goal_with(class_weight: Any) -> Goal:
    """Macro-F1 with these weights of classes, or accuracy without any."""
    return ACCURATE if class_weight is None else Goal("macro_f1", class_weight)


def make(
    K: int = 3,
    *,
    strength: float = 2.0,
    shares: tuple[float, ...] | None = None,
    class_weight: str | None = None,
    seed: int = 0,
) -> Toy:
    """One column per class of mlp.2.max is high for it; all others are noise.

    Columns differ in location and scale. The rows of the splits are mixed.
    """
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_VALIDATION + N_TEST
    codes = rng.choice(K, n, p=shares)
    scale = rng.uniform(0.1, 30, (len(SITES), WIDTH))
    noise = rng.standard_normal((len(SITES), n, WIDTH))
    telling = rng.permutation(WIDTH)[:K]
    noise[3][:, telling] += strength * np.eye(K)[codes]
    blocks = {
        site: ((noise[i] + 1) * scale[i]).astype(np.float32)
        for i, site in enumerate(SITES)
    }
    for shared in (codes, *blocks.values()):
        shared.setflags(write=False)  # many tests read one toy
    train, validation, test = np.split(
        rng.permutation(n), [N_TRAIN, N_TRAIN + N_VALIDATION]
    )
    classes = tuple("abcdefgh"[:K])
    site, pooling = SITES[3]
    return Toy(
        blocks,
        Task(
            codes, classes, np.sort(train), np.sort(validation), goal_with(class_weight)
        ),
        np.sort(test),
        tuple(Feature(site, pooling, int(index)) for index in sorted(telling)),
    )


def only(toy: Toy, *names: str) -> Toy:
    """The same with some sites alone."""
    kept = {site: toy.blocks[site] for site in map(PooledSite.parse, names)}
    return toy._replace(blocks=kept)
