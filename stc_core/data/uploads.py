"""Tables given to the app, each kept once on disk under the hash of its content.

`uploads/<key>/<name>` is the table, `uploads/<key>/choice.json` the columns chosen for
it.
"""

import hashlib
import re
import shutil
import tempfile
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

from stc_core.config import DataConfig
from stc_core.data.reading.hub_table import hub_table_file, is_hub_table
from stc_core.data.reading.pipes import STDIN, is_stream, regular_file, source_name
from stc_core.data.reading.sniff import sniff
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.frozen import SettingError
from stc_core.paths import samples_folder, uploads_folder

SAMPLE = "sample"
SAMPLE_PATH = samples_folder() / "customer_messages.csv"
_SUFFIXES = ("csv", "tsv", "txt", "jsonl", "ndjson", "json", "parquet", "gz")
_CHOICE = "choice.json"
_KEY = re.compile(r"[0-9a-f]{20}")
_CHUNK = 1 << 20


class Upload(NamedTuple):
    """One kept table."""

    key: str
    path: Path
    n_bytes: int


def keep_upload(name: str, stream: BufferedIOBase) -> Upload:
    """Keep the table under its key; equal bytes are kept once, under their first name.

    The stream is copied in pieces, and the file appears whole or not at all.
    """
    kept_name = _safe(name)
    folder = uploads_folder()
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy:
        part = Path(copy.name)
        try:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
                copy.write(piece)
        except BaseException:
            part.unlink()
            raise
    key = digest.hexdigest()[:20]
    (folder / key).mkdir(exist_ok=True)
    if _table_in(folder / key) is None:
        part.replace(folder / key / kept_name)
    else:
        part.unlink()
    return find_upload(key)


def keep_stream(path: str) -> str:
    """The path at which a run can read the table at `path` again later.

    For a file it is the absolute path. The content of a pipe is kept as an upload, in
    its own format. A data set of the Hub is downloaded, and is the file of the revision
    of today from then on.
    """
    if is_hub_table(path):
        return str(hub_table_file(path))
    if not is_stream(path):
        real = Path(path).resolve()
        is_special = Path(path).absolute().parts[1:2] in (("dev",), ("proc",))
        return str(real if is_special and real.exists() else Path(path).absolute())
    stem = "stdin" if path == STDIN else Path(path).stem
    stem = f"pipe-{stem}" if stem.isdigit() else stem
    with regular_file(path) as copy:
        sniffed = sniff(copy, name=source_name(path))
        suffix = f"{sniffed.format}.gz" if sniffed.packed else sniffed.format
        with copy.open("rb") as stream:
            return str(keep_upload(f"{stem}.{suffix}", stream).path)


def delete_upload(upload: Upload) -> None:
    """Delete a kept table, for example one that cannot be read; never the sample."""
    assert upload.key != SAMPLE, upload
    shutil.rmtree(uploads_folder() / upload.key)


def find_upload(key: str) -> Upload:
    """The table kept under `key`; a key is a hash or `sample`, never a path."""
    if key == SAMPLE:
        path: Path | None = SAMPLE_PATH if SAMPLE_PATH.exists() else None
    else:
        is_key = _KEY.fullmatch(key) is not None
        path = _table_in(uploads_folder() / key) if is_key else None
    if path is None:
        raise StcError(
            f"table {key!r}",
            expected="the sample or a table that was uploaded here",
            remedy="Upload the file again.",
        )
    return Upload(key, path, path.stat().st_size)


def upload_key(path: str) -> str | None:
    """The key of the kept table at `path`; None if it is not a kept table."""
    folder = Path(path).parent
    if Path(path) == SAMPLE_PATH:
        return SAMPLE if SAMPLE_PATH.exists() else None
    is_kept = folder.parent == uploads_folder() and _table_in(folder) == Path(path)
    return folder.name if is_kept else None


def list_uploads() -> list[Upload]:
    """Every kept table, newest first, without the sample."""
    if not uploads_folder().exists():
        return []
    keys = [
        folder.name
        for folder in uploads_folder().iterdir()
        if _KEY.fullmatch(folder.name) and _table_in(folder)
    ]
    uploads = [find_upload(key) for key in keys]
    return sorted(uploads, key=lambda one: one.path.stat().st_mtime_ns, reverse=True)


def read_choice(key: str) -> DataConfig:
    """The columns chosen last for the table under `key`, else all to be guessed."""
    fresh = DataConfig(path=str(find_upload(key).path))
    choice = uploads_folder() / key / _CHOICE
    if not choice.exists():
        return fresh
    try:
        chosen = DataConfig.model_validate_json(choice.read_text("utf-8"))
    except SettingError:  # written by another version: guess again
        return fresh
    exists = chosen.test_path is not None and Path(chosen.test_path).exists()
    test_path = chosen.test_path if exists else None
    return chosen.changed(path=fresh.path, test_path=test_path)


def write_choice(key: str, data: DataConfig) -> None:
    """Keep the columns chosen for the table under `key`, for the next visit."""
    folder = uploads_folder() / key
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _CHOICE, data)


def predictions_path(
    upload: Upload, run: str, text: str, encoding: str | None = None
) -> Path:
    """The file of a run's predictions for the texts in column `text`."""
    source = f"{text}\0{encoding}" if encoding else text
    column = hashlib.sha256(source.encode()).hexdigest()[:8]
    return uploads_folder() / upload.key / "predicted" / f"{run}-{column}.csv"


def _table_in(folder: Path) -> Path | None:
    """The table in the folder, or None."""
    if not folder.is_dir():
        return None
    names = (one for one in sorted(folder.iterdir()) if not one.name.startswith("."))
    return next((one for one in names if one.is_file() and one.name != _CHOICE), None)


def _safe(name: str) -> str:
    """The last part of `name`, without what a shell or a file system could misread."""
    last = re.split(r"[\\/]", name)[-1]
    safe = re.sub(r"[^\w.\- ]", "_", last).strip(". ")[-120:]
    stem, _, suffix = safe.rpartition(".")
    if not stem or suffix.lower() not in _SUFFIXES or safe == _CHOICE:
        raise StcError(
            f"file {last!r}",
            expected=f"a table whose name ends in {', '.join(_SUFFIXES)}",
            remedy="Save it as CSV and upload it again.",
        )
    return safe
