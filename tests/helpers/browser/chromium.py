"""Which Chromium the browser tests use, and a way to get one.

`python tests/helpers/browser/chromium.py` looks for one that starts; where there is
none it asks Playwright, then the system's package manager, for one. It never fails:
without a browser the browser tests are skipped, and all others run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
CHOSEN = "STC_BROWSER"
"""The environment variable that names the browser to use, and no other."""
COMMANDS = (
    "chromium chromium-browser google-chrome google-chrome-stable chrome "
    "microsoft-edge microsoft-edge-stable msedge"
).split()
APPS = (  # of macOS, then of Windows
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "${ProgramFiles}/Google/Chrome/Application/chrome.exe",
    "${LocalAppData}/Google/Chrome/Application/chrome.exe",
    "${ProgramFiles(x86)}/Microsoft/Edge/Application/msedge.exe",
)
MANAGERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "apt-get": (("apt-get", "update"), ("apt-get", "install", "-y", "chromium")),
    "dnf": (("dnf", "install", "-y", "chromium"),),
    "zypper": (("zypper", "--non-interactive", "install", "chromium"),),
    "pacman": (("pacman", "-Sy", "--noconfirm", "chromium"),),
    "apk": (("apk", "add", "chromium"),),
}
"""What installs Chromium by each package manager; each needs to be root."""
NONE = (
    "No Chromium, Chrome or Edge that starts was found: the browser tests are skipped."
)
REMEDY = "Install Chromium, or give its path in STC_BROWSER; then run: make browser"
DOWNLOAD_S = 900


def candidates(play: Playwright) -> Iterator[str]:
    """Paths of browsers on this machine, the ones that people installed first."""
    if chosen := os.environ.get(CHOSEN):
        yield chosen
        return
    yield from filter(None, map(shutil.which, COMMANDS))
    apps = (Path(os.path.expandvars(app)).expanduser() for app in APPS)
    own = Path(play.chromium.executable_path)
    yield from (str(path) for path in (*apps, own) if path.is_file())


def launch(play: Playwright) -> Browser | None:
    """The first browser of `candidates` that starts, headless; None if none does."""
    for path in candidates(play):
        if browser := _started(play.chromium, path):
            return browser
    return None


def _started(kind: BrowserType, path: str) -> Browser | None:
    """A file is no proof: a stub may stand for a snap, a library may be missing."""
    try:
        return kind.launch(executable_path=path, args=FLAGS)
    except PlaywrightError as error:
        print(f"{path} does not start: {_reason(error)}", file=sys.stderr)
        return None


def _reason(error: PlaywrightError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "error while loading" in line or "snap" in line]
    return (told or lines or ["no reason given"])[0][:300]


def works() -> str | None:
    """The version of the browser that the tests will use; None if there is none."""
    with sync_playwright() as play:
        browser = launch(play)
        if browser is None:
            return None
        with browser:
            return browser.version


def as_root() -> list[str] | None:
    """What a command is begun with to be root; None if that takes a password."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode:
        return None
    return [sudo, "-n"] if sudo else None


def ask_playwright() -> None:
    """Download Playwright's own Chromium, and where one may, what it needs."""
    playwright = [sys.executable, "-m", "playwright"]
    downloaded = _tell([*playwright, "install", "chromium"])
    if downloaded and sys.platform == "linux" and as_root() is not None:
        _tell([*playwright, "install-deps", "chromium"])


def ask_system() -> None:
    """Install Chromium by the first package manager that is here, where one may."""
    manager = next(filter(shutil.which, MANAGERS), None)
    root = as_root()
    if manager is None or root is None:
        return
    os.environ.setdefault("DEBIAN_FRONTEND", "noninteractive")
    for command in MANAGERS[manager]:  # a stale list of packages may still do
        _tell([*root, *command])


def _tell(command: list[str]) -> bool:
    """Run a command that may take minutes; its words are shown only if it fails."""
    print("Getting a browser for the tests:", " ".join(command), flush=True)
    environment = {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000", **os.environ}
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_S,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  That failed: {error}", flush=True)
        return False
    if ended.returncode:
        last = [line for line in (ended.stderr + ended.stdout).splitlines() if line]
        print("  That failed:", *last[:3], sep="\n  ", flush=True)
    return ended.returncode == 0


def get(ways: tuple[Callable[[], None], ...] = (ask_playwright, ask_system)) -> bool:
    """True once a browser starts: one that is here, or one got by one of `ways`."""
    for way in (lambda: None, *ways):
        way()
        if version := works():
            print(f"The browser tests use Chromium {version}.")
            return True
    print(f"{NONE}\n{REMEDY}", file=sys.stderr)
    return False


if __name__ == "__main__":
    get()
