"""The page Examples, below its title."""

from ui.cache.run_files import explain
from ui.examples.browse import TABLE, browse, own, which
from ui.examples.explanation import through, why
from ui.examples.pinned import beside
from ui.examples.what_if import panels
from ui.shell.frame import pick_run


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    chosen = browse(run) if which() == TABLE else own()
    if chosen is not None:
        text, truth = chosen
        found = explain(run, text)
        why(found, text, truth)
        through(run, found, text)
        beside(run, found, text)
        panels(run, found, text)
