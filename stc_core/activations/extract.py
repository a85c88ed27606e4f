"""Texts to pooled activations: once, in batches sorted by length, resumable.

`extract` fills a store on disk with whole sites; `extract_features` gives a few
columns at once, for inference. `plan_extraction` says beforehand what it will cost.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache, partial
from math import inf, log2
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import AcquireReturnProxy, FileLock, Timeout
from jaxtyping import Float
from torch import Tensor

from stc_core.activations.cache import prune_stores
from stc_core.activations.cost import (
    ExtractionPlan,
    Speed,
    measure_speed,
    plan_extraction,
)
from stc_core.activations.forward import PENDING, BatchBudget, ReadBatch, run, token_ids
from stc_core.activations.store import (
    STORE_DTYPES,
    FeatureStore,
    Frame,
    StoreWriter,
    find_store,
    open_writer,
    share_done,
    store_bytes,
    store_lock,
    store_path,
    text_key,
)
from stc_core.activations.transfer import Blocks, HostCopy, Packed, pack
from stc_core.backbone.backbone import Backbone
from stc_core.data.texts import distinct_texts
from stc_core.errors import StcError
from stc_core.paths import features_folder
from stc_core.types import Feature, PooledSite, Progress, silent

__all__ = [
    "ExtractionPlan",
    "Speed",
    "extract",
    "extract_features",
    "measure_speed",
    "plan_extraction",
    "stored",
]
_SAMPLE = 256
SPREADS = 128
"""Usual standard deviations that make 1 in half precision."""


def extract(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    *,
    store_dtype: str = "float16",
    folder: Path | None = None,
    token_budget: int | None = None,
    progress: Progress = silent,
) -> FeatureStore:
    """A store of the `wanted` pooled activations of every text, in the texts' order.

    What is on disk already is not computed again: a finished store of these texts
    that holds the wanted sites is opened, an interrupted one is completed, and equal
    texts are computed once. Two processes that want the same wait for each other.
    Float16 keeps 11 bits of what a neuron varies by; a site with values beyond its
    range is kept in float32. `progress` counts tokens, estimated from characters, so
    that its rate depends little on length.
    """
    wanted = _checked(backbone, wanted)
    if store_dtype not in STORE_DTYPES or not texts:
        raise StcError(
            "extract",
            expected=f"texts, and a store dtype of {', '.join(STORE_DTYPES)}",
            got=f"{len(texts)} texts, {store_dtype!r}",
        )
    folder = folder or features_folder()
    key = _key(backbone, texts, store_dtype)
    if store := find_store(folder, key, wanted):
        progress(1, 1)
        return store
    path = store_path(folder, key, wanted)
    unique, numbers = distinct_texts(texts)
    tokens = _estimate(backbone, unique)
    total = int(tokens.sum())
    waiting = lambda: progress(int(total * share_done(path)), total)  # noqa: E731
    with _acquire(store_lock(folder, key), waiting):
        if store := find_store(folder, key, wanted):
            progress(total, total)
            return store
        widths = {wish: backbone.widths[wish.site] for wish in wanted}
        about = {"backbone": backbone.name, "created": datetime.now(UTC).isoformat()}
        needed = store_bytes(len(unique), len(texts), widths, store_dtype)
        prune_stores(folder, needed=needed, keep=path)
        writer = open_writer(path, widths, numbers, dtype=store_dtype, about=about)
        pace = BatchBudget(backbone, wanted, token_budget)
        _fill(backbone, unique, writer, tokens=tokens, pace=pace, progress=progress)
    return FeatureStore(path)


def stored(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    *,
    store_dtype: str = "float16",
) -> FeatureStore | None:
    """What `extract` would find finished on disk; None if it would have to compute."""
    key = _key(backbone, texts, store_dtype)
    return find_store(features_folder(), key, _checked(backbone, wanted))


def _key(backbone: Backbone, texts: Sequence[str], store_dtype: str) -> str:
    return text_key(texts, backbone.identity, *_numerics(backbone), store_dtype)


def _fill(
    backbone: Backbone,
    texts: Sequence[str],
    writer: StoreWriter,
    *,
    tokens: Float[np.ndarray, " n"],
    pace: BatchBudget,
    progress: Progress,
) -> None:
    """Computes and writes what is missing; what was written is kept on any error."""
    total, done = int(tokens.sum()), tokens[writer.done()].sum()
    pending: deque[Future[None]] = deque()
    batches = run(
        backbone,
        texts,
        writer.pooled_sites,
        partial(_packed, writer, {}),
        pace=pace,
        start=writer.rows_done,
    )
    try:
        with ThreadPoolExecutor(1, "store") as disk, closing(batches):
            for batch in batches:
                if len(pending) == PENDING:
                    pending.popleft().result()
                pending.append(disk.submit(_save, writer, batch))
                done += tokens[batch.rows].sum()
                progress(min(int(done), total), total)
            for write in pending:
                write.result()
    finally:
        writer.notes += pace.notes
        writer.checkpoint()


def extract_features(
    backbone: Backbone,
    texts: Sequence[str],
    features: Sequence[Feature],
    *,
    token_budget: int | None = None,
    progress: Progress = silent,
) -> Float[np.ndarray, "n n_features"]:
    """Float32 values of single neurons, a row a text and a column a feature.

    The forward stops after the highest layer among `features`; nothing but the
    result grows with the number of texts. `progress` counts texts.
    """
    places = _places(tuple(features)) if features else _Places({}, np.empty(0))
    wanted = _checked(backbone, list(places.of))
    out = np.empty((len(texts), len(features)), np.float32)
    if not texts:
        return out
    pick = _picker(backbone, places)
    pending: deque[ReadBatch[HostCopy]] = deque()

    def land() -> None:
        batch = pending.popleft()
        out[batch.rows] = batch.value.wait().numpy()
        progress(batch.start + len(batch.rows), len(texts))

    pace = BatchBudget(backbone, wanted, token_budget)
    with closing(run(backbone, texts, wanted, pick, pace=pace)) as batches:
        for batch in batches:
            pending.append(batch)
            if len(pending) == PENDING:
                land()
    while pending:
        land()
    return out


class _Places(NamedTuple):
    """Where single neurons are among pooled sites: columns of each, and their order."""

    of: dict[PooledSite, np.ndarray]
    back: np.ndarray


@lru_cache(16)
def _places(features: tuple[Feature, ...]) -> _Places:
    """Once for a classifier: a single short text would notice."""
    sites = [PooledSite(site, pooling) for site, pooling, _ in features]
    index = np.array([feature.index for feature in features])
    places = {
        wish: np.array([at for at, site in enumerate(sites) if site == wish])
        for wish in sorted(set(sites))
    }
    back = np.argsort(np.concatenate(list(places.values())))
    return _Places({wish: index[at] for wish, at in places.items()}, back)


def _picker(backbone: Backbone, places: _Places) -> Callable[[Blocks], "HostCopy"]:
    """Takes single columns out of pooled sites."""
    for wish, wanted in places.of.items():
        width = backbone.widths[wish.site]
        outside = wanted[(wanted < 0) | (wanted >= width)]
        if len(outside):
            raise StcError(
                f"feature {Feature(wish.site, wish.pooling, int(outside[0]))}",
                expected=f"an index from 0 to {width - 1}",
            )
    device = backbone.device
    back = torch.from_numpy(places.back).to(device)
    index = {k: torch.from_numpy(v).to(device) for k, v in places.of.items()}

    def pick(blocks: Blocks) -> HostCopy:
        parts = [blocks[wish][:, index[wish]] for wish in index]
        return HostCopy.start(torch.cat(parts, 1)[:, back])

    return pick


def _packed(writer: StoreWriter, offsets: Blocks, blocks: Blocks) -> Packed:
    """The blocks as they are stored; the first batch says in which frames.

    `offsets` keeps those of the frames on the device, from the first call on.
    """
    if writer.store_dtype == "float32":
        return pack(blocks, torch.float32)
    if not writer.frames:
        writer.frame({site: _frame(block) for site, block in blocks.items()})
    for site, block in blocks.items():
        if site not in offsets:
            offset = torch.from_numpy(writer.frames[site].offset)
            offsets[site] = offset.to(block.device)
    scaled = {
        site: (block - offsets[site]) / writer.frames[site].scale
        for site, block in blocks.items()
    }
    return pack(scaled)


def _frame(block: Float[Tensor, "batch width"]) -> Frame:
    """Around the mean; a scale at which the least step is far below the spread.

    Float16 has steps of 6e-8 near 0, so that SPREADS of them are 8e-6 of the usual
    standard deviation: a few times what rounding in float32 comes to.
    """
    offset = block.mean(0)
    sd = (block - offset).square().mean(0).sqrt()
    usual = float(sd[sd > 0].median()) if bool((sd > 0).any()) else 0.0
    scale = 2.0 ** round(log2(SPREADS * usual)) if 0 < usual < inf else 1.0
    return Frame(offset.cpu().numpy(), scale)


def _save(writer: StoreWriter, batch: ReadBatch[Packed]) -> None:
    blocks = batch.value.blocks
    values = batch.value.values.wait()
    fits = bool(torch.isfinite(batch.value.extremes.wait()).all())
    pieces = values.split([block.numel() for block in blocks.values()])
    out: dict[PooledSite, np.ndarray] = {}
    for (wish, block), piece in zip(blocks.items(), pieces, strict=True):
        wide = writer.dtype(wish).itemsize > piece.itemsize
        if wide or not (fits or torch.isfinite(piece).all()):
            piece = _finite(wish, block.cpu())
        out[wish] = piece.view(block.shape).numpy()
    writer.write(batch.start, batch.rows, out)


def _finite(wish: PooledSite, block: Tensor) -> Tensor:
    if not torch.isfinite(block).all():
        raise StcError(
            f"activations of {wish}",
            expected="finite numbers",
            got="inf or NaN",
            remedy="The backbone overflows: run it in float32 or bfloat16.",
        )
    return block


def _checked(
    backbone: Backbone, wanted: Sequence[PooledSite]
) -> tuple[PooledSite, ...]:
    """The wanted pooled sites, each once, in computing order."""
    unknown = sorted({str(wish) for wish in wanted if wish.site not in backbone.widths})
    if unknown or not wanted:
        raise StcError(
            f"sites of backbone {backbone.name!r}",
            expected=f"some of layers 0 to {backbone.n_layers}",
            got=", ".join(unknown) or "none",
            remedy=" ".join(backbone.notes) or None,
        )
    return tuple(sorted(set(wanted)))


def _numerics(backbone: Backbone) -> tuple[object, ...]:
    """What changes the numbers beside the texts.

    In float32 the kernels of two devices agree to the last bits; in half precision
    they do not, so the device counts.
    """
    half = backbone.dtype.itemsize < 4
    return (
        backbone.max_length,
        str(backbone.dtype),
        backbone.device.type if half else "",
    )


def _estimate(backbone: Backbone, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Tokens of each text, from its characters and a sample of the corpus."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    lengths = np.array([len(row) for row in token_ids(backbone, sample)])
    characters = np.array([len(text) + 1 for text in sample])
    # A cut text says little about the number of characters in a token.
    whole = lengths < backbone.max_length
    whole |= not whole.any()
    ratio = lengths[whole].sum() / characters[whole].sum()
    every = np.fromiter((len(text) + 1 for text in texts), float, len(texts))
    return (every * ratio).clip(1, backbone.max_length)


def _acquire(guard: FileLock, waiting: Callable[[], None]) -> AcquireReturnProxy:
    """The lock, once it is free; `waiting` is called every second until then."""
    while True:
        try:
            return guard.acquire(timeout=1)
        except Timeout:
            waiting()
