"""What people add to a run (its name, tags and stars), kept in about.json."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from stc_core.errors import StcError
from stc_core.files import read_json, write_error, write_json

_FILE = "about.json"
GONE = "the run is gone"
LONGEST_NAME = 120
LONGEST_TAG = 40


class _About(NamedTuple):
    """The later name (empty if none), tags without duplicates, the starred texts."""

    name: str = ""
    tags: tuple[str, ...] = ()
    stars: tuple[int, ...] = ()


def read_about(folder: Path) -> _About:
    """The name, tags and stars of the run in `folder`; empty if the file is damaged."""
    path = folder / _FILE
    if not path.is_file():
        return _About()
    try:
        raw = read_json(path)
    except StcError:  # a damaged name or tag must not prevent opening the run
        return _About()
    tags, stars = raw.get("tags"), raw.get("stars")
    return _About(
        _line(raw.get("name")),
        _tags(tags if isinstance(tags, list) else ()),
        tuple(star for star in stars if isinstance(star, int))
        if isinstance(stars, list)
        else (),
    )


def rename(folder: Path, name: str) -> None:
    """Give the run in `folder` this name; '' restores the name of its settings."""
    line = _line(name)[:LONGEST_NAME]
    _change(folder, lambda about: about._replace(name=line))


def tag(folder: Path, tags: Iterable[str], *, instead: Iterable[str] = ()) -> None:
    """Give the run in `folder` the tags `tags` instead of the tags `instead`.

    Only the difference between the two is applied, because somebody else may have
    added or removed other tags meanwhile.
    """
    wanted, shown = _tags(tags), _tags(instead)
    removed = set(shown) - set(wanted)
    added = [word for word in wanted if word not in shown]

    def change(about: _About) -> _About:
        kept = [word for word in about.tags if word not in removed]
        return about._replace(tags=_tags([*kept, *added]))

    _change(folder, change)


def star(folder: Path, example: int, *, on: bool) -> None:
    """Star a text of the run in `folder`, or remove its star."""

    def change(about: _About) -> _About:
        stars = set(about.stars) - {example} | ({example} if on else set())
        return about._replace(stars=tuple(sorted(stars)))

    _change(folder, change)


@contextmanager
def about_lock(folder: Path) -> Iterator[None]:
    """A context in which nobody else names, tags or stars the run in `folder`.

    A run that is at work can be named, so this is not the lock of its owner. It lies
    beside the folder, so that it holds while the folder is moved.
    """
    folder = folder.resolve()
    lock = FileLock(folder.with_name(f".{folder.name}.about.lock"))
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def _change(folder: Path, change: Callable[[_About], _About]) -> None:
    """Apply `change` to about.json; a lock puts changes of several people in order."""
    path = folder / _FILE
    try:
        if not folder.parent.is_dir():
            raise FileNotFoundError(2, GONE)
        with about_lock(folder):
            if not folder.is_dir():  # it was deleted, perhaps meanwhile
                raise FileNotFoundError(2, GONE)
            write_json(path, change(read_about(folder))._asdict())
    except OSError as error:
        raise write_error(path, error) from error


def _tags(tags: Iterable[object]) -> tuple[str, ...]:
    lines = (_line(word)[:LONGEST_TAG] for word in tags)
    return tuple(dict.fromkeys(line for line in lines if line))


def _line(text: object) -> str:
    return " ".join(str(text or "").split())
