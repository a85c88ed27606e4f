"""The sidebar: every page once, in groups; a page with nothing to show says why."""

from pathlib import Path

from helpers.app import at_home, fine, visit, written_run
from stc_core.paths import runs_folder
from stc_core.runs.run import Run
from ui.shell.page_list import COMPARE, GROUPS, HIERARCHY, NEURONS, OF_A_RUN, PAGES
from ui.shell.sidebar import NO_OTHER, NO_RUN, closed_pages


def test_every_page_is_in_one_group():
    assert [page for pages in GROUPS.values() for page in pages] == list(PAGES)


def test_without_a_run_the_pages_of_a_run_are_closed():
    assert closed_pages({}, None) == dict.fromkeys(OF_A_RUN, NO_RUN)


def test_what_a_run_does_not_have_is_closed(run_folder: Path):
    run = Run.open(run_folder)
    alone = closed_pages({"r": run}, run)
    assert alone[COMPARE] == NO_OTHER and NEURONS not in alone
    assert HIERARCHY in alone
    assert COMPARE not in closed_pages({"r": run, "s": run}, run)


def test_an_unfinished_run_closes_nothing(tmp_path: Path, monkeypatch):
    at_home(tmp_path, monkeypatch)
    run = written_run(runs_folder() / "one", "one", state="failed")
    assert closed_pages({"one": run}, run) == {}


def test_a_closed_page_is_a_grey_link_with_its_reason(tmp_path: Path, monkeypatch):
    at_home(tmp_path, monkeypatch)
    (link,) = (o for o in fine(visit()).get("page_link") if o.proto.label == "Layers")
    assert link.proto.disabled and link.proto.help == NO_RUN
