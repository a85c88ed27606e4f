"""What the probes say of the validation rows, written and read again."""

from pathlib import Path

import numpy as np
import pytest

from helpers.probe_rows import guesses_of
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def test_guesses_are_read_as_they_were_written(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "r", RunConfig(data=DataConfig(path="a.csv")))
    guesses = guesses_of({0: 0.6, 1: 0.8})
    with pytest.raises(StcError):
        _ = Run(writer.folder).guesses
    writer.write_guesses(guesses)
    found = Run(writer.folder).guesses
    np.testing.assert_array_equal(found.label, guesses.label)
    np.testing.assert_array_equal(found.predicted, guesses.predicted)
    assert found.predicted.dtype == np.uint8
    # 4 probes x 300 rows of two classes, and the labels: a bit each, and some room.
    assert (writer.folder / RunFile.GUESSES).stat().st_size < 2000


def test_some_probes_can_be_kept() -> None:
    guesses = guesses_of({0: 0.6, 1: 0.8})
    some = guesses.only(np.array([False, True, True, False]))
    np.testing.assert_array_equal(some.predicted, guesses.predicted[1:3])
    assert some.label is guesses.label
