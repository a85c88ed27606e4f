"""The folders for runs, features, backbones and bundles on this machine.

Where users log in, each has an area of the home for runs, sweeps, uploads and trash.
"""

import os
from collections.abc import Callable
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_USERS = "users"
_find_area: Callable[[], Path] | None = None


def is_checkout() -> bool:
    """Whether this package is run from a checkout, where the app is, too."""
    return (_PACKAGE.parent / "pyproject.toml").is_file()


def home() -> Path:
    """The folder that holds runs, features and backbones.

    It is $STC_HOME. Without it, it is the checkout, or `~/stc-studio` if the package
    was installed elsewhere.
    """
    if named := os.environ.get("STC_HOME"):
        return Path(named).resolve()
    return _PACKAGE.parent if is_checkout() else Path.home() / "stc-studio"


def samples_folder() -> Path:
    """The folder of the sample tables: in a wheel it is inside the package."""
    inside = _PACKAGE / "samples"
    return inside if inside.is_dir() else _PACKAGE.parent / "samples"


def divide_home(find: Callable[[], Path]) -> None:
    """From now on `find` says which area of the home belongs to whoever asks.

    It is called for every path, and raises StcError if nobody is logged in.
    """
    global _find_area
    _find_area = find


def area() -> Path:
    """The folder with the runs, the uploads and the trash of whoever asks.

    It is the home, unless users log in.
    """
    return home() if _find_area is None else _find_area()


def area_of(user: str) -> Path:
    """The area of the user with this key."""
    return home() / _USERS / user


def areas() -> list[Path]:
    """The home and the areas of all users in it."""
    return [home(), *sorted((home() / _USERS).glob("*/"))]


def runs_folder() -> Path:
    """The folder of the runs of whoever asks."""
    return area() / "runs"


def runs_folders() -> list[Path]:
    """The folders of the runs of everyone on this machine."""
    return [one / "runs" for one in areas()]


def trash_folder() -> Path:
    """The folder of the deleted runs of whoever asks."""
    return area() / "trash"


def uploads_folder() -> Path:
    """The folder of the tables that whoever asks has uploaded."""
    return area() / "uploads"


def sweeps_folder() -> Path:
    """The folder of all sweeps; their runs are in the folder of runs."""
    return area() / "sweeps"


def features_folder() -> Path:
    """The folder of all feature stores."""
    return home() / "cached_features"


def shards_folder() -> Path:
    """The folder of finished shards whose result is not written yet."""
    return home() / "shards"


def models_folder() -> Path:
    """The folder of all downloaded backbones."""
    return home() / "cached_models"


def model_folders() -> tuple[Path, ...]:
    """The folders whose models a user of the app may name by a path.

    They are the home, which holds downloaded and tuned models, and those in
    $STC_MODELS, separated as in $PATH. Of the areas of users it is only the own one.
    """
    named = os.environ.get("STC_MODELS", "").split(os.pathsep)
    own = (home(),) if area() == home() else (models_folder(), area())
    return (*own, *(Path(one).expanduser().resolve() for one in named if one))


def bundles_folder() -> Path:
    """The folder of the bundles that were opened, each unpacked once."""
    return home() / "bundles"


def data_sets_folder() -> Path:
    """The folder of the data sets that were downloaded from the Hub."""
    return home() / "data_sets"
