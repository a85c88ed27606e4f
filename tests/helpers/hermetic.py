"""What tests share is left as it was found: a test that changes it fails, by name.

Models, tokenizers and folders that are handed to more than one test are watched from
their making on: after each test that asks for them, and at the end of each file. The
state of the process is compared from the start of each test to its end.
"""

import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_WATCHED: dict[str, tuple[Callable[[], object], object]] = {}
"""By name: how a shared thing looks now, and how it looked when it was made."""
_USED: set[str] = set()
"""What the test that runs has asked for."""
_AT_FIRST = set(os.environ) - {"PYTEST_CURRENT_TEST"}
_OURS = ("STC_", "HF_", "OMP_", "OPENBLAS_", "MKL_", "COLUMNS")
"""Other names come with the import of a library, in whichever test that is."""


def watch(name: str, look: Callable[[], object]) -> None:
    """Let a test fail that uses `name` and leaves it other than it is now."""
    _WATCHED[name] = (look, look())


def used(name: str) -> None:
    """Say that the test that runs has asked for `name`."""
    _USED.add(name)


def watched_folder(fixture: str, folder: Path) -> Path:
    """The folder of a fixture; no test may add, remove or write a file in it."""

    def look() -> dict[str, tuple[int, int]]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        stats = [(str(path), path.stat()) for path in files]
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats}

    watch(fixture, look)
    return folder


def process() -> dict[str, object]:
    """The state of this process that outlives a test, by what people call it."""
    found: dict[str, object] = {
        "the working directory": Path.cwd(),
        "the environment": {
            name: value
            for name, value in os.environ.items()
            if name in _AT_FIRST or name.startswith(_OURS)
        },
        "sys.path": list(sys.path),
        "sys.argv": list(sys.argv),
        "the level of the root logger": logging.root.level,
    }
    if (numpy := sys.modules.get("numpy")) is not None:
        found["numpy.errstate"] = numpy.geterr()
    if (torch := sys.modules.get("torch")) is not None:
        found |= {
            "torch's number of threads": torch.get_num_threads(),
            "torch's default dtype": torch.get_default_dtype(),
            "torch's gradients": torch.is_grad_enabled(),
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
            "torch's use of oneDNN": torch.backends.mkldnn.enabled,
        }
    return found


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    said = []
    for name, old in before.items():
        new = after[name]
        if new != old and isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            said.append(f"{name} ({', '.join(map(str, keys))})")
        elif new != old:
            said.append(f"{name} ({old!r} -> {new!r})"[:300])
    return said


@pytest.fixture(autouse=True)
def unchanged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that leaves something shared changed; random numbers start anew.

    So a test gives the same result alone, in any order, and in any split.
    """
    random.seed(0)
    modules: dict[str, Any] = dict(sys.modules)
    if (numpy := modules.get("numpy")) is not None:
        numpy.random.seed(0)
    if (torch := modules.get("torch")) is not None:
        torch.manual_seed(0)
    before = process()
    _USED.clear()
    yield
    after = process()
    said = changed(before, {**before, **after}) + damaged(
        _USED | set(request.fixturenames)
    )
    assert not said, f"{request.node.nodeid} leaves changed: {'; '.join(said)}"


@pytest.fixture(autouse=True, scope="module")
def unchanged_by_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a file whose tests leave changed what they have not asked for."""
    yield
    said = damaged(set(_WATCHED))
    assert not said, f"{request.node.nodeid} leaves changed: {'; '.join(said)}"


def damaged(names: set[str]) -> list[str]:
    """Which of these shared things do not look as they did. Each is told once."""
    found = []
    for name in sorted(names & set(_WATCHED)):
        look, made = _WATCHED[name]
        if (now := look()) != made:
            found.append(name)
            _WATCHED[name] = (look, now)
    return found
