"""The app on a port of its own, and a real Chromium to use it with."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    ViewportSize,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from helpers.browser import chromium

ROOT = Path(__file__).parents[3]
REQUIRED = "STC_BROWSER_REQUIRED"
WAIT_MS = 120_000
"""The longest wait for one thing; a shared machine is slow."""
QUIET_MS = 250
"""A page that has done nothing for so long has come to rest."""
QUIET = """
(least) => {
  const app = document.querySelector('[data-testid=stApp]');
  const undrawn = '[data-testid=stSkeleton], .stc-plot[aria-busy=true]';
  const busy = app?.getAttribute('data-test-script-state') !== 'notRunning'
    || document.querySelector(undrawn);
  window.quietSince = busy ? undefined : window.quietSince ?? performance.now();
  return !busy && performance.now() - window.quietSince >= least;
}
"""
HARMLESS = (
    # Opened at a page's own address, Streamlit asks for its server there first (404),
    # then at the root.
    "/_stcore/health",
    "/_stcore/host-config",
    # It would look for a newer version of itself; the browser has no network.
    "Failed to load resource: net::ERR",
)
"""Parts of console errors that say nothing about this app."""


class ServedApp(NamedTuple):
    """The app at `address`, with `home` as its STC_HOME."""

    address: str
    home: Path

    def url(self, page: str, run: str = "r", **more: object) -> str:
        """The address of a page that looks at a run."""
        return f"{self.address}/{page}?{urlencode({'run': run, **more})}"


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def server(home: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """The address of the app, served from the checkout with `home` as STC_HOME.

    `options` are those of Streamlit.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    command += ["--server.port", str(port), "--server.headless", "true"]
    env = {**os.environ, "STC_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_up(address, process, home / "server.log")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_up(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            with urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"The app is not up at {address}: {log.read_text('utf-8')}")


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium that asks nobody for anything; without one a skip.

    With STC_BROWSER_REQUIRED in the environment a machine without one is an error.
    """
    with sync_playwright() as play:
        opened = chromium.launch(play)
        if opened is None and os.environ.get(REQUIRED):
            pytest.fail(f"{chromium.NONE} {chromium.REMEDY}")
        if opened is None:
            pytest.skip(chromium.NONE)
        with opened:
            yield opened


def window(chromium: Browser, height: int = 900, **wish: Any) -> Page:
    """A page of a new window, which has no other window's cache; `wish` is asked of it.

    The window wants little motion: to draw what waits 60 times a second costs a sixth
    of all that the browser does.
    """
    view: ViewportSize = {"width": 1280, "height": height}
    calm = chromium.new_context(viewport=view, reduced_motion="reduce", **wish)
    calm.set_default_timeout(WAIT_MS)
    return calm.new_page()


def listen(page: Page) -> list[str]:
    """What goes wrong in `page` from now on: its console errors and exceptions."""
    heard: list[str] = []

    def note(message: ConsoleMessage) -> None:
        source = message.location.get("url", "")
        harmless = any(part in f"{source} {message.text}" for part in HARMLESS)
        if message.type == "error" and not harmless:
            heard.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: heard.append(f"{page.url}: {error}"))
    return heard


def settled(page: Page) -> Page:
    """`page` once its script has run to the end and its charts are drawn."""
    page.evaluate("window.quietSince = undefined")
    page.wait_for_function(QUIET, arg=QUIET_MS, polling=40, timeout=WAIT_MS)
    assert not page.get_by_test_id("stException").count(), page.inner_text("body")
    return page


def insist(act: Callable[[int], None]) -> None:
    """Do `act`, which gets the milliseconds that it may take; if need be, again.

    Where much else is at work a page moves away from under the mouse, or a click is
    lost: a person then does it once more.
    """
    for patience in (10_000, 10_000, WAIT_MS):
        try:
            act(patience)
        except PlaywrightTimeout:
            if patience == WAIT_MS:
                raise
        else:
            return
