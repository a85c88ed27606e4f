"""Activations of texts as one safetensors file, for other programs.

Either pooled, a row for each text, or a row for each token. The file is written in
parts and read in parts, so it may be larger than the memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int, Shaped
from safetensors import SafetensorError, safe_open

from stc_core.activations.extract import extract
from stc_core.activations.forward import BatchBudget, run_batches, token_ids
from stc_core.activations.row_file import block_rows
from stc_core.activations.store import STORE_DTYPES
from stc_core.activations.tensor_file import TensorShape, tensor_writer
from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.files import temporary_path, write_error
from stc_core.types import PooledSite, Progress, Site, silent

_VERSION = "1"
OFFSETS, TOKEN_IDS, STARTS, ENDS = "offsets", "token_ids", "starts", "ends"
"""The tensors of integers beside the activations of tokens."""
_PART_BYTES = 1 << 27
"""So many bytes of token activations are in memory at once, or one text's."""
_PART_TOKENS = 4096


class SavedFacts(NamedTuple):
    """What was written: texts, rows of a tensor, and the bytes of the file."""

    n_texts: int
    n_rows: int
    n_bytes: int


def save_pooled(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    path: str | Path,
    *,
    dtype: str = "float32",
    rows: pd.DataFrame | None = None,
    progress: Progress = silent,
) -> SavedFacts:
    """Write the pooled activations of the texts to the safetensors file `path`.

    A tensor (n, width) is called like its pooled site, such as `resid.4.mean`. Its rows
    are in the order of the texts, with the values of `Backbone.pooled`. They go through
    the store of features, so an interrupted extraction goes on where it stopped, and a
    second file of the same texts reads nothing again. `rows`, such as ids and labels,
    are written beside it (see `rows_path`). `progress` counts tokens. Raises StcError
    for no texts, unknown sites, a dtype but float32 and float16, or a value that does
    not fit.
    """
    path = checked_path(path, dtype, rows, len(texts))
    store = extract(backbone, texts, wanted, store_dtype=dtype, progress=progress)
    sites = sorted(set(wanted))

    def blocks() -> Iterator[tuple[PooledSite, int, Float[np.ndarray, "_ _"]]]:
        for one in sites:
            size = block_rows(store.widths[one])
            for start in range(0, len(texts), size):
                some = np.arange(start, min(start + size, len(texts)))
                yield one, start, store.read(one, some)

    return write_pooled(
        backbone, sites, blocks(), path, n=len(texts), dtype=dtype, rows=rows
    )


def write_pooled(
    backbone: Backbone,
    sites: Sequence[PooledSite],
    blocks: Iterable[tuple[PooledSite, int, Float[np.ndarray, "_ _"]]],
    path: Path,
    *,
    n: int,
    dtype: str,
    rows: pd.DataFrame | None,
) -> SavedFacts:
    """Write the file of `save_pooled` from blocks: a site, a first row, and values.

    Together they must have all `n` rows of each of the sites.
    """
    tensors = {
        str(one): TensorShape(dtype, (n, backbone.widths[one.site])) for one in sites
    }
    about = {**_about(backbone), "rows": "texts"}
    with _beside(path, rows), tensor_writer(path, tensors, about=about) as writer:
        for one, start, values in blocks:
            writer.write(str(one), start, _narrowed(values, dtype, str(one)))
    return SavedFacts(n, n, path.stat().st_size)


def save_tokens(
    backbone: Backbone,
    texts: Sequence[str],
    sites: Sequence[Site],
    path: str | Path,
    *,
    dtype: str = "float32",
    rows: pd.DataFrame | None = None,
    progress: Progress = silent,
) -> SavedFacts:
    """Write the activations of every kept token to the safetensors file `path`.

    A tensor (n_tokens, width) is called like its site, such as `resid.4`. The tokens of
    text i are the rows `offsets[i]:offsets[i + 1]`; `token_ids` has their ids, and
    characters `starts:ends` of the text are theirs (equal for special tokens). At the
    sites of a decoder that reads its text shifted by one, a row has the state that the
    token before it leads to. `progress` counts texts. Otherwise as `save_pooled`.
    """
    path = checked_path(path, dtype, rows, len(texts))
    sites = sorted(set(sites))
    if not sites:
        raise StcError("sites", expected="at least one", got="none")
    for site in sites:
        backbone.point(site)  # raises StcError for one that it does not have
    lengths = [len(ids) for ids in token_ids(backbone, texts)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n_tokens = int(offsets[-1])
    tensors = {
        OFFSETS: TensorShape("int64", (len(texts) + 1,)),
        **{n: TensorShape("int32", (n_tokens,)) for n in (TOKEN_IDS, STARTS, ENDS)},
        **{str(s): TensorShape(dtype, (n_tokens, backbone.widths[s])) for s in sites},
    }
    about = {**_about(backbone), "rows": "tokens"}
    with _beside(path, rows), tensor_writer(path, tensors, about=about) as writer:
        writer.write(OFFSETS, 0, offsets)
        for text, ids, values in _token_values(backbone, texts, sites, progress):
            parts = {**_places(backbone, texts[text], ids), **values}
            assert len(ids) == lengths[text], (text, len(ids), lengths[text])
            for name, block in parts.items():
                block = _narrowed(block, dtype, name) if block.ndim > 1 else block
                writer.write(name, int(offsets[text]), block)
    return SavedFacts(len(texts), n_tokens, path.stat().st_size)


def _places(
    backbone: Backbone, text: str, ids: Int[np.ndarray, " pos"]
) -> dict[str, Int[np.ndarray, " pos"]]:
    """The ids of a text's tokens, and where their characters begin and end."""
    spans = backbone.spans(text)
    assert len(ids) == len(spans), (len(ids), len(spans))
    starts = np.array([span.start for span in spans])
    ends = np.array([span.end for span in spans])
    return {TOKEN_IDS: ids, STARTS: starts, ENDS: ends}


def pooled_arrays(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    *,
    progress: Progress = silent,
) -> dict[PooledSite, Float[np.ndarray, "n _"]]:
    """The pooled activations of all texts in memory, float32, a row for each text.

    They are those of `save_pooled`, and go through the same store.
    """
    store = extract(backbone, texts, wanted, store_dtype="float32", progress=progress)
    return {one: store.read(one) for one in dict.fromkeys(wanted)}


class ActivationFile:
    """Reads what `save_pooled` or `save_tokens` wrote, only the rows asked for.

    The file is memory-mapped: opening it reads its header alone. `names` are its
    tensors, `n` the number of texts, `about` the backbone and how it read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = safe_open(self.path, "np")
        except (OSError, SafetensorError) as error:
            raise _not_ours(self.path, str(error)) from error
        self.about = dict(self._file.metadata() or {})
        self.names = tuple(sorted(self._file.keys()))
        if self.about.get("format") != "stc-activations":
            raise _not_ours(self.path, "another safetensors file")
        # The first files had no version, and are of the first one.
        if (version := self.about.get("version", _VERSION)) != _VERSION:
            raise _not_ours(self.path, f"version {version}; this one reads {_VERSION}")
        self.of_tokens = OFFSETS in self.names
        first = OFFSETS if self.of_tokens else self.names[0]
        self.n = self._file.get_slice(first).get_shape()[0] - self.of_tokens

    def read(
        self, name: str, rows: slice | None = None
    ) -> Shaped[np.ndarray, "rows ..."]:
        """The rows of a tensor (None: all), as they are stored."""
        if name not in self.names:
            known = ", ".join(self.names)
            raise StcError(f"tensor {name!r}", expected=f"one of {known}")
        return self._file.get_slice(name)[rows if rows is not None else slice(None)]

    def tokens(self, text: int, site: str | Site) -> Float[np.ndarray, "pos width"]:
        """The activations of the tokens of one text."""
        return self.read(str(site), self.rows_of(text))

    def rows_of(self, text: int) -> slice:
        """The rows of the tokens of one text."""
        if not self.of_tokens or not 0 <= text < self.n:
            raise StcError(
                f"tokens of text {text}",
                expected=f"a text from 0 to {self.n - 1} of a file of tokens",
                got="a file of pooled activations" if not self.of_tokens else None,
            )
        start, stop = self.read(OFFSETS, slice(text, text + 2)).tolist()
        return slice(start, stop)

    @property
    def rows(self) -> pd.DataFrame:
        """What was kept beside it for each text, such as ids and labels."""
        return pd.read_parquet(rows_path(self.path))

    def __repr__(self) -> str:
        return f"ActivationFile({str(self.path)!r}, {self.n:,} texts)"


def rows_path(path: str | Path) -> Path:
    """The Parquet file with a row for each text, beside the activations at `path`."""
    return Path(path).with_suffix(".rows.parquet")


def checked_path(
    path: str | Path, dtype: str, rows: pd.DataFrame | None, n: int
) -> Path:
    """The path of a file that can be written; StcError if it or the rows do not fit."""
    path = Path(path)
    if dtype not in STORE_DTYPES:
        raise StcError("dtype", expected=" or ".join(STORE_DTYPES), got=repr(dtype))
    if path.suffix != ".safetensors":
        raise StcError(
            f"file {str(path)!r}", expected="a name that ends in .safetensors"
        )
    if not path.absolute().parent.is_dir():
        raise StcError(f"file {str(path)!r}", expected="a folder that exists")
    if not n:
        raise StcError("activations", expected="at least one text", got="none")
    if rows is not None and len(rows) != n:
        raise StcError(
            "rows", expected=f"{n:,}, one for each text", got=f"{len(rows):,}"
        )
    return path


def _token_values(
    backbone: Backbone,
    texts: Sequence[str],
    sites: Sequence[Site],
    progress: Progress,
) -> Iterator[tuple[int, Int[np.ndarray, " pos"], dict[str, np.ndarray]]]:
    """Each text's number, token ids and activations by site, batch by batch."""
    wanted = [PooledSite(site, "mean") for site in sites]
    token_bytes = 4 * sum(backbone.widths[site] for site in sites)
    limit = max(1, min(_PART_TOKENS, _PART_BYTES // token_bytes))
    read = lambda ids: (ids, backbone.token_activations(ids, sites))  # noqa: E731
    batches = run_batches(
        backbone,
        texts,
        wanted,
        lambda both: both,
        budget=BatchBudget(backbone, wanted, limit),
        read=read,
    )
    with closing(batches):
        for batch in batches:
            for text, ids, values in zip(batch.rows, *batch.value, strict=True):
                named = {str(site): block.numpy() for site, block in values.items()}
                yield int(text), ids, named
            progress(batch.start + len(batch.rows), len(texts))


def _narrowed(block: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """The block in `dtype`; StcError if a value is then no finite number."""
    with np.errstate(over="ignore"):
        narrow = block.astype(dtype, copy=False)
    if not np.isfinite(narrow).all():
        raise StcError(
            f"activations of {name}",
            expected=f"finite numbers that fit {dtype}",
            got="inf or NaN",
            remedy="Write float32."
            if dtype == "float16"
            else "The backbone overflows: run it in float32 or bfloat16.",
        )
    return narrow


def _about(backbone: Backbone) -> dict[str, str]:
    return {
        "format": "stc-activations",
        "version": _VERSION,
        "backbone": backbone.name,
        "identity": backbone.identity,
        "max_length": str(backbone.max_length),
        "computed_in": str(backbone.dtype).removeprefix("torch."),
    }


@contextmanager
def _beside(path: Path, rows: pd.DataFrame | None) -> Iterator[None]:
    """Write the rows aside, and put them beside `path` once the block has ended well.

    So what cannot be written is known first, and after an error both files are as they
    were.
    """
    beside = rows_path(path)
    if beside.is_dir():
        raise StcError(
            f"cannot write {str(beside)!r}",
            expected="a file, or none yet",
            got="a folder",
            remedy="Move it away, or choose another name.",
        )
    temporary = temporary_path(beside)
    try:
        if rows is not None:
            _write_rows(rows, temporary, beside)
        yield
        try:
            if rows is None:
                beside.unlink(missing_ok=True)  # of another file that had this name
            else:
                temporary.replace(beside)
        except OSError as error:
            raise write_error(beside, error) from error
    finally:
        with suppress(OSError):  # a read-only folder: the error says so
            temporary.unlink(missing_ok=True)


def _write_rows(rows: pd.DataFrame, temporary: Path, beside: Path) -> None:
    """Write the rows to `temporary`; StcError about `beside` if that fails."""
    try:
        rows.to_parquet(temporary, index=False)
    except OSError as error:
        raise write_error(beside, error) from error
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise StcError(
            f"rows for {str(beside)!r}",
            expected="columns with names of their own, and one kind of values in each",
            got=" ".join(str(error).split())[:300],
            remedy="Make such columns text: rows[name].astype(str).",
        ) from error


def _not_ours(path: Path, got: str) -> StcError:
    return StcError(
        f"file {str(path)!r}",
        expected="a file that `stc activations` wrote",
        got=got,
    )
