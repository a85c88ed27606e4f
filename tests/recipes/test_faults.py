"""A run of each recipe that tunes is cut short at its acts on disk, and resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.faults.campaign import RECIPES

ROOT = Path(__file__).parents[2]


def campaign(*arguments: object) -> list[dict]:
    """What the campaign says of each act, in a process of its own, which forks."""
    done = subprocess.run(
        [sys.executable, "-m", "helpers.faults.campaign", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_was_not(
    recipe: str, tmp_path: Path
):
    """One is killed at every kind of act of its tuning, the others at each third."""
    (chain,) = campaign(recipe, tmp_path, "chain", 1 if recipe == "variability" else 3)
    assert chain["kills"] > 15
    assert chain["wrong"] == ""


FULL = (
    "model.safetensors",
    "optimizer.pt",
    "trainer_state.json",
    "checkpoints.json",
    "changes.safetensors",
    "metrics.json",
    "stages.json",
)
"""Files that cannot be written, each the first time it is."""


def test_a_full_disk_is_a_sentence_and_no_end(tmp_path: Path):
    told = campaign("variability", tmp_path, "tune", "full", *FULL)
    assert len(told) == len(FULL)
    assert [one for one in told if one["wrong"]] == []
