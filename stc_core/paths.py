"""Where runs, features and backbones are kept on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """Where runs, features and backbones are kept: $STC_HOME or the checkout."""
    return Path(os.environ.get("STC_HOME") or Path(__file__).parents[1]).resolve()


def runs_folder() -> Path:
    return home() / "runs"


def features_folder() -> Path:
    return home() / "cached_features"


def models_folder() -> Path:
    return home() / "cached_models"
