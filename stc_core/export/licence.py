"""What the files of a backbone say of its licence, as a note for those who get it."""

import re
from pathlib import Path
from typing import NamedTuple

from stc_core.runs.run import Run

_CARD = "README.md"
_FILES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^licen[sc]e:\s*['\"]?([\w.+-]+)['\"]?\s*$", re.MULTILINE)


class Licence(NamedTuple):
    """The licence that a model card names, or '', and the texts of licence files."""

    name: str
    texts: dict[str, str]


def licence_of(folder: Path) -> Licence:
    """The licence of the model in `folder`, as its card and its licence files say."""
    texts = {path.name: _text(path) for path in _licence_files(folder)}
    card = folder / _CARD
    front = _FRONT_MATTER.search(_text(card)) if card.is_file() else None
    named = _LICENCE.search(front[1]) if front else None
    return Licence(named[1] if named else "", texts)


def copy_licence(root: Path, folder: Path) -> None:
    """Copy the card and the licence files of the model in `root` to `folder`."""
    for path in (root / _CARD, *_licence_files(root)):
        if path.is_file():
            is_named = path.suffix.lower() in (".md", ".txt")
            name = path.name if is_named else f"{path.name}.txt"
            (folder / name).write_text(_text(path) + "\n", encoding="utf-8")


def _licence_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name.upper().startswith(_FILES)
    ]


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace").strip()


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
