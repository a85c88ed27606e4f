"""The lead of a classifier over its baselines, from their answers to the test rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.metrics.paired import lead_intervals
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

LEADS = "lead_interval", "macro_f1_lead_interval"
Answers = dict[str, Int[np.ndarray, " n_test"]]
"""The class codes that a baseline gives to the test rows, by its name."""


def write_answers(writer: RunWriter, answers: Answers) -> None:
    """Keep the answers of baselines, in the order of the test rows."""
    writer.write_frame(RunFile.BASELINES, pd.DataFrame(answers))


def answers_of(run: Run) -> Answers:
    """The kept answers; none in a run made before December 2026 or of a large table."""
    if not run.has(RunFile.BASELINES):
        return {}
    frame = pd.read_parquet(run.folder / RunFile.BASELINES)
    return {str(name): frame[name].to_numpy(np.int64) for name in frame}


def with_leads(
    baselines: Mapping[str, Mapping[str, Any]],
    answers: Answers,
    y: Int[np.ndarray, " n_test"],
    ours: Int[np.ndarray, " n_test"],
    *,
    n_class: int | None = None,
) -> dict[str, dict[str, Any]]:
    """The scores of baselines with our leads over them (`lead_intervals`).

    `ours` are the answers of the classifier of the run. A baseline without answers has
    no such intervals: those of another classifier would say nothing of this one.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, scores in baselines.items():
        found[name] = {k: v for k, v in scores.items() if k not in LEADS}
        if name in answers:
            leads = lead_intervals(y, answers[name], ours, n_class=n_class)
            found[name] |= leads
    return found
