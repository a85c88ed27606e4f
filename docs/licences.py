"""The table of licences in licences.md: what each pinned package says of itself.

`python docs/licences.py` writes it, from the metadata of the installed packages; those
of requirements-bench.txt and requirements-audit.txt must be installed, too.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- licences -->\n", "<!-- /licences -->"
FILES = {"tests": "dev", "benches": "bench", "audit": "audit"}
"""What requirements-NAME.txt is for."""
_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST = 60
"""The most characters that are taken of the field of a licence."""


class Pin(NamedTuple):
    """A package, its version, and the first thing that needs it."""

    name: str
    version: str
    needed_by: str


def pins() -> list[Pin]:
    """Every pinned package once, the core first; what has no exact version is left out.

    `needed_by` is core, the name of an extra, or a key of `FILES`.
    """
    first: dict[str, Pin] = {}
    for needed_by, line in _lines():
        name, _, version = line.partition("==")
        if version:
            first.setdefault(name, Pin(name, version, needed_by))
    return list(first.values())


def _lines() -> Iterator[tuple[str, str]]:
    """Each requirement, and what it is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    for purpose, name in FILES.items():
        groups[purpose] = (ROOT / f"requirements-{name}.txt").read_text().splitlines()
    for needed_by, lines in groups.items():
        yield from ((needed_by, line) for line in lines)


def licence_of(name: str) -> str:
    """The licence of an installed package, as its metadata names it.

    Raises PackageNotFoundError if it is not installed, and ValueError if it has none.
    """
    about = metadata(name)
    if expression := about.get_all("License-Expression"):
        return expression[0]
    classifiers = about.get_all("Classifier") or []
    named = [c.removeprefix(_CLASSIFIER) for c in classifiers if _CLASSIFIER in c]
    field = (about.get_all("License") or [""])[0]
    lines = [" ".join(line.split()) for line in field.splitlines() if line.strip()]
    if (
        len(lines) > 1 and not named
    ):  # the text of a licence, which begins with its name
        return ", ".join(lines[:2])[:_LONGEST]
    if len(lines) == 1 and len(lines[0]) <= _LONGEST:
        return lines[0]
    if not named:
        raise ValueError(f"the metadata of {name} names no licence")
    return ", ".join(named)


def table() -> str:
    """Markdown: a row for each pinned package."""
    rows = [
        f"| {pin.name} | {pin.version} | {licence_of(pin.name)} | {pin.needed_by} |"
        for pin in pins()
    ]
    heads = "| package | version | licence | needed by |\n|---|---|---|---|"
    return "\n".join([heads, *rows]) + "\n"


def main() -> None:
    """Write the table into the page; name a package that is not installed."""
    try:
        made = table()
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is not installed: it is in requirements-*.txt")
    page = PAGE.read_text("utf-8")
    between = re.compile(f"{BEGIN}.*{END}", re.S)
    PAGE.write_text(between.sub(lambda _: f"{BEGIN}{made}{END}", page), "utf-8")


if __name__ == "__main__":
    main()
