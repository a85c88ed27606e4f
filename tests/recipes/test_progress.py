"""The progress of real runs: whatever a recipe does, the bar never goes back."""

from typing import Any

import pytest

from helpers.runs.serving import config_of
from stc_core.recipe_table import RECIPES
from stc_core.recipes import registry
from stc_core.runs.status import Phase, run_progress
from stc_core.runs.writer import RunWriter


class WatchedWriter(RunWriter):
    """A writer that keeps the share of the run after each sign of progress."""

    shares: list[float]

    def phase(self, name: Phase, **facts: Any) -> None:
        super().phase(name, **facts)
        self._look()

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        self._look()

    def _look(self) -> None:
        recipe = RECIPES[self.config.train.recipe]
        self.shares.append(run_progress(self.status, {}, recipe=recipe, now=0.0).share)


@pytest.mark.parametrize(
    "name",
    "stc variability contrastive attention classes words existing".split(),
)
def test_the_share_of_a_real_run_never_goes_back(name: str, tmp_path):
    writer = WatchedWriter(tmp_path / name, config_of(tmp_path, name))
    writer.shares = []
    with writer:
        registry.train(writer.config, writer)
    assert writer.shares == sorted(writer.shares)
    assert writer.shares[-1] <= 1
    if RECIPES[writer.config.train.recipe].tunes:
        assert writer.status.get("step") == "end"
