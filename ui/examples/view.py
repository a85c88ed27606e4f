"""The page Examples, below its title."""

from ui.cache.run_files import explained
from ui.examples.browse import TABLE, browse, own, which
from ui.examples.explanation import through, why
from ui.examples.pinned import show_pinned
from ui.examples.what_if import show_what_if
from ui.shell.frame import pick_run


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    chosen = browse(run) if which() == TABLE else own()
    if chosen is not None:
        text, truth = chosen
        found = explained(run, text)
        why(found, text, truth)
        through(run, found, text)
        show_pinned(run, found, text)
        show_what_if(run, found, text)
