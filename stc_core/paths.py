"""The folders for runs, features, backbones and bundles on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """The folder that holds runs, features and backbones: $STC_HOME or the checkout."""
    return Path(os.environ.get("STC_HOME") or Path(__file__).parents[1]).resolve()


def runs_folder() -> Path:
    """The folder of all runs."""
    return home() / "runs"


def features_folder() -> Path:
    """The folder of all feature stores."""
    return home() / "cached_features"


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
