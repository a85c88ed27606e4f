"""A run keeps what it was computed with, and says what has changed since."""

import hashlib
from pathlib import Path

import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.files import read_json, write_json
from stc_core.runs import environment
from stc_core.runs.environment import (
    changed_tables,
    changed_versions,
    read_environment,
    record_environment,
    versions_of,
)

TABLE = b"text,label\na,b\n"


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    (tmp_path / "data.csv").write_bytes(TABLE)
    return RunConfig(data=DataConfig(path=str(tmp_path / "data.csv")))


def test_the_table_and_the_versions_are_kept(config: RunConfig, tmp_path: Path):
    assert record_environment(tmp_path, config) == []
    kept = read_environment(tmp_path)
    assert kept is not None
    table = kept.tables[config.data.path]
    assert table == (len(TABLE), hashlib.sha256(TABLE).hexdigest())
    (machine,) = kept.machines
    assert machine.versions.items() >= versions_of().items()
    assert machine.processor
    assert machine.cores > 0
    assert changed_tables(kept) == changed_versions(kept) == []


def test_a_resumed_run_says_what_has_changed(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record_environment(tmp_path, config)
    before = read_json(tmp_path / "environment.json")
    assert record_environment(tmp_path, config) == []
    assert read_json(tmp_path / "environment.json") == before
    known = environment.versions_of
    newer = {"torch": "99.0"}
    monkeypatch.setattr(environment, "versions_of", lambda names: known(names) | newer)
    (said,) = record_environment(tmp_path, config)
    assert f"torch {before['machines'][0]['versions']['torch']}" in said
    assert "99.0" in said
    kept = read_environment(tmp_path)
    assert kept is not None
    assert [one.versions["torch"] == "99.0" for one in kept.machines] == [False, True]
    assert record_environment(tmp_path, config) == []  # said once


def test_a_changed_table_is_told_and_a_missing_one_is_not(
    config: RunConfig, tmp_path: Path
):
    record_environment(tmp_path, config)
    kept = read_environment(tmp_path)
    assert kept is not None
    table = Path(config.data.path)
    table.write_bytes(TABLE.replace(b"a,b", b"a,c"))
    (said,) = changed_tables(kept)
    assert said == f"{table} has changed since the run read it."
    table.unlink()
    assert changed_tables(kept) == []


def test_pipes_and_tables_of_the_hub_have_no_hash(tmp_path: Path):
    for path in ("-", "hub:owner/name"):
        folder = tmp_path / path.replace(":", "").replace("/", "-")
        folder.mkdir()
        data = DataConfig(path=path, test_path=str(tmp_path / "gone.csv"))
        record_environment(folder, RunConfig(data=data))
        kept = read_environment(folder)
        assert kept is not None
        assert kept.tables == {}


@pytest.mark.parametrize("record", [{}, {"tables": {}, "machines": []}, {"tables": 1}])
def test_a_damaged_file_counts_as_none(config: RunConfig, tmp_path: Path, record: dict):
    write_json(tmp_path / "environment.json", record)
    assert read_environment(tmp_path) is None
    assert record_environment(tmp_path, config) == []
    assert read_environment(tmp_path) is not None
