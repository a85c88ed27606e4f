"""The optional packages: which extra brings them, and what does not work without."""

from importlib.util import find_spec
from typing import NamedTuple

from stc_core.errors import StcError


class Extra(NamedTuple):
    """What `pip install 'stc-studio[NAME]'` adds: its packages, and what needs them."""

    packages: tuple[str, ...]
    purpose: str


EXTRAS = {
    "app": Extra(("plotly", "streamlit"), "the app in the browser, from a checkout"),
    "report": Extra(("plotly",), "`stc report --html`, and figures in Python"),
    "serve": Extra(("fastapi", "uvicorn", "prometheus_client"), "`stc serve`"),
    "onnx": Extra(("onnx", "onnxscript", "onnxruntime"), "`stc export --onnx`"),
    "hub": Extra(("datasets",), "tables of the Hugging Face Hub"),
    "ray": Extra(("ray",), "`--engine ray`"),
    "s3": Extra(("s3fs",), "shards in a storage like S3"),
    "login": Extra(("authlib", "httpx"), "login to the app"),
}
"""Each extra by its name. The versions are in pyproject.toml."""


def missing_packages(extra: str) -> list[str]:
    """The packages of an extra that are not installed, in the order of `EXTRAS`."""
    return [name for name in EXTRAS[extra].packages if find_spec(name) is None]


def require_extra(extra: str) -> None:
    """Raise StcError, with the command that installs it, if an extra is missing."""
    if missing := missing_packages(extra):
        packages = "package" if len(EXTRAS[extra].packages) == 1 else "packages"
        raise StcError(
            EXTRAS[extra].purpose,
            expected=f"the {packages} {', '.join(EXTRAS[extra].packages)}",
            got=f"no {', '.join(missing)}",
            remedy=f"Run: pip install 'stc-studio[{extra}]'",
        )
