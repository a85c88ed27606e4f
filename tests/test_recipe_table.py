"""What is told of a method is what was measured: the tables of the documentation."""

from pathlib import Path

import pytest

from stc_core.recipe_table import (
    FEW_RIGHT,
    MEASURED,
    METHODS,
    PATHS_RIGHT,
    PRESETS,
    RECIPES,
    recommended,
)

PAGES = Path(__file__).parents[1] / "docs" / "methods"


def row(page: str, first: str) -> list[str]:
    """The cells of the first line of a table on `page` that begins with `first`."""
    lines = (PAGES / page).read_text("utf-8").splitlines()
    line = next(line for line in lines if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_every_method_has_a_title_and_a_cost():
    assert METHODS.keys() == PRESETS.keys() | RECIPES.keys()
    assert all(not one.cost.endswith(".") for one in METHODS.values())


@pytest.mark.parametrize(
    ("method", "page", "line"),
    [
        ("stc", "attention.md", "`stc`"),
        ("attention", "attention.md", "attention, frozen"),
        ("variability", "variability.md", "tuned, 3 blocks up to $l^*$"),
    ],
)
def test_what_was_measured_stands_in_the_documentation(method, page, line):
    cells = row(page, line)
    for place, name in enumerate(["sst2", "trec"]):
        assert MEASURED[name][method][0] == float(cells[place])
    assert MEASURED["sst2"][method][1] == float(cells[3].split(",")[0])


def test_whole_paths_stand_in_the_documentation():
    for name, pair in PATHS_RIGHT.items():
        assert list(pair) == [float(cell) for cell in row("hierarchy.md", name)[1:3]]


def test_few_texts_stand_in_the_documentation():
    for name, pair in FEW_RIGHT.items():
        cells = row("contrastive.md", f"{name} | 8")
        assert [float(cell.split(" ±")[0]) for cell in cells[2:4]] == list(pair)


def test_one_method_is_recommended_and_why():
    assert recommended(1) == (
        "stc",
        "On sst2 and trec it came within 0.5 points of tuning, in 4 s or less against "
        "44 s or more.",
    )
    assert recommended(1, texts=40)[0] == "stc"
    name, why = recommended(1, texts=8)
    assert name == "contrastive" and "8 texts or fewer" in why
    name, why = recommended(2)
    assert name == "hierarchy" and "0.0 to 1.4 points more whole paths" in why
