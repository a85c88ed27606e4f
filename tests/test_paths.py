"""Where runs, models and samples are, in a checkout and in an installed package."""

from pathlib import Path

import pytest

from stc_core import paths

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as if it were in site-packages, and a home directory."""
    package = tmp_path / "site-packages" / "stc_core"
    (package / "samples").mkdir(parents=True)
    monkeypatch.setattr(paths, "_PACKAGE", package)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")
    return package


def test_a_checkout_is_its_own_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STC_HOME")
    assert paths.is_checkout() and paths.home() == ROOT
    assert paths.samples_folder() == ROOT / "samples"


def test_an_installed_package_writes_to_the_user(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("STC_HOME")
    assert not paths.is_checkout()
    assert paths.home() == tmp_path / "user" / "stc-studio"
    assert paths.samples_folder() == installed / "samples"


def test_the_home_that_is_named_wins(
    installed: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert paths.home() == own_home
    monkeypatch.setenv("STC_HOME", "")  # as good as unset
    assert paths.home() == Path.home() / "stc-studio"
