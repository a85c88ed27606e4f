"""Copies of a run that differ from it in what a test asks for."""

import json
import shutil
from pathlib import Path

import pandas as pd


def copied(
    run_folder: Path, to: Path, *, wrong: int = 0, neurons: int = 0, **backbone: str
) -> None:
    """A run as `run_folder` is, but for its backbone and some wrong test rows.

    It says that it has `neurons`, unless 0.
    """
    shutil.copytree(run_folder, to)
    config = json.loads((to / "config.json").read_text("utf-8")) | {"name": to.name}
    (to / "config.json").write_text(json.dumps(config), encoding="utf-8")
    metrics = json.loads((to / "metrics.json").read_text("utf-8"))
    metrics["backbone"] |= backbone
    metrics["neurons"]["selected"] = neurons or metrics["neurons"]["selected"]
    (to / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    table = pd.read_parquet(to / "predictions.parquet")
    of_test = table["split"].eq("test").to_numpy() & table["correct"].to_numpy()
    here = table.index[of_test][:wrong]
    table.loc[here, "predicted"] = "<b>none</b>"
    table.loc[here, "correct"] = False
    table.to_parquet(to / "predictions.parquet", index=False)
