"""Users log in, and each sees the own runs and tables alone; an admin sees all."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from helpers.browser.browser import browser, free_port, listen, server, settled, window
from helpers.browser.identity_provider import (
    CLIENT,
    IdentityProvider,
    identity_provider,
)
from helpers.runs.copies import copied

SECRETS = """
[auth]
redirect_uri = "{app}/oauth2callback"
cookie_secret = "a secret of this test alone"
client_id = "{client}"
client_secret = "not secret"
server_metadata_url = "{provider}/.well-known/openid-configuration"

[stc]
users = ["@example.org"]
admins = ["root@example.org"]
"""


def user(name: str, domain: str = "example.org") -> dict:
    email = f"{name}@{domain}"
    return {"sub": name, "email": email, "email_verified": True, "name": name}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as answering:
        yield answering


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    home = tmp_path_factory.mktemp("login")
    copied(run_folder, home / "runs" / "before")
    return home


@pytest.fixture(scope="module")
def app(home: Path, provider: IdentityProvider) -> Iterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    secrets = home / "secrets.toml"
    secrets.write_text(
        SECRETS.format(app=address, client=CLIENT, provider=provider.address)
    )
    with server(home, "--secrets.files", str(secrets), port=port) as served:
        yield served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def logged_in(
    chromium: Browser, app: str, provider: IdentityProvider, who: dict
) -> Page:
    """A window of its own in which this user has just logged in: it shows Home."""
    provider.user = who
    opened = window(chromium)
    opened.goto(f"{app}/Data")
    settled(opened).get_by_role("button", name="Log in").click()
    opened.get_by_role("button", name="Log out").wait_for()
    return settled(opened)


def area(home: Path, name: str) -> Path:
    """The area of the user of this name."""
    files = (home / "users").glob("*/user.json")
    return next(
        file.parent for file in files if json.loads(file.read_text())["name"] == name
    )


def test_nobody_sees_a_page_without_login(app: str, chromium: Browser):
    page = window(chromium)
    for address in ("", "Runs", "Neurons?run=before", "Data"):
        page.goto(f"{app}/{address}")
        settled(page).get_by_role("button", name="Log in").wait_for()
        assert "before" not in page.inner_text("body")
        assert page.get_by_test_id("stSidebar").count() == 0


def test_each_user_has_own_runs_and_an_admin_sees_all(
    app: str, home: Path, chromium: Browser, provider: IdentityProvider, run_folder
):
    ann = logged_in(chromium, app, provider, user("ann"))
    heard = listen(ann)
    copied(run_folder, area(home, "ann@example.org") / "runs" / "of-ann")
    ann.goto(f"{app}/Layers?run=of-ann")
    settled(ann).get_by_role("heading", name="Layers").wait_for()
    assert not ann.get_by_text("There is no run").count()
    ann.goto(f"{app}/Layers?run=before")
    settled(ann).get_by_text("There is no run 'before' here").wait_for()
    assert not heard, heard

    bob = logged_in(chromium, app, provider, user("bob"))
    bob.goto(f"{app}/Layers?run=of-ann")
    settled(bob).get_by_text("There is no run 'of-ann' here").wait_for()
    bob.goto(f"{app}/Runs")
    assert "of-ann" not in settled(bob).inner_text("body")
    assert not bob.get_by_label("Runs of").count()

    root = logged_in(chromium, app, provider, user("root"))
    root.goto(f"{app}/Layers?run=of-ann")  # an admin begins with the own area
    settled(root).get_by_text("There is no run 'of-ann' here").wait_for()
    root.get_by_label("Runs of").click()
    root.get_by_role("option", name="ann@example.org").click()
    settled(root).get_by_text("Copy link").wait_for()
    assert not root.get_by_text("There is no run").count()


def test_strangers_and_unverified_addresses_stay_outside(
    app: str, chromium: Browser, provider: IdentityProvider
):
    unproven = {**user("root"), "sub": "other", "email_verified": False}
    for who in (user("eve", "example.com"), unproven):
        page = logged_in(chromium, app, provider, who)
        page.get_by_role("heading", name="You may not use this app").wait_for()
        assert page.get_by_test_id("stSidebar").count() == 0
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="Log in").wait_for()
