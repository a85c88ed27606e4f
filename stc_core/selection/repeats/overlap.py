"""How many neurons selections share, over all, by layer and by site."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from stc_core.selection.ranking import JointColumns


class PartOverlap(NamedTuple):
    """The neurons of a layer or a site: `kept` by the run, `always` kept, shared.

    `overlap` has the mean Jaccard index for each kind of repeat, and `chance` that of
    random sets of the same sizes from the same part; None where nothing is chosen.
    """

    name: str
    layer: int
    kept: int
    always: int
    overlap: dict[str, float | None]
    chance: float | None

    def record(self) -> dict[str, Any]:
        named = self._asdict() | self.overlap
        del named["overlap"]
        return {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in named.items()
        }


def jaccard(
    chosen: Bool[np.ndarray, "n_selections d"], *, in_pairs: bool = False
) -> float | None:
    """The mean of shared columns over all columns of both, for two selections.

    Compared are all of them, or, `in_pairs`, the first with the second, the third with
    the fourth. None if no selection has a column.
    """
    n = len(chosen)
    pairs = zip(range(0, n, 2), range(1, n, 2), strict=True)
    both = list(pairs if in_pairs else combinations(range(n), 2))
    unions = [int((chosen[i] | chosen[j]).sum()) for i, j in both]
    shared = [int((chosen[i] & chosen[j]).sum()) for i, j in both]
    shares = [a / b for a, b in zip(shared, unions, strict=True) if b]
    return float(np.mean(shares)) if shares else None


def part_overlaps(
    columns: JointColumns,
    chosen: Mapping[str, Bool[np.ndarray, "n_selections d"]],
    kept: Int[np.ndarray, " n"],
    always: Int[np.ndarray, " n_always"],
) -> tuple[tuple[PartOverlap, ...], tuple[PartOverlap, ...]]:
    """The parts of all sites, then those of all layers, that any selection reads.

    `chosen` has the selections of each kind of repeat; those of halves, the first kind,
    are compared in pairs. `kept` and `always` are numbers of columns.
    """
    widths = (columns.ends - columns.starts).astype(np.int64)
    site = np.repeat([str(one.site) for one in columns.sites], widths)
    layer = columns.layer

    def part(name: str, own: Bool[np.ndarray, " d"]) -> PartOverlap:
        some = {kind: flags[:, own] for kind, flags in chosen.items()}
        first = next(iter(some))
        size = float(np.mean([flags.sum(axis=1).mean() for flags in some.values()]))
        return PartOverlap(
            name,
            int(layer[own][0]),
            int(own[kept].sum()),
            int(own[always].sum()),
            {
                kind: jaccard(flags, in_pairs=kind == first)
                for kind, flags in some.items()
            },
            size / (2 * own.sum() - size) if size else None,
        )

    read = np.any([flags.any(axis=0) for flags in chosen.values()], axis=0)
    read[kept] = True
    names = dict.fromkeys(site[read].tolist())
    layers = np.unique(layer[read]).tolist()
    return (
        tuple(part(name, site == name) for name in names),
        tuple(part(f"layer {number}", layer == number) for number in layers),
    )
