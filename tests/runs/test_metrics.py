"""The shape of metrics.json: writers and readers refuse another one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from helpers.metrics import undeclared, whole_metrics
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.runs.metrics import hierarchy_facts, read_metrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

WHOLE = whole_metrics(baselines={"majority": {}})


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ({"test": []}, "test"),
        ({"test": WHOLE["test"] | {"accuracy": None}}, "test.accuracy"),
        (
            {"test": WHOLE["test"] | {"macro_f1_interval": [0.1]}},
            "test.macro_f1_interval",
        ),
        ({"cost": {}}, "cost.parameters"),
        ({"seconds": 3}, "seconds"),
        ({"layers": {"used": "four", "total": 6}}, "layers.used"),
        (
            {"baselines": {"tfidf": {"accuracy": 1}}},
            "baselines.tfidf.accuracy_interval",
        ),
    ],
)
def test_a_damaged_file_is_named_with_the_key(tmp_path: Path, damage, place: str):
    path = tmp_path / "metrics.json"
    write_json(path, WHOLE | damage)
    with pytest.raises(StcError) as told:
        read_metrics(path)
    assert told.value.where == f"{path}, {place}"
    assert told.value.expected == "the metrics of a run"


def test_a_writer_writes_nothing_else(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", RunConfig(data=DataConfig(path="a.csv")))
    with pytest.raises(ValidationError, match="layers"):
        writer.write_metrics({**WHOLE, "layers": 3})
    assert not Run(writer.folder).has("metrics.json")
    writer.write_metrics(WHOLE)
    assert Run(writer.folder).metrics == WHOLE


def test_what_a_later_version_adds_is_kept(tmp_path: Path):
    write_json(tmp_path / "metrics.json", {**WHOLE, "later": {"x": 1}})
    assert read_metrics(tmp_path / "metrics.json") == {**WHOLE, "later": {"x": 1}}


def test_a_run_without_levels_has_no_facts_of_them():
    with pytest.raises(AssertionError):
        hierarchy_facts(WHOLE)  # pyright: ignore[reportArgumentType]


def test_every_key_that_is_written_has_a_type(run_folder: Path, tuned_folder: Path):
    """Those of the other recipes are checked beside their tests."""
    assert undeclared(Run(run_folder).metrics) == []
    assert undeclared(Run(tuned_folder).metrics) == []
    metrics = {**WHOLE, "later": 1, "test": {**WHOLE["test"], "auc": 1}}
    assert undeclared(metrics) == ["test.auc", "later"]
