"""The recipes, presets and repairs: what commands, service and app know of each.

A new recipe is one more record in `RECIPES`, and the module that it names. Nothing here
loads torch.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Recipe(NamedTuple):
    """One recipe, as far as it is known without its code.

    `module` is the module whose `CODE` does the work, a `registry.RecipeCode`.
    `sentence` says what it does and when to choose it. `settings` are the parts of
    TrainConfig that it uses. `tunes`: it begins like the recipe stc, and then trains
    another classifier, which replaces the selected neurons. `levels`: it answers level
    by level, so it needs labels of several levels, or a reply that it learns to write.
    `baselines` are the names of its own baselines for people, `page` is the title of
    the page that shows its result, and `then` says what follows the sparse half.
    """

    module: str
    sentence: str
    settings: tuple[str, ...] = ()
    tunes: bool = False
    levels: bool = False
    baselines: Mapping[str, str] = {}
    page: str = "Layers"
    then: str = "the tuning"

    @property
    def tunes_model(self) -> bool:
        """Whether it may change the weights of the language model."""
        return "tune" in self.settings


PRESETS: dict[str, str] = {
    "stc": "Finds the neurons that predict the labels: sparse probes of every layer, "
    "joint selection, calibrated.",
    "spin": "The published method, step by step, for comparison with stc.",
}
"""The ways to select neurons in the recipe stc, each with a sentence for people."""
RECIPES: dict[str, Recipe] = {
    "stc": Recipe("stc_core.recipes.sparse", PRESETS["stc"]),
    "attention": Recipe(
        "stc_core.recipes.attention.recipe",
        "Reads all words and layers of a text with attention. For labels that depend "
        "on a few words; shows which words it reads.",
        settings=("attention", "tune"),
        tunes=True,
        baselines={
            "mean": "All layers alike, mean of tokens",
            "max": "All layers alike, maximum of tokens",
            "last": "All layers alike, last token",
        },
    ),
    "variability": Recipe(
        "stc_core.recipes.variability",
        "Tunes the model up to the layer that separates the classes best, and drops "
        "the blocks above. More accurate, but takes longer to train.",
        settings=("tune",),
        tunes=True,
        baselines={"frozen": "Same layer, not tuned"},
        page="Adapt",
    ),
    "contrastive": Recipe(
        "stc_core.recipes.contrastive",
        "Tunes the model on pairs of texts, so that texts of one class come together. "
        "For few labelled texts, such as 8 or 16 of each class.",
        settings=("tune", "contrastive"),
        tunes=True,
        baselines={"frozen": "Same layer, not tuned"},
        page="Adapt",
    ),
    "hierarchy": Recipe(
        "stc_core.recipes.hierarchy.recipe",
        "Predicts all levels of labels together, so that they always fit. Coarse "
        "labels alone are predicted at an inner layer, which takes less time.",
        settings=("tune", "hierarchy"),
        tunes=True,
        levels=True,
        baselines={
            "flat": "Finest labels alone",
            "separate": "Each level alone",
            "inner_probe": "Probes of the same layers, not combined",
        },
        page="Hierarchy",
    ),
    "existing": Recipe(
        "stc_core.recipes.existing",
        "Opens a model that already has a classification head: its own answers, their "
        "errors and reasons, and what each of its layers knows. The model is not "
        "trained.",
        tunes=True,
        then="the answers of its own head",
    ),
}
"""Every recipe by its name."""


class Method(NamedTuple):
    """What people call a preset or a recipe, and what it costs, in a few words."""

    title: str
    cost: str


METHODS: dict[str, Method] = {
    "stc": Method("Sparse probes", "Seconds to minutes; exact explanations"),
    "spin": Method("SPIN as published", "Minutes; to compare with the paper"),
    "attention": Method("Attention over words and layers", "Minutes"),
    "variability": Method("Tune the last blocks", "Minutes; changes the model"),
    "contrastive": Method("Tune on pairs of texts", "A minute or more; for few texts"),
    "hierarchy": Method("All levels of labels together", "Minutes; levels always fit"),
    "existing": Method("Look inside a classifier that you have", "Seconds to minutes"),
}
"""Each preset and recipe that can be chosen."""
MEASURED: dict[str, dict[str, tuple[float, float]]] = {
    "sst2": {"stc": (77.4, 3.5), "variability": (77.8, 85.9), "attention": (77.0, 81)},
    "trec": {"stc": (89.6, 3.2), "variability": (90.1, 44.4), "attention": (89.3, 40)},
}
"""Accuracy in percent and seconds of each method: 600 training texts of each set,
all-MiniLM-L6-v2, means of three seeds, 2 cores (`benches/results/RESULTS.md`, adapt,
and the pages on methods)."""
PATHS_RIGHT: dict[str, tuple[float, float]] = {
    "trec": (81.8, 80.4),
    "clinc150": (83.7, 83.4),
    "edos": (75.6, 75.6),
}
"""Whole paths right, in percent, by class heads of all levels and by the finest labels
alone: 1,000 training texts, means of three seeds (the page on the hierarchy)."""


FEW_OF_A_CLASS = 16
"""With no more learned texts in the median class, tuning on pairs is recommended."""
FEW_RIGHT: dict[str, tuple[float, float]] = {
    "trec": (80.4, 68.5),
    "ag_news": (82.8, 80.3),
    "sst2": (62.6, 52.5),
}
"""Accuracy in percent by tuning on pairs and by sparse probes: 8 texts of each class,
means of the draws on the page on the recipe contrastive."""


def recommended(n_levels: int, *, texts: int | None = None) -> tuple[str, str]:
    """The method to try first for labels of so many levels, and why, in a sentence.

    `texts` is the number of learned texts in the median class.
    """
    if n_levels > 1:
        gains = [ours - flat for ours, flat in PATHS_RIGHT.values()]
        return "hierarchy", (
            f"Your labels have {n_levels} levels. On {_listed(PATHS_RIGHT)} it "
            f"got {min(gains):.1f} to {max(gains):.1f} points more whole paths right "
            "than the finest labels alone."
        )
    if texts is not None and texts <= FEW_OF_A_CLASS:
        gains = [ours - sparse for ours, sparse in FEW_RIGHT.values()]
        return "contrastive", (
            f"Most classes have {texts} texts or fewer to learn from. With 8 of each "
            f"class of {_listed(FEW_RIGHT)} it got {min(gains):.1f} to "
            f"{max(gains):.1f} points more than sparse probes, in a minute or more."
        )
    sets = MEASURED.values()
    behind = max(one["variability"][0] - one["stc"][0] for one in sets)
    ours = max(one["stc"][1] for one in sets)
    theirs = [one["variability"][1] for one in sets]
    return "stc", (
        f"On {_listed(MEASURED)} it came within {behind:.1f} points of tuning, in "
        f"{ours:.0f} s or less against {min(theirs):.0f} s or more."
    )


def _listed(names: Mapping[str, object]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"


class RepairWay(NamedTuple):
    """One way to change the rows of a table: the form of its value, and its effect."""

    form: str
    sentence: str


REPAIRS: dict[str, RepairWay] = {
    "first": RepairWay("SIGN", "Keep the first of several labels in a cell."),
    "levels": RepairWay("SIGN", "Read the labels in a cell as levels, coarse to fine."),
    "merge": RepairWay("LABEL=LABEL", "Read one label as another."),
    "leave-out-class": RepairWay("LABEL", "Leave out all rows with this label."),
    "leave-out": RepairWay(
        "no-text or no-label or conflicts or repeats or leaks",
        "Leave out the rows that have this fault.",
    ),
    "leave-out-below": RepairWay(
        "ROWS", "Leave out classes with fewer rows to learn from; 2 or more."
    ),
}
"""Every way to repair a table, in the order in which they are done."""
LEFT_OUT: dict[str, str] = {
    "no-text": "rows without a text",
    "no-label": "rows without a label",
    "conflicts": "texts that have several labels",
    "repeats": "repeats of a text with the same label",
    "leaks": "texts of test or validation that are in train too",
}
"""The faults for which rows are left out, in the order in which they are looked for."""
