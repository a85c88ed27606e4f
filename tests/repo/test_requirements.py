"""Every pin has one version and its licence; the project has one version, too."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from docs import licences
from stc_core.installation.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FILES = sorted(ROOT.glob("requirements*.txt"))
OF_THE_APP = ("app", "report", "serve")
"""The extras that `make app` installs."""


def pins(path: Path) -> set[str]:
    """The pins of a file, without those of the files that it names."""
    lines = path.read_text("utf-8").splitlines()
    return {line for line in lines if "==" in line and not line.startswith("#")}


def of_extras(*names: str) -> set[str]:
    return {pin for name in names for pin in PROJECT["optional-dependencies"][name]}


def every_pin() -> set[str]:
    return set.union(*map(pins, FILES), of_extras(*EXTRAS))


def test_the_app_installs_the_core_and_its_extras():
    core = set(PROJECT["dependencies"])
    assert len(core) == len(PROJECT["dependencies"])
    assert pins(ROOT / "requirements.txt") == core | of_extras(*OF_THE_APP)
    assert not core & of_extras(*EXTRAS)
    assert "torch==2.13.0" in core


def test_the_tests_install_the_other_extras():
    others = of_extras(*(EXTRAS.keys() - set(OF_THE_APP)))
    assert others <= pins(ROOT / "requirements-dev.txt")


def test_the_extras_are_those_of_the_table():
    extras = PROJECT["optional-dependencies"]
    assert {
        name: {Requirement(pin).name for pin in lines} for name, lines in extras.items()
    } == {name: set(extra.packages) for name, extra in EXTRAS.items()}
    page = (ROOT / "docs" / "versions.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(EXTRAS)


def test_no_package_has_two_versions():
    found: dict[str, set[str]] = {}
    for pin in every_pin():
        name, _, number = pin.partition("==")
        found.setdefault(name, set()).add(number)
    assert {name for name, numbers in found.items() if len(numbers) > 1} == set()


def rows() -> dict[str, tuple[str, str]]:
    """The version and the licence of each package of the page."""
    text = licences.PAGE.read_text("utf-8").partition(licences.BEGIN)[2]
    lines = re.findall(r"^\| (\S+) \| ([\w.]+) \| (.+?) \| \w+ \|$", text, re.M)
    return {name: (number, licence) for name, number, licence in lines}


def test_every_pin_has_its_licence():
    pinned = dict(pin.split("==") for pin in every_pin())
    assert {name: number for name, (number, _) in rows().items()} == pinned


@pytest.mark.parametrize("name", rows())
def test_a_licence_is_the_one_of_the_package(name: str):
    number, licence = rows()[name]
    try:
        installed = version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if installed.partition("+")[0] != number:
        pytest.skip(f"{name} {installed} is installed")
    assert licence == licences.licence_of(name)


def test_a_package_that_names_no_licence_is_said(monkeypatch: pytest.MonkeyPatch):
    class Nameless:
        def get_all(self, field: str) -> None:
            return None

    monkeypatch.setattr(licences, "metadata", lambda name: Nameless())
    with pytest.raises(ValueError, match="the metadata of x names no licence"):
        licences.licence_of("x")


def test_the_version_is_the_same_everywhere():
    number = PROJECT["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", number)
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", changes, re.M)
    assert number in headings and headings[0] in ("Unreleased", number)
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.M) == [number]
