"""What the pages read of a run is theirs to change."""

from pathlib import Path

import numpy as np
import pytest

from stc_core.runs.run import Run
from ui.cache import neuron_values, run_files


@pytest.mark.parametrize("part", ["probes", "corpus", "predictions"])
def test_a_change_of_what_was_read_stays_with_who_made_it(run_folder: Path, part: str):
    run = Run.open(run_folder)
    mine = run_files.read(run, part)
    name = mine.columns[0]
    before = mine[name].iloc[0]
    mine["more"] = 1
    mine.loc[0, name] = mine[name].iloc[-1]
    again = run_files.read(run, part)
    assert "more" not in again and again[name].iloc[0] == before
    assert again.equals(getattr(run, part))


def test_what_is_read_is_not_copied(run_folder: Path):
    run = Run.open(run_folder)
    one, other = run_files.examples(run), run_files.examples(run)
    for frame, again in ((one, other), [run_files.read(run, "probes") for _ in "ab"]):
        name = "probability" if "probability" in frame else "accuracy"
        assert np.shares_memory(frame[name].to_numpy(), again[name].to_numpy())
    one["text"] = "changed"
    assert "changed" not in other["text"].to_list()
    assert run_files.examples(run)["text"].equals(other["text"])


def test_activations_are_mapped_once_until_let_go(run_folder: Path):
    run = Run.open(run_folder)
    held = neuron_values.activations_of(run)
    assert isinstance(held, np.memmap) and neuron_values.activations_of(run) is held
    np.testing.assert_array_equal(held, run.activations)
    np.testing.assert_array_equal(neuron_values.values_of(run, 0), held[:, 0])
    neuron_values.close_activations()
    assert neuron_values.activations_of(run) is not held
