"""What the files of a backbone say of its licence, as a note for those who get it."""

import re
from pathlib import Path
from typing import NamedTuple

from stc_core.runs.run import Run

_FILES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^licen[sc]e:\s*['\"]?([\w.+-]+)['\"]?\s*$", re.MULTILINE)


class Licence(NamedTuple):
    """The licence that a model card names, or '', and the texts of licence files."""

    name: str
    texts: dict[str, str]


def licence_of(folder: Path) -> Licence:
    """The licence of the model in `folder`, as its card and its licence files say.

    A bundle has a note of its own, which is passed on.
    """
    name, texts = "", {}
    for path in sorted(folder.iterdir()):
        stem = path.name.partition(".")[0].upper()
        if path.is_file() and stem.startswith(_FILES):
            texts[path.name] = path.read_text("utf-8", errors="replace").strip()
    for card in (folder / "README.md", folder.parent / "README.md"):
        if card.is_file() and not name:
            front = _FRONT_MATTER.search(card.read_text("utf-8", errors="replace"))
            named = _LICENCE.search(front[1]) if front else None
            name = named[1] if named else ""
    return Licence(name, texts)


def licence_note(run: Run, licence: Licence) -> str:
    """Markdown: whose work is in the bundle, and what is known of its licence."""
    backbone = run.metrics["backbone"]
    tuned = ", and were tuned" if "tuned" in backbone else ""
    told = (
        f"The card of that model names the licence `{licence.name}`."
        if licence.name
        else "The files of that model name no licence: look at its page before you "
        "pass this bundle on."
    )
    parts = [
        "# Licence",
        f"The weights and the tokenizer in `backbone/` come from the model "
        f"`{backbone['name']}` (identity `{backbone['identity'][:12]}`). They were cut "
        f"to the blocks that this classifier reads{tuned}. {told} Its terms also hold "
        "for this copy.",
        f"The classifier in `model/` was learned from `{run.config.data.path}`. The "
        "rights to that data are not known here.",
    ]
    for name, text in licence.texts.items():
        parts += [f"## {name}, of the model", text]
    return "\n\n".join(parts) + "\n"
