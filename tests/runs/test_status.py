"""The progress of a whole run, from the progress of its phases."""

from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.recipe_table import RECIPES
from stc_core.runs.layout import RunFile
from stc_core.runs.status import (
    Phase,
    RunProgress,
    Status,
    new_status,
    read_expected,
    read_status,
    run_progress,
)
from stc_core.runs.writer import RunWriter

EXPECTED: dict[Phase, float] = {
    "read": 2.0,
    "load": 2.0,
    "extract": 10.0,
    "probe": 20.0,
    "select": 30.0,
    "head": 1.0,
    "report": 35.0,
}
PLAIN, TUNING = RECIPES["stc"], RECIPES["variability"]


def at(phase: Phase, done: int, total: int, *, seconds: float = 0.0) -> Status:
    """A run in the middle of a phase, `seconds` after it began at the time 1000."""
    status = new_status("running")
    status.update(phase=phase, done=done, total=total, started=1000 - seconds)
    return status


def test_a_run_that_keeps_to_its_forecast_has_the_rest_of_it_left():
    status = at("select", 1, 3, seconds=44.0)
    share, left = run_progress(status, EXPECTED, recipe=PLAIN, now=1000.0)
    assert share == pytest.approx(0.44)
    assert left == pytest.approx(56.0)


@pytest.mark.parametrize(("factor", "least", "most"), [(2, 90, 112), (0.5, 28, 42)])
def test_the_time_left_follows_the_pace_of_the_run(factor, least, most):
    status = at("select", 1, 3, seconds=44.0 * factor)
    left = run_progress(status, EXPECTED, recipe=PLAIN, now=1000.0).left_s
    assert left is not None and least < left < most


def test_a_slow_start_does_not_frighten():
    status = at("read", 0, 0, seconds=6.0)
    left = run_progress(status, EXPECTED, recipe=PLAIN, now=1000.0).left_s
    assert left is not None and 100 < left < 130


ORDERS: dict[str, str] = {
    "stc": "read load extract probe select head report",
    "variability": "read load extract probe select head report tune report",
    "attention": "load read load extract probe select head report tune tune report",
    "hierarchy": "read read load extract probe select head report head tune report",
    "words": "read read load extract probe select head report tune tune report tune",
    "frozen levels": "read read load extract probe select head report head report",
    "existing": "read load read load extract probe select head report report",
}
"""The phases of the recipes as they come, by the name of a way to train."""


@pytest.mark.parametrize("way", ORDERS)
def test_the_share_never_goes_back(way: str, tmp_path: Path):
    hierarchy = {"words": "hierarchy", "frozen levels": "hierarchy"}
    recipe = RECIPES[hierarchy.get(way, way)]
    foretold: dict[Phase, float] = {**EXPECTED, "tune": 300.0}
    whole = sum(EXPECTED.values()) + (300.0 if recipe.tunes_model else 0.0)
    whole += EXPECTED["extract"] if recipe.tunes else 0.0
    seen: list[RunProgress] = []

    def look(status: Status) -> None:
        # The run keeps to its forecast: so much time has passed as work is over.
        share = run_progress(status, foretold, recipe=recipe, now=0.0).share
        now = status["started"] + whole * share
        seen.append(run_progress(status, foretold, recipe=recipe, now=now))

    with RunWriter(tmp_path / "run", RunConfig(data=DataConfig(path="a"))) as writer:
        for phase in ORDERS[way].split():
            writer.phase(cast(Phase, phase))
            look(writer.status)
            for done in range(5):
                writer.progress(done, 4)
                look(writer.status)
    shares = [one.share for one in seen]
    assert shares == sorted(shares) and shares[0] <= 0.02 and shares[-1] <= 1
    left = [one.left_s for one in seen if one.left_s is not None]
    assert len(left) == len(seen)
    assert all(later <= before + 1e-6 for before, later in pairwise(left))
    if way in ("stc", "variability", "existing"):
        assert shares[-1] == pytest.approx(1) and left[-1] == pytest.approx(0)


def test_the_report_after_the_tuning_has_time_of_its_own(tmp_path: Path):
    with RunWriter(tmp_path / "run", RunConfig(data=DataConfig(path="a"))) as writer:
        for phase in ("report", "tune", "report"):
            writer.phase(cast(Phase, phase))
    status = read_status(tmp_path / "run" / RunFile.STATUS)
    assert (status["phase"], status.get("step")) == ("report", "end")
    share, _ = run_progress(status, {}, recipe=TUNING, now=1000.0)
    assert 0.9 < share < 1


def test_a_status_of_an_earlier_version_is_read(tmp_path: Path):
    write_json(tmp_path / "status.json", new_status("done"))
    assert "step" not in read_status(tmp_path / "status.json")
    write_json(tmp_path / "status.json", {**new_status("done"), "step": "fly"})
    with pytest.raises(StcError, match="the status of a run"):
        read_status(tmp_path / "status.json")


def test_without_a_forecast_there_is_a_share_and_no_time():
    share, left = run_progress(at("probe", 1, 2), {}, recipe=PLAIN, now=1000.0)
    assert 0.3 < share < 0.5 and left is None
    waiting = run_progress(new_status("queued"), EXPECTED, recipe=PLAIN, now=1000.0)
    assert waiting == (0, None)


def test_a_tuning_that_was_not_foretold_leaves_the_time_open():
    assert (
        run_progress(at("probe", 1, 2), EXPECTED, recipe=TUNING, now=1000.0)[1] is None
    )
    with_tune: dict[Phase, float] = {**EXPECTED, "tune": 100.0}
    share, left = run_progress(at("probe", 1, 2), with_tune, recipe=TUNING, now=1000.0)
    assert share == pytest.approx(24 / 210) and left is not None


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"probe": "much", "fly": 3}', '{"probe": -1}']
)
def test_a_damaged_forecast_counts_as_none(tmp_path, content):
    (tmp_path / RunFile.EXPECTED).write_text(content)
    assert read_expected(tmp_path) == {}
    write_json(tmp_path / RunFile.EXPECTED, EXPECTED)
    assert read_expected(tmp_path) == EXPECTED


def test_the_parts_of_a_phase_make_one_progress(tmp_path):
    config = RunConfig(data=DataConfig(path="a.csv"))
    with RunWriter(tmp_path / "run", config) as writer:
        writer.phase("report")
        seen = []
        for first, last in ((0, 40), (40, 100)):
            for done in range(3):
                writer.part_of_phase(first, last)(done, 2)
                seen.append((writer.status["done"], writer.status["total"]))
    assert seen == [(n, 100) for n in (0, 20, 40, 40, 70, 100)]
