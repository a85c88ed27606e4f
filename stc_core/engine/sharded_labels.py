"""Labels for a table of any length, computed shard by shard."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stc_core.classifiers.labelling.table_chunks import table_chunks
from stc_core.classifiers.labelling.text_labels import TextLabels
from stc_core.classifiers.predict_table import Labelled, predict_file
from stc_core.data.reading.pipes import is_stream
from stc_core.engine.filling import fill, open_store
from stc_core.engine.results import shard_labels
from stc_core.engine.settings import EngineConfig
from stc_core.engine.shards import numbered, shard_key
from stc_core.engine.works import LabellingWork
from stc_core.errors import StcError
from stc_core.types import Progress, silent


def label_in_shards(
    work: LabellingWork,
    source: str | Path,
    out: str | Path,
    config: EngineConfig,
    *,
    trained: str,
    text: str | None = None,
    encoding: str | None = None,
    progress: Progress = silent,
    **others: Any,
) -> Labelled:
    """Label a table, or a folder of tables, and write it to `out`, as `predict_file`.

    The labels are computed first, shard by shard: after an interruption the same call
    computes only those that are missing. Then `out` is written. `others` are further
    arguments of `predict_file`. StcError as there, and for a pipe, since the table is
    read twice.
    """
    if is_stream(source):
        raise StcError(
            "option --engine",
            expected="a table that can be read twice",
            got="a pipe",
            remedy="Save the table to a file first.",
        )
    store = open_store(config)
    reading: dict[str, Any] = {"trained": trained, "text": text, "encoding": encoding}

    def parts() -> Iterator[list[str]]:
        return (chunk.texts for chunk in table_chunks(source, **reading))

    def label_rows(texts: Sequence[str]) -> TextLabels:
        return shard_labels(store.read(shard_key(work, texts)))

    filled = fill(work, numbered(parts()), store, config, progress=progress)
    labelled = predict_file(
        None, source, out, label_rows=label_rows, **reading, **others
    )
    if config.shard_store is None:
        store.remove(filled.keys)
    return labelled
