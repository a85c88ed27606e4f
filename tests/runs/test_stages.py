"""One file decides what a resumed run need not do again."""

import json
from pathlib import Path

import pytest

from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.runs.layout import RunFile
from stc_core.runs.stages import RunStage, RunStages
from stc_core.runs.writer import RunWriter

CONFIG = RunConfig(name="a", data=DataConfig(path="a.csv"))


def test_facts_are_kept_from_process_to_process(tmp_path: Path):
    stages = RunStages(tmp_path, CONFIG)
    assert RunStage.SPARSE not in stages and not stages
    stages.finish(RunStage.SPARSE, metrics={"n": 1})
    again = RunStages(tmp_path, CONFIG)
    assert again.facts(RunStage.SPARSE) == {"metrics": {"n": 1}}
    again.finish(RunStage.RESULT, gone=["x"])
    last = RunStages(tmp_path, CONFIG)
    assert len(last) == 2 and last.facts(RunStage.SPARSE) == {"metrics": {"n": 1}}


def test_a_later_name_does_not_matter_and_other_settings_do(tmp_path: Path):
    RunStages(tmp_path, CONFIG).finish(RunStage.SPARSE)
    assert RunStage.SPARSE in RunStages(tmp_path, CONFIG.changed(name="b"))
    other = CONFIG.changed(train=TrainConfig(seed=7))
    assert RunStage.SPARSE not in RunStages(tmp_path, other)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}'])
def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path, text: str):
    RunStages(tmp_path, CONFIG).finish(RunStage.SPARSE)
    (tmp_path / RunFile.STAGES).write_text(text)
    assert not RunStages(tmp_path, CONFIG)


def test_a_finished_run_has_none(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    writer.stages.finish(RunStage.SPARSE)
    assert json.loads((writer.folder / RunFile.STAGES).read_text())["done"]
    writer.finish()
    assert not (writer.folder / RunFile.STAGES).exists()


def test_a_run_with_a_done_stage_is_never_discarded(tmp_path: Path):
    """As when the table of a resumed run was moved, so that it fails early."""
    writer = RunWriter(tmp_path / "r", CONFIG)
    writer.stages.finish(RunStage.SPARSE)
    assert not writer.discard_if_unbegun() and writer.folder.is_dir()
