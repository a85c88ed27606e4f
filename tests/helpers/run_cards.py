"""Cards of runs."""

from stc_core.analysis.run_cards import card
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.columns import Columns
from stc_core.data.findings import Report

METRICS = {
    "test": {
        "accuracy": 0.8,
        "accuracy_interval": [0.7, 0.9],
        "macro_f1": 0.75,
        "ece": 0.04,
        "n": 100,
    },
    "neurons": {"selected": 64, "total": 1024},
    "layers": {"used": 3, "total": 6},
    "cost": {"flops_per_token": 2e6, "parameters": 5e6},
    "backbone": {"name": "/models/mini"},
    "seconds": {"total": 61.0},
}


def made(run: str = "r", *, label: str = "topic", rows: int = 500, **train):
    config = RunConfig(data=DataConfig(path="a.csv"), train=TrainConfig(**train))
    columns = Columns(text="text", labels=("area", label), split=None, id=None)
    report = Report(
        n_rows=rows, n_used=rows, columns=columns, classes={}, source={"name": "a.csv"}
    )
    return card(run, config, METRICS, report, name=f"run {run}")
