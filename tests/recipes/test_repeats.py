"""A command repeats a run: the same files, and on more threads the same neurons.

What may differ are times, dates, memory and `log.txt`; `difference` leaves them out.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.faults.campaign import difference
from helpers.once import once
from helpers.runs.serving import trained
from stc_core.runs.run import Run

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-4
"""By how much a probability may differ when sums are made in another order."""
NAMES = ("stc", "variability")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each of NAMES, which were trained in this process."""

    def make(folder: Path) -> None:
        for name in NAMES:
            trained(folder, name)

    return once(tmp_path_factory, "repeated", make)


def repeated(run: Path, folder: Path, threads: int) -> Path:
    """The run that `stc train --config` makes of `run`, with so many threads.

    It has a home of its own, so that it reads the texts again.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    again = folder / "again"
    words = ("-m", "stc_core", "train", "--config", str(run), "--out", str(again))
    ended = subprocess.run(
        [sys.executable, *words],
        env={
            **os.environ,
            **dict.fromkeys(names, str(threads)),
            "STC_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "1",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return again


@pytest.mark.parametrize("name", NAMES)
def test_the_command_that_repeats_a_run_gives_the_same_files(
    name: str, folder: Path, tmp_path: Path
):
    assert difference(folder / name, repeated(folder / name, tmp_path, 1)) == ""


@pytest.mark.parametrize("threads", [2, 4])
def test_more_threads_keep_the_same_neurons(threads: int, folder: Path, tmp_path: Path):
    """One thread sums in another order than several: numbers agree to TOLERANCE."""
    one, several = Run(folder / "stc"), Run(repeated(folder / "stc", tmp_path, threads))
    places = ["site", "kind", "layer", "index", "pooling"]
    same, other = (pd.DataFrame(run.neurons, columns=places) for run in (one, several))
    pd.testing.assert_frame_equal(same, other)
    assert list(one.predictions["predicted"]) == list(several.predictions["predicted"])
    np.testing.assert_allclose(
        one.predictions["probability"],
        several.predictions["probability"],
        atol=TOLERANCE,
    )
    assert one.metrics["test"]["accuracy"] == several.metrics["test"]["accuracy"]


def test_two_recipes_do_not_give_the_same_files(folder: Path):
    """The comparison above can fail."""
    assert difference(folder / "stc", folder / "variability") != ""
