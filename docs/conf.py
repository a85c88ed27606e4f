"""Settings of Sphinx. A build needs no network and no model: `make docs`."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "STC Studio"
version = release = version_of("stc-studio")
extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.mathml", "docs.reference"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True
nitpick_ignore_regex = [
    # Links into the pages of other projects would have to be fetched.
    ("py:.*", r"(?!stc_core\.).*"),
    # Type variables have no description of their own.
    ("py:.*", r"stc_core\.(.+\.)?_?[A-Z]"),
]

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
default_role = "code"  # one backtick in a docstring is code, as in Markdown
smartquotes = False  # two dashes begin an option

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_sidebars = {"**": ["pages.html"]}
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_title = "STC Studio"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_center": [],
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}


def left_out(
    app: Any, kind: str, name: str, member: object, skip: bool, options: Any
) -> bool | None:
    """True for what says nothing: the fields of a named tuple, which its signature has;
    those of settings, which are in settings.md; what scikit-learn adds to all."""
    field = type(member).__name__ == "_tuplegetter"
    routing = name == "get_metadata_routing" or name.endswith("_request")
    pydantic = name in ("model_config", "model_fields")
    return True if field or routing or pydantic else None


def signature(
    app: Any,
    kind: str,
    name: str,
    found: Any,
    options: Any,
    given: str | None,
    returned: str | None,
) -> tuple[str | None, str | None] | None:
    """Of settings none, as they are in a table of settings.md; else one that parses."""
    from stc_core.frozen import Frozen

    if kind == "class" and issubclass(found, Frozen):
        return "(**values)", None
    return given and re.sub(r"<function (\w+)>", r"\1", given), returned


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", left_out)
    app.connect("autodoc-process-signature", signature)
