"""Cards of finished runs: which are of the same data, side by side, as a table."""

from helpers.run_cards import made
from stc_core.analysis.run_cards import (
    card_table,
    same_table,
    side_by_side,
    table_of,
    titles_of,
)
from stc_core.data.columns import Columns
from stc_core.data.findings import Report


def test_data_is_known_by_its_file_rows_texts_and_finest_label():
    columns = Columns(text="text", labels=("area", "topic"), split=None, id=None)
    source = {"name": "a.csv"}
    report = Report(n_rows=500, n_used=400, columns=columns, classes={}, source=source)
    assert table_of(report) == ("a.csv", "500", "text", "topic")


def test_runs_of_other_labels_or_other_rows_are_of_other_data():
    mine = made()
    cards = [mine, made("s", seed=1), made("t", label="mood"), made("u", rows=400)]
    assert [one.run for one in same_table(cards, mine)] == ["r", "s"]


def test_facts_stand_side_by_side():
    found = side_by_side(made(), made("s", seed=1, method="spin")).set_index("fact")
    assert found["a"].to_dict() == {
        "Language model": "mini",
        "Method": "stc",
        "Seed": "0",
        "Layers read": "3 of 6",
        "Neurons kept": "64 of 1,024",
        "Test accuracy": "80.0 %",
        "95 % interval": "70.0 to 90.0 %",
        "Macro-F1": "75.0 %",
        "ECE": "4.0 %",
        "Test texts": "100",
        "Compute per token": "2.0 MFLOP",
        "Parameters kept": "5.0 M",
        "Training took": "1 min 1 s",
    }
    assert found.loc[["Method", "Seed"], "b"].tolist() == ["spin", "1"]


def test_a_table_of_cards_has_what_a_chart_draws():
    found = card_table([made(), made("s", method="spin")])
    assert found["run"].tolist() == ["r", "s"] and found["seconds"].iloc[0] == 61
    assert found["way"].tolist() == ["stc", "spin"]
    assert found.loc[0, ["low", "accuracy", "high"]].tolist() == [0.7, 0.8, 0.9]


def test_runs_that_are_called_alike_can_be_told_apart():
    cards = [made(), made("s", name="x"), made("t", name="x")]
    assert titles_of(cards) == {"r": "80.0 % · run r"} | {
        run: f"80.0 % · x ({run})" for run in "st"
    }
