"""A browser for the tests: what is here, what may be got, and what is said if none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from helpers.browser import chromium

ROOT = Path(__file__).parents[2]


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch) -> Path:
    """A PATH without browsers, managers or sudo; no browser at any other place."""
    monkeypatch.delenv(chromium.CHOSEN, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(chromium, "APPS", ())
    return tmp_path


def test_the_chosen_browser_is_the_only_candidate(nothing_here: Path, monkeypatch):
    script(nothing_here / "chromium", "exit 0")
    with sync_playwright() as play:
        assert list(chromium.candidates(play)) == [str(nothing_here / "chromium")]
        monkeypatch.setenv(chromium.CHOSEN, "/of/my/own")
        assert list(chromium.candidates(play)) == ["/of/my/own"]


def test_a_stub_that_does_not_start_is_passed_over(nothing_here: Path, capfd):
    stub = script(nothing_here / "chromium-browser", "echo needs the snap >&2; exit 1")
    assert chromium.works() is None
    assert f"{stub} does not start" in capfd.readouterr().err


def test_ways_are_tried_until_a_browser_starts(monkeypatch, capsys):
    tried: list[str] = []
    monkeypatch.setattr(chromium, "works", lambda: "99" if "system" in tried else None)
    ways = tuple(lambda name=name: tried.append(name) for name in ("own", "system"))
    assert chromium.get(ways)
    assert tried == ["own", "system"]
    assert "Chromium 99" in capsys.readouterr().out


def test_no_way_is_tried_where_a_browser_starts(monkeypatch):
    monkeypatch.setattr(chromium, "works", lambda: "99")
    assert chromium.get((lambda: pytest.fail("nothing is missing"),))


def test_without_a_browser_the_remedy_is_said(monkeypatch, capsys):
    monkeypatch.setattr(chromium, "works", lambda: None)
    assert not chromium.get(())
    assert "make browser" in capsys.readouterr().err


def test_the_package_manager_is_asked_only_as_root(nothing_here: Path, monkeypatch):
    """With a password for sudo nothing is run; with none, or as root, it installs."""
    log = nothing_here / "log"
    script(nothing_here / "apt-get", f'echo "$@" >> {log}')
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    chromium.ask_system()
    assert not log.exists()
    script(nothing_here / "sudo", "exit 1")
    chromium.ask_system()
    assert not log.exists()
    script(nothing_here / "sudo", "shift", '"$@"')
    chromium.ask_system()
    assert log.read_text().splitlines() == ["update", "install -y chromium"]


def test_what_a_failed_command_said_is_shown(capsys):
    code = "import sys; sys.exit('no route to the server')"
    assert not chromium._tell([sys.executable, "-c", code])
    assert "no route to the server" in capsys.readouterr().out
    assert not chromium._tell(["/there/is/no/such/command"])


@pytest.mark.parametrize(
    ("required", "code", "words"),
    [("", 0, "1 of them"), ("1", 1, "make browser")],
    ids=["skipped", "required"],
)
def test_browser_tests_are_skipped_loudly(
    tmp_path: Path, required: str, code: int, words: str
):
    test = tmp_path / "test_it.py"
    test.write_text(
        "from helpers.browser.browser import browser\n"
        "def test_it():\n    with browser():\n        pass\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests"),
        "STC_BROWSER": str(tmp_path / "none"),
        "STC_BROWSER_REQUIRED": required,
    }
    command = [sys.executable, "-m", "pytest", "-p", "conftest", str(test)]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "--rootdir", tmp_path]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert ended.returncode == code, ended.stdout
    assert words in ended.stdout and chromium.NONE in ended.stdout
