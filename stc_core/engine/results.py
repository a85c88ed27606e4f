"""The result of a shard as an Arrow table, with what is known of its texts beside."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from stc_core.classifiers.labelling.text_labels import TextLabels
from stc_core.engine.shards import about_of, broken_of, with_about
from stc_core.types import PooledSite

_VALUES = "values"


def labels_table(labels: TextLabels) -> pa.Table:
    """The labels of the texts of a shard as a table."""
    about = {
        "classes": labels.classes,
        "levels": labels.levels,
        "broken": dict(labels.broken),
    }
    table = pa.Table.from_pandas(labels.columns, preserve_index=False)
    return with_about(table, about)


def shard_labels(result: pa.Table) -> TextLabels:
    """The labels that `labels_table` was given."""
    about = about_of(result)
    columns = result.to_pandas()
    classes, levels = tuple(about["classes"]), tuple(about["levels"])
    return TextLabels(columns, classes, levels, broken_of(result))


def activations_table(
    arrays: Mapping[PooledSite, Float[np.ndarray, "n _"]], broken: Mapping[int, str]
) -> pa.Table:
    """The activations of the texts of a shard; texts in `broken` have no row."""
    columns = {str(site): _column(values) for site, values in arrays.items()}
    return with_about(pa.table(columns), {"broken": dict(broken)})


def shard_activations(
    result: pa.Table, sites: Sequence[PooledSite]
) -> dict[PooledSite, Float[np.ndarray, "n _"]]:
    """The activations that `activations_table` was given."""
    return {site: _matrix(result, str(site)) for site in sites}


def values_table(
    values: Float[np.ndarray, "n width"], broken: Mapping[int, str]
) -> pa.Table:
    """A matrix with a row for each text of a shard that is not in `broken`."""
    return with_about(pa.table({_VALUES: _column(values)}), {"broken": dict(broken)})


def shard_values(result: pa.Table) -> Float[np.ndarray, "n width"]:
    """The matrix that `values_table` was given."""
    return _matrix(result, _VALUES)


def _column(values: Float[np.ndarray, "n width"]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _matrix(result: pa.Table, name: str) -> Float[np.ndarray, "n width"]:
    column = result.column(name).combine_chunks()
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
