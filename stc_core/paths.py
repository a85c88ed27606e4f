"""The folders for runs, features, backbones and bundles on this machine."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


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


def runs_folder() -> Path:
    """The folder of all runs."""
    return home() / "runs"


def sweeps_folder() -> Path:
    """The folder of all sweeps; their runs are in the folder of runs."""
    return home() / "sweeps"


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
    $STC_MODELS, separated as in $PATH.
    """
    named = os.environ.get("STC_MODELS", "").split(os.pathsep)
    return (home(), *(Path(one).expanduser().resolve() for one in named if one))


def bundles_folder() -> Path:
    """The folder of the bundles that were opened, each unpacked once."""
    return home() / "bundles"


def data_sets_folder() -> Path:
    """The folder of the data sets that were downloaded from the Hub."""
    return home() / "data_sets"
