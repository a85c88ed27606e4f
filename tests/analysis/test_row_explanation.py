"""A row of a run is explained by the head that predicted it."""

import numpy as np
import pytest

from stc_core.analysis.examples import FINAL, judge_line
from stc_core.analysis.row_explanation import example_at, explain_row
from stc_core.errors import StcError
from stc_core.frames import records
from stc_core.interpret.explanation import check_sum, neuron_parts
from stc_core.runs.run import Run


@pytest.fixture(scope="module")
def run(run_folder) -> Run:
    return Run.open(run_folder)


@pytest.fixture(scope="module")
def classifier(run):
    return run.classifier()


def rows(run: Run, split: str, n: int) -> list[int]:
    table = run.predictions
    return table.loc[table["split"] == split, "row"].iloc[:n].tolist()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_prediction_and_explanation_are_of_one_head(run, classifier, split):
    """Some of these texts are wrong, and the final head knows them all."""
    table = run.predictions
    for example in rows(run, split, 8):
        told = explain_row(run, example, classifier=classifier)
        shares = [told["probabilities"][name] for name in run.metrics["classes"]]
        expected = table.filter(like="p:").to_numpy()[example]
        np.testing.assert_allclose(shares, expected, atol=2e-3)
        assert told["label"] == table["predicted"][example]
        assert told["fold"] == table["fold"][example]
        assert (told["fold"] == FINAL) == (split == "test")
        assert check_sum(told, told["label"]).exact


def test_the_final_head_is_another_choice(run, classifier):
    table = run.predictions
    example = int(table.loc[(table["fold"] >= 0) & ~table["correct"], "row"].iloc[0])
    told = explain_row(run, example, final=True, classifier=classifier)
    alone = classifier.explain(run.corpus["text"][example])
    assert told["probabilities"] == alone["probabilities"]
    assert told["judged_by"].endswith("which has learned this text.")
    own = explain_row(run, example, classifier=classifier)
    assert own["judged_by"] == "By a classifier made without this text."
    assert own["probabilities"] != told["probabilities"]


def test_neurons_of_another_head_have_their_number_in_the_run(run, classifier):
    example, neurons = rows(run, "train", 1)[0], run.neurons
    told = explain_row(run, example, classifier=classifier)
    numbers = [row["number"] for row in told["neurons"]]
    kept = {
        (row["site"], row["index"], row["pooling"]): number
        for number, row in enumerate(records(neurons))
    }
    expected = [
        kept.get((row["site"], row["index"], row["pooling"])) for row in told["neurons"]
    ]
    assert numbers == expected and set(numbers) != {None}
    parts = neuron_parts(told, told["label"])
    assert int(parts["neuron"].isna().to_numpy().sum()) == numbers.count(None)


def test_an_older_run_has_the_final_head_alone(run, classifier, monkeypatch):
    older = run.predictions.drop(columns=["fold"])
    monkeypatch.setattr(Run, "predictions", older)
    told = explain_row(run, rows(run, "train", 1)[0], classifier=classifier)
    assert told["fold"] == FINAL and "has learned this text" in told["judged_by"]


def test_a_row_is_found_by_its_number_in_the_table(run):
    place = run.corpus["row"].tolist()
    assert example_at(run, place[5]) == 5
    with pytest.raises(StcError, match="row 99999: expected a row of the table that"):
        example_at(run, 99999)


def test_the_sentence_says_what_the_head_has_seen():
    assert "not seen" in judge_line("test", fold=FINAL, held=False)
    assert "made with this text" in judge_line("validation", fold=FINAL, held=False)
    assert "has learned" in judge_line("validation", fold=FINAL, held=True)
    assert "has learned" in judge_line("train", fold=FINAL, held=False)
    assert "made without" in judge_line("train", fold=2, held=True)
