"""The leads over baselines are those of the classifier of the run."""

import numpy as np
import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.metrics.paired import compare_paired
from stc_core.recipes.leads import answers_of, with_leads, write_answers
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

Y = np.array([0, 1, 0, 1, 1, 0, 1, 1])
OURS = np.array([0, 1, 0, 1, 1, 0, 0, 0])
THEIRS = np.array([0, 0, 0, 1, 0, 0, 1, 0])


def test_a_lead_is_computed_anew():
    before = {"tfidf": {"accuracy": 0.6, "lead_interval": (0.9, 1.0)}}
    found = with_leads(before, {"tfidf": THEIRS}, Y, OURS)
    expected = compare_paired(THEIRS == Y, OURS == Y)
    assert found["tfidf"]["lead_interval"] == (expected.low, expected.high)
    assert before["tfidf"]["lead_interval"] == (0.9, 1.0)


def test_without_answers_there_is_no_lead():
    """That of another classifier would say nothing of this one."""
    before = {"tfidf": {"accuracy": 0.6, "lead_interval": (0.9, 1.0)}}
    assert with_leads(before, {}, Y, OURS) == {"tfidf": {"accuracy": 0.6}}


def test_answers_are_kept(tmp_path):
    config = RunConfig(data=DataConfig(path="none.csv"))
    with RunWriter(tmp_path / "run", config) as writer:
        write_answers(writer, {"tfidf": THEIRS, "stc": OURS})
    found = answers_of(Run(tmp_path / "run"))
    assert list(found) == ["tfidf", "stc"]
    np.testing.assert_array_equal(found["stc"], OURS)


def test_older_runs_have_no_answers(tmp_path):
    assert answers_of(Run(tmp_path)) == {}


@pytest.mark.parametrize("name", ["stc", "frozen"])
def test_a_tuned_run_leads_over_what_it_began_with(tuned_folder, name: str):
    """The interval holds the difference of the two accuracies that the run tells."""
    metrics = Run.open(tuned_folder).metrics
    scores = metrics["baselines"][name]
    low, high = scores["lead_interval"]  # pyright: ignore
    gap = metrics["test"]["accuracy"] - scores["accuracy"]
    assert low < gap < high
