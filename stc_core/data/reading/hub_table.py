"""A data set of the Hugging Face Hub as a Parquet file on this machine.

The library datasets reads it (the extra `hub`). It runs no code of a data set.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stc_core.errors import StcError
from stc_core.files import machine_error, make_folder, replacing, write_error
from stc_core.paths import data_sets_folder

PREFIX = "hub:"
_FORM = "hub:OWNER/NAME, hub:OWNER/NAME:SPLIT or hub:OWNER/NAME/CONFIG:SPLIT"
_WORD = r"[A-Za-z0-9][\w.+-]*"
_NAME = re.compile(
    rf"hub:(?P<id>{_WORD}/{_WORD})(/(?P<config>{_WORD}))?(:(?P<split>{_WORD}))?"
)
_BATCH_ROWS = 8192
_REVISION_LENGTH = 8
_REMOTE = "hf://datasets/"
"""Before an id, it keeps the library from reading a local folder of that name."""


class HubTable(NamedTuple):
    """The id of a data set, its configuration (None: the only one) and a split."""

    id: str
    config: str | None
    split: str


def is_hub_table(path: str | Path) -> bool:
    """Whether a table is named by a Hub id, such as `hub:owner/name:test`."""
    return str(path).startswith(PREFIX)


def parse_hub_table(name: str) -> HubTable:
    """The parts of a name; the split is `train` if there is none. Raises StcError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise StcError(f"data set {name!r}", expected=_FORM)
    return HubTable(found["id"], found["config"], found["split"] or "train")


def hub_table_file(name: str) -> Path:
    """The Parquet file of the split that `name` names, downloaded if necessary.

    Its rows are those of the newest revision; without a network they are those that
    were downloaded last. Classes that are numbers become their names. Raises StcError
    if the data set, its configuration or its split is not there, and without the
    library datasets.
    """
    table = parse_hub_table(name)
    folder, stem = data_sets_folder(), _stem(table)
    with _explained(name):
        revision = _revision(table)
    if revision is None:
        kept = re.compile(rf"{re.escape(stem)}-[0-9a-f]{{{_REVISION_LENGTH}}}\.parquet")
        files = folder.glob("*.parquet")
        known = [file for file in files if kept.fullmatch(file.name)]
        if not known:
            raise _not_reached(name)
        return max(known, key=lambda file: file.stat().st_mtime)
    file = folder / f"{stem}-{revision[:_REVISION_LENGTH]}.parquet"
    if not file.is_file():
        make_folder(folder)
        with _explained(name):
            _download(table, revision, file)
    return file


def _stem(table: HubTable) -> str:
    """How the files of a table are called; no other table has the same name.

    A part that has the sign between the parts in itself gets another one there.
    """
    parts = filter(None, (*table.id.split("/"), table.config, table.split))
    return "--".join(part.replace("--", "-~") for part in parts)


def _revision(table: HubTable) -> str | None:
    """The newest revision; None if the Hub cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    )

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        return str(api.dataset_info(table.id).sha)
    except HfHubHTTPError:
        raise
    except (HTTPError, OSError):
        return None


def _download(table: HubTable, revision: str, file: Path) -> None:
    """Download the split and write it, batch by batch, to `file`."""
    datasets = _library()
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".") as cache:
            rows = datasets.load_dataset(
                f"{_REMOTE}{table.id}",
                table.config,
                split=table.split,
                revision=revision,
                cache_dir=cache,
            )
            _write(rows, file)
            del rows  # its files are mapped into memory
    finally:
        if not bars:
            datasets.enable_progress_bars()


def _write(rows: Any, file: Path) -> None:
    """Write a split as Parquet, with the names of its classes."""
    names = {
        column: feature.names
        for column, feature in rows.features.items()
        if hasattr(feature, "int2str")
    }
    writer: pq.ParquetWriter | None = None
    try:
        with replacing(file) as temporary:
            for batch in rows.with_format("arrow").iter(_BATCH_ROWS):
                named = _with_names(batch, names)
                writer = writer or pq.ParquetWriter(temporary, named.schema)
                writer.write_table(named)
            if writer is None:
                raise StcError(f"data set {file.stem!r}", expected="rows", got="none")
            writer.close()
    except OSError as error:
        raise write_error(file, error) from error


def _with_names(batch: pa.Table, names: dict[str, list[str]]) -> pa.Table:
    """The batch with class names in place of their numbers; below 0 is no class."""
    for column, known in names.items():
        numbers = batch.column(column).to_pylist()
        labels = [known[n] if n is not None and n >= 0 else None for n in numbers]
        place = batch.schema.get_field_index(column)
        batch = batch.set_column(place, column, pa.array(labels, pa.string()))
    return batch.replace_schema_metadata()


def _library() -> Any:
    """The library datasets; StcError that names the extra if it is not there."""
    try:
        import datasets
    except ImportError as error:
        raise StcError(
            "data sets of the Hub need the library datasets",
            remedy="Run: pip install 'stc-studio[hub]'",
        ) from error
    return datasets


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the Hub or the library refuses into a StcError about `name`."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    where = f"data set {name!r}"
    try:
        yield
    except StcError:
        raise
    except GatedRepoError as error:
        remedy = "Ask for access there, then log in with `hf auth login`."
        raise StcError(f"{where} is gated", remedy=remedy) from error
    except RepositoryNotFoundError as error:
        raise StcError(
            where,
            expected="a data set that is there and that you may see",
            got="none",
            remedy="Check its name, or log in with `hf auth login`.",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise StcError(f"{where}: the Hub refuses (HTTP {status})") from error
    except (HTTPError, ConnectionError, LocalEntryNotFoundError) as error:
        raise _not_reached(name) from error
    except (ValueError, RuntimeError, OSError) as error:  # no such config or split
        if problem := machine_error(error):
            raise problem from error
        raise StcError(
            where,
            expected=f"a configuration and a split of it: {_FORM}",
            got=" ".join(str(error).split())[:300],
        ) from error


def _not_reached(name: str) -> StcError:
    return StcError(
        f"data set {name!r} is not on this machine, and the Hub cannot be reached",
        remedy="Check the network and HF_ENDPOINT.",
    )
