"""What a command prints: how far it is, on a terminal and elsewhere, and a result."""

from typing import Any

from helpers.app import METRICS, written_run
from stc_core.cli import console
from stc_core.files import write_json
from stc_core.runs.status import Status, new_status


def status(**changes: Any) -> Status:
    return Status(**{**new_status("running"), **changes})


def test_without_a_terminal_a_phase_is_a_line(capsys, monkeypatch):
    with console.PhaseBar() as bar:
        for done in range(50):
            bar.show(status(phase="extract", done=done, total=50))
        bar.show(status(phase="probe", message="warm start"))
        bar.show(status(phase="probe", message="warm start"))
        bar.said_at -= 60
        bar.show(status(phase="probe", done=5, total=9, eta_s=75.0))
        bar.show(status(phase="probe", state="failed", message="no"))
    assert capsys.readouterr().err.splitlines() == [
        "Read the activations",
        "Probe every layer",
        "  warm start",
        "Probe every layer: 5/9, 1 min 15 s left",
    ]


def test_on_a_terminal_a_bar_moves(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with console.PhaseBar() as bar:
        assert bar.live
        bar.show(status(phase="extract", done=3, total=4, eta_s=2.0))
        bar.progress.refresh()
    with console.CountBar("rows") as count:
        count.show(1234, 0)
        count.progress.refresh()
    err = capsys.readouterr().err
    assert "Read the activations" in err and "3/4, 2.0 s left" in err
    assert "1,234 rows" in err


def test_a_score_without_an_interval_is_told(capsys, tmp_path):
    run = written_run(tmp_path / "one", "One")
    reason = "3 of 77 classes have fewer than 3 texts"
    scores = METRICS["test"] | {"macro_f1_interval": None, "macro_f1_reason": reason}
    write_json(run.folder / "metrics.json", {**METRICS, "test": scores})
    console.show_result(run)
    assert f"macro-F1 has no interval: {reason}." in capsys.readouterr().out
    write_json(run.folder / "metrics.json", METRICS)
    console.show_result(run)
    assert "no interval" not in capsys.readouterr().out
