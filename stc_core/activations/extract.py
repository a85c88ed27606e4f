"""Pooled activations of texts: computed once, in batches by length, resumable.

`extract` fills a store on disk with whole sites. `extract_features` returns a few
columns directly, for inference. `plan_extraction` says beforehand what `extract` will
cost.
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
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.activations.cache import prune_stores
from stc_core.activations.cost import (
    ExtractionPlan,
    Speed,
    measure_speed,
    plan_extraction,
)
from stc_core.activations.forward import (
    PENDING,
    BatchBudget,
    ForwardsElsewhere,
    ReadBatch,
    run_batches,
    token_ids,
)
from stc_core.activations.integrity import clear_damaged, share_done
from stc_core.activations.store import (
    STORE_DTYPES,
    FeatureStore,
    Frame,
    StoreWriter,
    find_store,
    open_writer,
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
    "estimate_tokens",
    "extract",
    "extract_features",
    "find_extracted",
    "measure_speed",
    "plan_extraction",
]
_SAMPLE = 256
SPREADS = 128
"""A value of 1 in half precision stands for so many usual standard deviations."""


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

    What is on disk already is not computed again: a finished store of these texts with
    the wanted sites is opened, an interrupted one is completed, and equal texts are
    computed once. Two processes that want the same store wait for each other. Float16
    keeps 11 bits of each neuron's deviation from its mean; a site with values beyond
    its range is kept in float32. `progress` counts tokens, estimated from characters,
    so that its rate depends little on the length of the texts. StcError for no texts,
    an unknown dtype or sites that the backbone does not have.
    """
    wanted = _checked(backbone, wanted)
    _check_request(texts, store_dtype)
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
        said = clear_damaged(folder, key)
        writer = _open_store(path, backbone, wanted, numbers, dtype=store_dtype)
        budget = BatchBudget(backbone, wanted, token_budget)
        _fill(backbone, unique, writer, tokens=tokens, budget=budget, progress=progress)
    return FeatureStore(path, said=said)


def _check_request(texts: Sequence[str], store_dtype: str) -> None:
    if store_dtype not in STORE_DTYPES or not texts:
        raise StcError(
            "extract",
            expected=f"at least 1 text and a store dtype of {', '.join(STORE_DTYPES)}",
            got=f"{len(texts)} texts, {store_dtype!r}",
        )


def _open_store(
    path: Path,
    backbone: Backbone,
    wanted: Sequence[PooledSite],
    numbers: Int[np.ndarray, " n"],
    *,
    dtype: str,
) -> StoreWriter:
    """A writer of the store at `path`, after old stores have made room for it.

    `numbers` are those of `distinct_texts`.
    """
    widths = {pooled_site: backbone.widths[pooled_site.site] for pooled_site in wanted}
    needed = store_bytes(int(numbers.max()) + 1, len(numbers), widths, dtype)
    prune_stores(path.parent, needed=needed, keep=path)
    about = {"backbone": backbone.name, "created": datetime.now(UTC).isoformat()}
    return open_writer(path, widths, numbers, dtype=dtype, about=about)


def find_extracted(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    *,
    store_dtype: str = "float16",
) -> FeatureStore | None:
    """The finished store that `extract` would open; None if it would compute."""
    key = _key(backbone, texts, store_dtype)
    return find_store(features_folder(), key, _checked(backbone, wanted))


def _key(backbone: Backbone, texts: Sequence[str], store_dtype: str) -> str:
    """The key of these texts' stores, with every setting that changes the numbers."""
    return text_key(texts, backbone.identity, *_numerics(backbone), store_dtype)


def _fill(
    backbone: Backbone,
    texts: Sequence[str],
    writer: StoreWriter,
    *,
    tokens: Float[np.ndarray, " n"],
    budget: BatchBudget,
    progress: Progress,
) -> None:
    """Compute and write the missing rows; rows that are written survive any error."""
    total, n_done = int(tokens.sum()), tokens[writer.done()].sum()
    pending: deque[Future[None]] = deque()
    batches = run_batches(
        backbone,
        texts,
        writer.pooled_sites,
        partial(_packed, writer, {}),
        budget=budget,
        start=writer.rows_done,
    )
    try:
        with ThreadPoolExecutor(1, "store") as disk, closing(batches):
            for batch in batches:
                if len(pending) == PENDING:
                    pending.popleft().result()
                pending.append(disk.submit(_save, writer, batch))
                n_done += tokens[batch.rows].sum()
                progress(min(int(n_done), total), total)
            for saved in pending:
                saved.result()
    finally:
        writer.notes += budget.notes
        writer.checkpoint()


def extract_features(
    backbone: Backbone,
    texts: Sequence[str],
    features: Sequence[Feature],
    *,
    token_budget: int | None = None,
    progress: Progress = silent,
) -> Float[np.ndarray, "n n_features"]:
    """Float32 values of single neurons, one row per text and one column per feature.

    The forward pass stops after the highest layer among `features`. Only the result
    grows with the number of texts. `progress` counts texts.
    """
    columns = _columns_of(tuple(features)) if features else _Columns({}, np.empty(0))
    wanted = _checked(backbone, list(columns.by_site))
    out = np.empty((len(texts), len(features)), np.float32)
    if not texts:
        return out
    other: ForwardsElsewhere | None = backbone.elsewhere
    if other is not None and other.takes(len(texts)):
        for read in other.features(backbone, texts, features):
            out[read.rows] = read.value
            progress(read.start + len(read.rows), len(texts))
        return out
    pick = _picker(backbone, columns)
    pending: deque[ReadBatch[HostCopy]] = deque()

    def take_result() -> None:
        batch = pending.popleft()
        out[batch.rows] = batch.value.wait().numpy()
        progress(batch.start + len(batch.rows), len(texts))

    budget = BatchBudget(backbone, wanted, token_budget)
    with closing(run_batches(backbone, texts, wanted, pick, budget=budget)) as batches:
        for batch in batches:
            pending.append(batch)
            if len(pending) == PENDING:
                take_result()
    while pending:
        take_result()
    return out


class _Columns(NamedTuple):
    """The columns to read of each pooled site, and the order of the features."""

    by_site: dict[PooledSite, np.ndarray]
    order: np.ndarray


@lru_cache(16)
def _columns_of(features: tuple[Feature, ...]) -> _Columns:
    """The columns of the features; cached, as they take time for one short text."""
    sites = [PooledSite(site, pooling) for site, pooling, _ in features]
    index = np.array([feature.index for feature in features])
    positions = {
        wanted: np.array([i for i, site in enumerate(sites) if site == wanted])
        for wanted in sorted(set(sites))
    }
    order = np.argsort(np.concatenate(list(positions.values())))
    return _Columns({site: index[rows] for site, rows in positions.items()}, order)


def _picker(backbone: Backbone, columns: _Columns) -> Callable[[Blocks], "HostCopy"]:
    """A function that takes the features' columns out of pooled blocks."""
    for pooled_site, indices in columns.by_site.items():
        width = backbone.widths[pooled_site.site]
        invalid = indices[(indices < 0) | (indices >= width)]
        if len(invalid):
            feature = Feature(pooled_site.site, pooled_site.pooling, int(invalid[0]))
            raise StcError(
                f"feature {feature}",
                expected=f"an index from 0 to {width - 1}",
            )
    device = backbone.device
    order = torch.from_numpy(columns.order).to(device)
    index = {k: torch.from_numpy(v).to(device) for k, v in columns.by_site.items()}

    def pick(blocks: Blocks) -> HostCopy:
        parts = [blocks[pooled_site][:, index[pooled_site]] for pooled_site in index]
        return HostCopy.start(torch.cat(parts, 1)[:, order])

    return pick


def _packed(writer: StoreWriter, offsets: Blocks, blocks: Blocks) -> Packed:
    """The blocks as they are stored; the first batch determines the frames.

    `offsets` keeps the offsets of the frames on the device, from the first call on.
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
    """A frame around the mean, whose smallest step is far below the spread.

    Near 0 float16 has steps of 6e-8. With SPREADS usual standard deviations to one
    unit, a step is 8e-6 of the usual standard deviation: a few times the rounding of
    float32.
    """
    offset = block.mean(0)
    sd = (block - offset).square().mean(0).sqrt()
    usual = float(sd[sd > 0].median()) if bool((sd > 0).any()) else 0.0
    scale = 2.0 ** round(log2(SPREADS * usual)) if 0 < usual < inf else 1.0
    return Frame(offset.cpu().numpy(), scale)


def _save(writer: StoreWriter, batch: ReadBatch[Packed]) -> None:
    """Write a batch to the store; a block with values beyond float16 stays float32."""
    blocks = batch.value.blocks
    values = batch.value.values.wait()
    fits = bool(torch.isfinite(batch.value.extremes.wait()).all())
    pieces = values.split([block.numel() for block in blocks.values()])
    out: dict[PooledSite, np.ndarray] = {}
    for (pooled_site, block), piece in zip(blocks.items(), pieces, strict=True):
        is_wide = writer.dtype(pooled_site).itemsize > piece.itemsize
        if is_wide or not (fits or torch.isfinite(piece).all()):
            piece = _finite(pooled_site, block.cpu())
        out[pooled_site] = piece.view(block.shape).numpy()
    writer.write(batch.start, batch.rows, out)


def _finite(pooled_site: PooledSite, block: Tensor) -> Tensor:
    """The block itself; StcError if it holds inf or NaN."""
    if not torch.isfinite(block).all():
        raise StcError(
            f"activations of {pooled_site}",
            expected="finite numbers",
            got="inf or NaN",
            remedy="The backbone overflows: run it in float32 or bfloat16.",
        )
    return block


def _checked(
    backbone: Backbone, wanted: Sequence[PooledSite]
) -> tuple[PooledSite, ...]:
    """The wanted sites, each once, in computing order; StcError for unknown ones."""
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
    """The settings that change the numbers of the same texts.

    The device is one of them in half precision only. In float32 the kernels of two
    devices agree up to the last bits.
    """
    half = backbone.dtype.itemsize < 4
    return (
        backbone.max_length,
        str(backbone.dtype),
        backbone.device.type if half else "",
    )


def estimate_tokens(backbone: Backbone, texts: Sequence[str]) -> int:
    """About how many tokens `extract` reads, if no two of these texts are equal."""
    return int(_estimate(backbone, texts).sum())


def _estimate(backbone: Backbone, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
    """The estimated tokens of each text, from its characters and a sample of texts."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    lengths = np.array([len(row) for row in token_ids(backbone, sample)])
    characters = np.array([len(text) + 1 for text in sample])
    # Texts that were cut do not show how many characters a token has.
    is_uncut = lengths < backbone.max_length
    is_uncut |= not is_uncut.any()
    ratio = lengths[is_uncut].sum() / characters[is_uncut].sum()
    all_characters = np.fromiter((len(text) + 1 for text in texts), float, len(texts))
    return (all_characters * ratio).clip(1, backbone.max_length)


def _acquire(guard: FileLock, waiting: Callable[[], None]) -> AcquireReturnProxy:
    """Take the lock once it is free; `waiting` is called every second until then."""
    while True:
        try:
            return guard.acquire(timeout=1)
        except Timeout:
            waiting()
