"""Texts read in groups: no text shares a batch with a text of another group.

The last bits of a text's activations depend on the texts of its batch, and the frames
of a store on its first batch. So what is computed from one group does not depend on the
texts of the others. Each group has a store of its own, which other runs may use, too.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.extract import estimate_tokens, extract, find_extracted
from stc_core.activations.row_file import RowStream
from stc_core.activations.store import COPY_ROWS, FeatureStore
from stc_core.backbone.backbone import Backbone
from stc_core.data.texts import Texts
from stc_core.types import PooledSite, Progress, silent

Groups = Sequence[Int[np.ndarray, " _"]]
"""The positions of the texts of each group, ascending; each text is in one group."""


class GroupedStore:
    """The stores of several groups of texts, read as one.

    `parts[i]` is the store of the texts at the positions `groups[i]`. Only the pooled
    sites `wanted` are read, though a part may have more. Of the texts `n_cached` were
    on disk before: a backbone did not read them again.
    """

    def __init__(
        self,
        parts: Sequence[FeatureStore],
        groups: Groups,
        wanted: Sequence[PooledSite],
        *,
        n_cached: int = 0,
    ) -> None:
        self.parts, self.groups = tuple(parts), tuple(groups)
        self.n_cached = n_cached
        self.pooled_sites = tuple(sorted(set(wanted)))
        self.widths = {site: parts[0].widths[site] for site in self.pooled_sites}
        self.notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        self.n = sum(map(len, groups))
        self._part, self._row = np.full(self.n, -1), np.empty(self.n, int)
        for number, rows in enumerate(groups):
            self._part[rows], self._row[rows] = number, np.arange(len(rows))
        assert (self._part >= 0).all(), "a text is in no group"

    def read(
        self,
        pooled_site: PooledSite,
        rows: Int[np.ndarray, " k"] | Sequence[int] | None = None,
    ) -> Float[np.ndarray, "k width"]:
        """Float32 features of the texts at `rows` (None: all), in that order."""
        wanted = np.arange(self.n) if rows is None else np.asarray(rows, int)
        out = np.empty((len(wanted), self.widths[pooled_site]), np.float32)
        part_of = self._part[wanted]
        for number, part in enumerate(self.parts):
            own = np.flatnonzero(part_of == number)
            # In pieces, as the whole would be in memory twice.
            for start in range(0, len(own), COPY_ROWS):
                some = own[start : start + COPY_ROWS]
                out[some] = part.read(pooled_site, self._row[wanted[some]])
        return out

    def followed_by(self, other: "GroupedStore") -> "GroupedStore":
        """Both stores as one: the texts of `other` come after those of this one."""
        groups = (*self.groups, *(rows + self.n for rows in other.groups))
        n_cached = self.n_cached + other.n_cached
        parts = (*self.parts, *other.parts)
        return GroupedStore(parts, groups, self.pooled_sites, n_cached=n_cached)


def extract_groups(
    backbone: Backbone,
    texts: Texts,
    groups: Groups,
    *,
    wanted: Sequence[PooledSite],
    store_dtype: str = "float16",
    progress: Progress = silent,
) -> GroupedStore:
    """The features of all texts as `extract` gives them, each group extracted apart.

    `progress` counts the tokens of the groups that are not on disk yet.
    """
    parts = [texts.at(rows) for rows in groups]
    is_cached = [
        find_extracted(backbone, part, wanted, store_dtype=store_dtype) is not None
        for part in parts
    ]
    sizes = [
        1 if cached else estimate_tokens(backbone, part)
        for part, cached in zip(parts, is_cached, strict=True)
    ]
    shares = shared_progress(progress, sizes)
    stores = [
        extract(backbone, part, wanted, store_dtype=store_dtype, progress=share)
        for part, share in zip(parts, shares, strict=True)
    ]
    n_cached = sum(len(p) for p, cached in zip(parts, is_cached, strict=True) if cached)
    return GroupedStore(stores, groups, wanted, n_cached=n_cached)


def find_groups(
    backbone: Backbone,
    texts: Texts,
    groups: Groups,
    *,
    wanted: Sequence[PooledSite],
    store_dtype: str = "float16",
) -> GroupedStore | None:
    """The features that `extract_groups` would open; None if it would compute some."""
    stores: list[FeatureStore] = []
    for rows in groups:
        part = texts.at(rows)
        found = find_extracted(backbone, part, wanted, store_dtype=store_dtype)
        if found is None:
            return None
        stores.append(found)
    return GroupedStore(stores, groups, wanted, n_cached=len(texts))


def shared_progress(progress: Progress, sizes: Sequence[int]) -> list[Progress]:
    """A progress for each part of a job; together they count to the sum of `sizes`.

    The parts are done one after another.
    """
    total, ends = sum(sizes), np.cumsum(sizes).tolist()

    def share(size: int, end: int) -> Progress:
        def report(done: int, of: int) -> None:
            progress(end - size + (size * done // of if of else size), total)

        return report

    return [share(size, end) for size, end in zip(sizes, ends, strict=True)]


def blocks_in_order(
    groups: Groups,
    blocks_of: Callable[
        [Int[np.ndarray, " rows"]], Iterator[Float[np.ndarray, "_ width"]]
    ],
    *,
    size: int,
) -> Iterator[Float[np.ndarray, "some width"]]:
    """Yield the values of all texts in their order, in blocks of `size` rows.

    `blocks_of(rows)` yields the values of one group in order, in blocks of any size. So
    what it computes together never depends on the rows of another group. Only one block
    of each group is held at a time.
    """
    streams = [RowStream(blocks_of(rows)) for rows in groups]
    n = sum(map(len, groups))
    for start in range(0, n, size):
        stop, pieces = min(start + size, n), []
        for rows, stream in zip(groups, streams, strict=True):
            first, last = np.searchsorted(rows, [start, stop]).tolist()
            if last > first:
                pieces.append((rows[first:last] - start, stream.take(last - first)))
        if len(pieces) == 1:
            yield pieces[0][1]
            continue
        out = np.empty((stop - start, pieces[0][1].shape[1]), np.float32)
        for rows, values in pieces:
            out[rows] = values
        yield out
