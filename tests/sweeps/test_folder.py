"""sweep.json: written once, refused for another sweep, and read when it is damaged."""

import json
from pathlib import Path

import pytest

from helpers.app import written_run
from helpers.runs.sweeps import planned
from stc_core.errors import StcError
from stc_core.paths import runs_folder, sweeps_folder
from stc_core.sweeps.folder import (
    SWEEP_FILE,
    keep_sweep,
    list_sweeps,
    read_sweep,
    sweep_folder,
)

pytestmark = pytest.mark.usefixtures("own_home")


def test_a_sweep_is_kept_once_and_read_as_it_was(table: Path):
    sweep = planned(table, "mine", preset=["stc", "spin"])
    folder = keep_sweep(sweep)
    assert folder == sweep_folder("mine") == sweeps_folder() / "mine"
    kept = read_sweep(folder)
    assert kept.created and kept.is_same(sweep) and kept.runs == sweep.runs
    before = (folder / SWEEP_FILE).read_bytes()
    assert keep_sweep(sweep) == folder
    assert (folder / SWEEP_FILE).read_bytes() == before


def test_another_sweep_of_the_name_is_refused(table: Path):
    keep_sweep(planned(table, "mine", seed=[0, 1]))
    with pytest.raises(StcError, match=r"another one: 1 of its 2 runs are the same"):
        keep_sweep(planned(table, "mine", seed=[1, 2]))
    table.write_text(table.read_text() + "\nmore,spam")
    with pytest.raises(StcError, match="but the table has changed since"):
        keep_sweep(planned(table, "mine", seed=[0, 1]))


def test_folders_with_other_things_are_refused(table: Path):
    sweep = planned(table, "mine", seed=[0, 1])
    written_run(runs_folder() / "mine-stc-seed-1", "another")
    with pytest.raises(StcError, match=r"run 'mine-stc-seed-1': expected the run of"):
        keep_sweep(sweep)
    other = sweeps_folder() / "yours"
    other.mkdir(parents=True)
    (other / "notes.txt").write_text("mine")
    with pytest.raises(StcError, match="a folder with other files"):
        keep_sweep(planned(table, "yours", seed=[0, 1]))


def test_a_damaged_sweep_is_told_and_the_others_are_there(table: Path):
    keep_sweep(planned(table, "mine", seed=[0, 1]))
    later = keep_sweep(planned(table, "later", seed=[0, 1]))
    path = later / SWEEP_FILE
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(StcError, match="expected format 1; got 99"):
        read_sweep(later)
    path.write_text("{")
    sweeps, damaged = list_sweeps()
    assert [one.name for one in sweeps] == ["mine"]
    assert [SWEEP_FILE in str(error) for error in damaged] == [True]
