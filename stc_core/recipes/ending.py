"""How every recipe that tunes begins and ends: the sparse half, then its own result.

The first half of such a run is the recipe `stc`; its metrics, baselines and costs stay
beside those of the tuned classifier, which takes its place.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from stc_core.backbone.backbone import Backbone
from stc_core.data.corpus import Corpus
from stc_core.runs.metrics import RunMetrics, check_metrics
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter
from stc_core.tuning.session import CHECKPOINTS

_SPARSE_PHASES = ("probe", "select", "head")
_SCORES = ("accuracy", "accuracy_interval", "macro_f1")


class ComparedClassifier(NamedTuple):
    """One row of the table of results: a classifier, its scores and what it costs.

    `trainable` counts its trained numbers, `seconds` is of all that it needs,
    `flops` of one token.
    """

    name: str
    scores: Mapping[str, Any]
    trainable: int
    seconds: float
    peak_bytes: int | None
    flops: int


def comparison_rows(
    compared: Iterable[ComparedClassifier], *, whole_flops: int
) -> list[dict[str, Any]]:
    """The rows as metrics.json keeps them; shares of compute are of the whole model."""
    return [
        {
            "name": row.name,
            **{name: row.scores[name] for name in _SCORES},
            "trainable": row.trainable,
            "seconds": row.seconds,
            "peak_bytes": row.peak_bytes,
            "flops_per_token": row.flops,
            "flops_share": row.flops / max(whole_flops, 1),
        }
        for row in compared
    ]


class SparseHalf(NamedTuple):
    """The metrics of the sparse half of a run, and the memory that it needed."""

    metrics: RunMetrics
    peak_bytes: int


def sparse_half(writer: RunWriter) -> SparseHalf:
    """The facts that were kept when the sparse half was done."""
    facts = writer.stages.facts(RunStage.SPARSE)
    return SparseHalf(check_metrics(facts["metrics"]), facts["peak_bytes"])


def corpus_of_run(run: Run) -> Corpus:
    """The rows of a run, as it keeps them."""
    report = run.report
    return Corpus(run.corpus, report.columns, report)


def sparse_seconds(before: RunMetrics) -> tuple[float, float]:
    """Seconds of the extraction alone, and of all that the sparse classifier needs."""
    seconds = before["seconds"]
    read = seconds.get("extract", 0.0)
    return read, read + sum(seconds.get(name, 0.0) for name in _SPARSE_PHASES)


def seconds_with(before: RunMetrics, **phases: float) -> dict[str, float]:
    """The seconds of the sparse half with further phases; the total grows by them."""
    total = before["seconds"]["total"] + sum(phases.values())
    return {**before["seconds"], **phases, "total": total}


def cost_at(before: RunMetrics, backbone: Backbone, layer: int) -> dict[str, Any]:
    """The costs of the run where `backbone` is read up to `layer`."""
    return {
        **before["cost"],
        "parameters": backbone.parameters(layer),
        "flops_per_token": backbone.flops_per_token(layer),
    }


def finish_tuned(
    writer: RunWriter, metrics: Mapping[str, Any], *, gone: Sequence[str]
) -> None:
    """Write the metrics: the result is then whole, and `remove_spent` may follow.

    `gone` are files of the sparse half that the new classifier has none of.
    """
    writer.write_metrics(metrics)
    writer.stages.finish(RunStage.RESULT, gone=list(gone))


def remove_spent(writer: RunWriter) -> None:
    """Remove the checkpoints and the files of the sparse half, as a result is whole."""
    for name in writer.stages.facts(RunStage.RESULT)["gone"]:
        (writer.folder / name).unlink(missing_ok=True)
    remove_checkpoints(writer)


def remove_checkpoints(writer: RunWriter) -> None:
    """Remove the checkpoints of all trainings, if there are any."""
    if (writer.folder / CHECKPOINTS).is_dir():
        shutil.rmtree(writer.folder / CHECKPOINTS)
