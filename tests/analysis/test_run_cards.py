"""A run on one line, and which runs are of the same data."""

import pytest

from helpers.run_cards import made
from stc_core.analysis.run_cards import (
    _facts,
    card_table,
    same_table,
    side_by_side,
    titles_of,
)


def test_a_card_holds_what_the_run_says():
    found = made(seed=3)
    assert (found.run, found.name, found.backbone) == ("r", "run r", "mini")
    assert (found.accuracy, found.low, found.high, found.n) == (0.8, 0.7, 0.9, 100)
    assert (found.depth, found.neurons, found.seed) == (3, 64, 3)
    assert found.table == ("a.csv", "500", "text", "topic")


@pytest.mark.parametrize(
    ("train", "way"),
    [({}, "stc"), ({"preset": "spin"}, "spin"), ({"recipe": "attention"}, "attention")],
)
def test_the_way_is_the_preset_or_else_the_recipe(train, way):
    assert made(**train).way == way


def test_runs_of_other_labels_or_other_rows_are_of_other_data():
    mine = made()
    cards = [mine, made("s", seed=1), made("t", label="mood"), made("u", rows=400)]
    assert [one.run for one in same_table(cards, mine)] == ["r", "s"]


def test_facts_stand_side_by_side():
    found = side_by_side(made(), made("s", seed=1)).set_index("fact")
    assert found.loc["Seed"].tolist() == ["0", "1"]
    assert found.loc["Accuracy, 95 %", "a"] == "70.0 to 90.0 %"
    assert list(found.index) == list(_facts(made()))


def test_a_table_of_cards_has_their_fields():
    found = card_table([made(), made("s")])
    assert found["run"].tolist() == ["r", "s"] and found["seconds"].iloc[0] == 61


def test_runs_that_are_called_alike_can_be_told_apart():
    cards = [made(), made("s")._replace(name="x"), made("t")._replace(name="x")]
    assert titles_of(cards) == {"r": "80.0 % · run r"} | {
        run: f"80.0 % · x ({run})" for run in "st"
    }
