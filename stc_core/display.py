"""Numbers, names and progress as people read them."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stc_core.recipe_table import RECIPES

BASELINES: dict[str, str] = {
    "majority": "Most frequent class",
    "tfidf": "TF-IDF words",
    "last_layer": "Last layer, dense",
    "best_site": "Best single site",
    "all_sites": "All sites, dense",
    "own_head": "The model's own head",
    "stc": "Sparse neurons, not tuned",
}
for _recipe in RECIPES.values():
    BASELINES |= _recipe.baselines
MAY_BE_MISSING: dict[str, str] = {
    **BASELINES,
    "control": "The control of shuffled labels",
    "more_rows": "The learning curve",
}
"""What people call a part of a run that may be missing."""
OURS = "This classifier"


def percent(share: float | int) -> str:
    """'85.1 %' for a share of .851."""
    return f"{100 * share:.1f} %"


def formatted(value: float | int, form: str) -> str:
    """`value` in a format such as '+.1f', with the minus sign: '−0.3', not '-0.3'."""
    text = f"{value:{form}}"
    return f"−{text[1:]}" if text.startswith("-") else text


def count(n: int, what: str) -> str:
    """'1 text', '2,000 texts'; `what` is the word in the singular."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def interval(bounds: Sequence[float | int]) -> str:
    """A 95 % interval of a share: '85.1 to 89.9 %'."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def duration(seconds: float | int) -> str:
    """'0.4 s', '42 s', '3 min 20 s', '25 min', '2 h 5 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: float | int) -> str:
    """'812 B', '3.4 MB', '1.2 GB' (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def distinct_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """A distinct title for each key: equal titles get their key added.

    The options of a select box differ only in the text that it shows.
    """
    counts = Counter(titles.values())
    return {
        key: title if counts[title] == 1 else f"{title} ({key})"
        for key, title in titles.items()
    }


def baseline_name(key: str, metrics: Mapping[str, Any]) -> str:
    """The name of a baseline for people.

    The baseline of the last layer read is called by its number if it is not the model's
    last layer.
    """
    layer = metrics["baselines"][key].get("layer")
    if key == "last_layer" and layer not in (None, metrics["layers"]["total"]):
        return f"Layer {layer}, dense"
    return BASELINES.get(key) or key


class ProgressBar:
    """A progress that draws a bar, in a notebook or a terminal.

    It can be the `progress` of any function. A stage with another total begins a new
    bar. ::

        with ProgressBar("fit") as bar:
            model.fit(texts, labels, progress=bar)
    """

    def __init__(self, what: str = "", *, file: Any = None) -> None:
        """`what` stands before the bar; `file` is where it is drawn, else stderr."""
        with warnings.catch_warnings():
            # Without ipywidgets a notebook gets a bar of characters, which is enough.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

        self._tqdm, self._what, self._file = tqdm, what, file
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Draw that `done` of `total` are done."""
        if self._bar is None or self._bar.total != total or done < self._bar.n:
            self.close()
            self._bar = self._tqdm(total=total, desc=self._what, file=self._file)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar; it stays where it was drawn."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
