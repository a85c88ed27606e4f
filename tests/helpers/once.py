"""What several tests look at and is dear to make: made once for all workers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """The folder `name`, which `make` has filled; the workers of a session share it.

    Nobody may change it. `make` gets a folder that is not there yet, or not whole.
    """
    folder = shared(factory) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    whole = folder.with_name(f"{name}.whole")
    with FileLock(f"{folder}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            whole.touch()
    return folder


def trained_once(
    factory: pytest.TempPathFactory, name: str, train: Callable[[Path], object]
) -> Path:
    """As `once`, for a run; its features are copied to the STC_HOME of the caller."""
    home = shared(factory) / "home"

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STC_HOME", str(home / name))
            train(folder)

    folder = once(factory, name, make)
    features = home / name / "cached_features"
    if features.is_dir():
        mine = Path(os.environ["STC_HOME"]) / "cached_features"
        shutil.copytree(features, mine, dirs_exist_ok=True)
    return folder


def shared(factory: pytest.TempPathFactory) -> Path:
    """The folder of this session that all its workers see."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
