"""The page Examples, below its title."""

from stc_core.runs.layout import RunFile
from ui.cache.run_files import explain_text
from ui.examples.browse import (
    TABLE,
    browse,
    choose_source,
    type_own_text,
)
from ui.examples.explanation import draw_explanation, draw_gradients
from ui.examples.head_choice import choose_head, say_whose_answer
from ui.examples.pinned import show_pinned
from ui.examples.what_if import show_what_if
from ui.shell.frame import pick_run


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    has_texts = run.has(RunFile.CORPUS)
    is_own = not has_texts or choose_source() != TABLE
    chosen = type_own_text() if is_own else browse(run)
    if chosen is not None:
        text, fold = chosen.text, choose_head(chosen)
        explanation = explain_text(run, text, fold)
        say_whose_answer(chosen, explanation)
        draw_explanation(run, explanation, text, chosen.label)
        draw_gradients(run, explanation, text)
        if has_texts:
            show_pinned(run, explanation, text)
        show_what_if(run, explanation, text)
