"""What people say of a run: its name, tags and stars, in about.json."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from stc_core.errors import StcError
from stc_core.files import read_json, write_error, write_json

_FILE = "about.json"
LOCK = ".about.lock"
GONE = "the run is gone"
LONGEST_NAME = 120
LONGEST_TAG = 40


class _About(NamedTuple):
    """The name given later, empty: none; tags, each once, in order; starred texts."""

    name: str = ""
    tags: tuple[str, ...] = ()
    stars: tuple[int, ...] = ()


def read_about(folder: Path) -> _About:
    """What is said of the run in `folder`; nothing where the file is damaged."""
    path = folder / _FILE
    if not path.is_file():
        return _About()
    try:
        raw = read_json(path)
    except StcError:  # a name and tags are not worth a run that cannot be opened
        return _About()
    tags, stars = raw.get("tags"), raw.get("stars")
    return _About(
        _line(raw.get("name")),
        _tags(tags if isinstance(tags, list) else ()),
        tuple(one for one in stars if isinstance(one, int))
        if isinstance(stars, list)
        else (),
    )


def rename(folder: Path, name: str) -> None:
    """Call the run in `folder` `name`; empty: as its settings say."""
    line = _line(name)[:LONGEST_NAME]
    _change(folder, lambda about: about._replace(name=line))


def tag(folder: Path, tags: Iterable[str], *, instead: Iterable[str] = ()) -> None:
    """Give the run in `folder` these tags in the place of those of `instead`.

    What is in both, or in neither, stays as it is: somebody else may have given or
    taken it meanwhile.
    """
    wanted, shown = _tags(tags), _tags(instead)
    taken = set(shown) - set(wanted)
    new = [one for one in wanted if one not in shown]

    def told(about: _About) -> _About:
        kept = [one for one in about.tags if one not in taken]
        return about._replace(tags=_tags([*kept, *new]))

    _change(folder, told)


def star(folder: Path, example: int, *, on: bool) -> None:
    """Mark a text of the run in `folder`, or take its mark away."""

    def marked(about: _About) -> _About:
        stars = set(about.stars) - {example} | ({example} if on else set())
        return about._replace(stars=tuple(sorted(stars)))

    _change(folder, marked)


def _change(folder: Path, change: Callable[[_About], _About]) -> None:
    """Write what `change` makes of what is said; of many at once, one after another."""
    path = folder / _FILE
    try:
        if not folder.is_dir():  # or the lock would make it, for a run that is deleted
            raise FileNotFoundError(2, GONE)
        with FileLock(folder / LOCK):
            there = {one.name for one in folder.iterdir()} > {LOCK}
            if there:
                write_json(path, change(read_about(folder))._asdict())
        if not there:  # it was deleted in between, and the lock did make it
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()
            raise FileNotFoundError(2, GONE)
    except OSError as error:
        raise write_error(path, error) from error


def _tags(tags: Iterable[object]) -> tuple[str, ...]:
    lines = (_line(one)[:LONGEST_TAG] for one in tags)
    return tuple(dict.fromkeys(line for line in lines if line))


def _line(text: object) -> str:
    return " ".join(str(text or "").split())
