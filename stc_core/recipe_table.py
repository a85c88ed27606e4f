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
    `baselines` are the names of its own baselines for people, and `page` is the title
    of the page that shows its result.
    """

    module: str
    sentence: str
    settings: tuple[str, ...] = ()
    tunes: bool = False
    levels: bool = False
    baselines: Mapping[str, str] = {}
    page: str = "Layers"


PRESETS: dict[str, str] = {
    "stc": "Finds the neurons that predict the labels: sparse probes of every layer, "
    "joint selection, calibrated. Recommended.",
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
}
"""Every recipe by its name."""


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
