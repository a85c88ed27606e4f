"""Cards of runs."""

from pathlib import Path

from stc_core.analysis.run_cards import Card
from stc_core.runs.run_summary import RunResult, RunSummary, ScoreEstimate

RESULT = RunResult(
    accuracy=ScoreEstimate(0.8, 0.7, 0.9),
    macro_f1=ScoreEstimate(0.75, 0.65, 0.85),
    ece=0.04,
    n_test=100,
    neurons=64,
    neurons_total=1024,
    layers=3,
    layers_total=6,
    flops_per_token=2e6,
    flops_per_token_total=4e6,
    parameters=5e6,
    seconds=61.0,
)


def made(
    run: str = "r",
    *,
    name: str | None = None,
    label: str = "topic",
    rows: int = 500,
    seed: int = 0,
    method: str = "stc",
) -> Card:
    """The card of a finished run in the folder `run`."""
    summary = RunSummary(
        folder=Path("runs", run),
        name=name or f"run {run}",
        state="done",
        created="2026-01-02T03:04:05",
        tags=(),
        recipe="stc",
        method=method,
        backbone="mini",
        data="a.csv",
        labels=("area", label),
        seed=seed,
        result=RESULT,
        n_bytes=None,
    )
    return Card(summary, RESULT, ("a.csv", str(rows), "text", label))
