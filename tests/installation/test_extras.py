"""A missing extra is named, with the command that installs it."""

import pytest

from stc_core.errors import StcError
from stc_core.installation import extras
from stc_core.installation.extras import EXTRAS, missing_packages, require_extra


def test_what_is_installed_is_not_missed():
    for name in ("report", "serve"):  # the tests need both
        assert missing_packages(name) == []
        require_extra(name)


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch):
    last = EXTRAS[name].packages[-1]
    monkeypatch.setattr(
        extras, "find_spec", lambda package: None if package == last else object()
    )
    assert missing_packages(name) == [last]
    with pytest.raises(StcError) as error:
        require_extra(name)
    assert str(error.value).startswith(f"{EXTRAS[name].purpose}: expected the package")
    assert f"got no {last}." in str(error.value)
    assert str(error.value).endswith(f"Run: pip install 'stc-studio[{name}]'")


def test_every_extra_has_packages_and_a_purpose():
    for extra in EXTRAS.values():
        assert extra.packages and extra.purpose
