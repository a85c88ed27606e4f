"""What people say of a run: its name, tags and stars, in about.json."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from stc_core.errors import StcError
from stc_core.files import read_json, write_json

FILE = "about.json"
LONGEST_NAME = 120
LONGEST_TAG = 40


class About(NamedTuple):
    """The name given later, empty: none; tags, each once, in order; starred texts."""

    name: str = ""
    tags: tuple[str, ...] = ()
    stars: tuple[int, ...] = ()


def read_about(folder: Path) -> About:
    """What is said of the run in `folder`; nothing where the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return About()
    try:
        raw = read_json(path)
    except StcError:  # a name and tags are not worth a run that cannot be opened
        return About()
    tags, stars = raw.get("tags"), raw.get("stars")
    return About(
        _line(raw.get("name")),
        _tags(tags if isinstance(tags, list) else ()),
        tuple(one for one in stars if isinstance(one, int))
        if isinstance(stars, list)
        else (),
    )


def rename(folder: Path, name: str) -> None:
    """Call the run in `folder` `name`; empty: as its settings say."""
    _write(folder, read_about(folder)._replace(name=_line(name)[:LONGEST_NAME]))


def tag(folder: Path, tags: Iterable[str]) -> None:
    """Give the run in `folder` these tags and no others."""
    _write(folder, read_about(folder)._replace(tags=_tags(tags)))


def star(folder: Path, example: int, *, on: bool) -> None:
    """Mark a text of the run in `folder`, or take its mark away."""
    about = read_about(folder)
    stars = set(about.stars) - {example} | ({example} if on else set())
    _write(folder, about._replace(stars=tuple(sorted(stars))))


def _write(folder: Path, about: About) -> None:
    write_json(folder / FILE, about._asdict())


def _tags(tags: Iterable[object]) -> tuple[str, ...]:
    lines = (_line(one)[:LONGEST_TAG] for one in tags)
    return tuple(dict.fromkeys(line for line in lines if line))


def _line(text: object) -> str:
    return " ".join(str(text or "").split())
