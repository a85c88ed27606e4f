"""The progress of a whole run, from the progress of its phases."""

import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.files import write_json
from stc_core.runs.layout import RunFile
from stc_core.runs.status import (
    PHASES,
    Phase,
    Status,
    new_status,
    read_expected,
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


def at(phase: Phase, done: int, total: int, *, seconds: float = 0.0) -> Status:
    """A run in the middle of a phase, `seconds` after it began at the time 1000."""
    status = new_status("running")
    status.update(phase=phase, done=done, total=total, started=1000 - seconds)
    return status


def test_a_run_that_keeps_to_its_forecast_has_the_rest_of_it_left():
    status = at("select", 1, 3, seconds=44.0)
    share, left = run_progress(status, EXPECTED, tunes=False, now=1000.0)
    assert share == pytest.approx(0.44)
    assert left == pytest.approx(56.0)


@pytest.mark.parametrize(("factor", "least", "most"), [(2, 90, 112), (0.5, 28, 42)])
def test_the_time_left_follows_the_pace_of_the_run(factor, least, most):
    status = at("select", 1, 3, seconds=44.0 * factor)
    left = run_progress(status, EXPECTED, tunes=False, now=1000.0).left_s
    assert left is not None and least < left < most


def test_a_slow_start_does_not_frighten():
    status = at("read", 0, 0, seconds=6.0)
    left = run_progress(status, EXPECTED, tunes=False, now=1000.0).left_s
    assert left is not None and 100 < left < 130


def test_the_share_never_goes_back():
    shares = [
        run_progress(at(phase, done, 4), EXPECTED, tunes=True, now=1000.0).share
        for phase in PHASES
        for done in range(5)
    ]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def test_without_a_forecast_there_is_a_share_and_no_time():
    share, left = run_progress(at("probe", 1, 2), {}, tunes=False, now=1000.0)
    assert 0.3 < share < 0.5 and left is None
    waiting = run_progress(new_status("queued"), EXPECTED, tunes=False, now=1000.0)
    assert waiting == (0, None)


def test_a_tuning_that_was_not_foretold_leaves_the_time_open():
    assert run_progress(at("probe", 1, 2), EXPECTED, tunes=True, now=1000.0)[1] is None
    with_tune: dict[Phase, float] = {**EXPECTED, "tune": 100.0}
    share, left = run_progress(at("probe", 1, 2), with_tune, tunes=True, now=1000.0)
    assert share == pytest.approx(0.12) and left is not None


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
