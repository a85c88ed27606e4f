"""The app on a port of its own, and a real Chromium to use it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ROOT = Path(__file__).parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
WAIT_MS = 120_000
"""The longest wait for one thing; a shared machine is slow."""
HARMLESS = (
    # Opened at a page's own address, Streamlit asks for its server there first (404),
    # then at the root.
    "/_stcore/health",
    "/_stcore/host-config",
    # It would look for a newer version of itself; the browser has no network.
    "Failed to load resource: net::ERR",
)
"""Parts of console errors that say nothing about this app."""


def chromium(playwrights: str) -> str:
    """The path of a Chromium: the system's, or else `playwrights`, if it is there.

    A machine without one is not ready for the tests.
    """
    named = shutil.which("chromium") or shutil.which("google-chrome")
    path = named or playwrights
    assert Path(path).exists(), (
        "The browser tests need Chromium: `apt-get install chromium`, or "
        "`python -m playwright install chromium`."
    )
    return path


@contextmanager
def server(home: Path) -> Iterator[str]:
    """The address of the app, served from the checkout with `home` as STC_HOME."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
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
    """A headless Chromium that asks nobody for anything."""
    with sync_playwright() as play:
        path = chromium(play.chromium.executable_path)
        opened = play.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()


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
    app = page.get_by_test_id("stApp")
    app.wait_for(timeout=WAIT_MS)
    quiet = 0
    end = time.monotonic() + WAIT_MS / 1000
    while quiet < 3:
        assert time.monotonic() < end, f"{page.url} never comes to rest"
        still = app.get_attribute("data-test-script-state") == "notRunning"
        undrawn = page.locator("[data-testid=stSkeleton], .stc-plot[aria-busy=true]")
        quiet = quiet + 1 if still and not undrawn.count() else 0
        page.wait_for_timeout(100)
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


def press(button: str, table: Locator) -> None:
    """Press the button named `button` in the toolbar over `table`.

    Streamlit slides the toolbar out while the mouse is over the table.
    """
    named = table.locator("xpath=..").get_by_role("button", name=button)

    def act(patience: int) -> None:
        table.scroll_into_view_if_needed()
        table.hover()
        table.page.wait_for_timeout(300)
        named.click(timeout=patience)

    insist(act)
