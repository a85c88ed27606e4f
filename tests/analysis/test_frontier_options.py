"""The cheaper classifiers on the frontier of a run."""

from pathlib import Path

import pytest

from stc_core.analysis import frontier_options
from stc_core.runs.run import Run

NAN = float("nan")


@pytest.fixture(scope="module")
def parent(run_folder: Path) -> Run:
    return Run.open(run_folder)


def test_the_options_are_those_of_the_frontier(parent):
    frame = parent.frontier
    options = frontier_options.options_of(parent)
    assert [o.layer for o in options] == frame["layer"].tolist()
    assert [o.accuracy for o in options] == frame["accuracy"].tolist()
    assert (
        frontier_options.find_option(options, (options[3].layer, options[3].neurons))
        is options[3]
    )
