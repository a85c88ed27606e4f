"""A run of each recipe that tunes is cut short at its acts on disk, and resumed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.faults.campaign import RECIPES

ROOT = Path(__file__).parents[2]


Campaign = Callable[..., list[dict]]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """What the campaign says of each act, in a process of its own, which forks."""
    errors = tmp_path_factory.mktemp("campaign") / "errors"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers.faults.campaign", "all"],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None

    def ask(*arguments: object) -> list[dict]:
        stdin.write(json.dumps([str(one) for one in arguments]) + "\n")
        stdin.flush()
        told = []
        for line in stdout:
            if (record := json.loads(line)) is None:
                return told
            told.append(record)
        raise AssertionError(errors.read_text())

    with process:
        yield ask
        stdin.close()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_was_not(
    recipe: str, tmp_path: Path, campaign: Campaign
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


def test_a_full_disk_is_a_sentence_and_no_end(tmp_path: Path, campaign: Campaign):
    told = campaign("variability", tmp_path, "tune", "full", *FULL)
    assert len(told) == len(FULL)
    assert [one for one in told if one["wrong"]] == []
