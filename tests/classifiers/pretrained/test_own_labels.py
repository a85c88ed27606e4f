"""Labels of a head are matched with those of a table, or the message says how."""

import pytest
import torch

from stc_core.classifiers.pretrained.own_labels import LabelMatch, match_labels
from stc_core.errors import StcError


def test_names_match_whatever_their_case_and_signs():
    found = match_labels(["POSITIVE", "Very_Bad"], ["very bad", "positive"])
    assert found.pairs == {"POSITIVE": "positive", "Very_Bad": "very bad"}
    assert found.left_out == ()


def test_labels_without_a_name_match_numbers():
    found = match_labels(["LABEL_0", "LABEL_1"], ["0", "1"])
    assert found.pairs == {"LABEL_0": "0", "LABEL_1": "1"}
    five = [f"LABEL_{n}" for n in range(5)]
    with pytest.raises(StcError, match=r"--own-label LABEL_0=1"):
        match_labels(five, ["1", "2", "3", "4"])  # 1 to 5 stars, nobody gave 5
    with pytest.raises(StcError, match=r"--own-label LABEL_0=ham"):
        match_labels(["LABEL_0", "LABEL_1"], ["ham", "spam"])


def test_several_labels_may_stand_for_one_and_others_are_left_out():
    own = ["joy", "love", "anger", "neutral"]
    found = match_labels(own, ["neg", "pos"], ["joy=pos", "love=pos", "anger=neg"])
    assert found.left_out == ("neutral",)
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    shares = found.logits(logits).softmax(1)
    torch.testing.assert_close(shares, torch.tensor([[0.5, 0.5]]))


def test_a_match_of_all_keeps_the_logits():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    same = LabelMatch.of_all(["a", "b", "c", "d"])
    torch.testing.assert_close(same.logits(logits), logits)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("happy=pos", r"OWN=LABEL, with OWN of the head: joy, anger.*'happy=pos'"),
        ("joy=good", r"a label of the table: neg, pos.*'good'"),
        ("joy", r"OWN=LABEL, with OWN of the head: joy, anger"),
    ],
)
def test_a_wrong_pair_says_what_can_be_paired(given: str, said: str):
    with pytest.raises(StcError, match=f"--own-label.*{said}"):
        match_labels(["joy", "anger"], ["neg", "pos"], [given])


def test_two_labels_of_the_table_for_one_of_the_head_are_refused():
    with pytest.raises(StcError, match=r"one label.*for 'joy'; got 'pos' and 'neg'"):
        match_labels(["joy", "anger"], ["neg", "pos"], ["joy=pos", "joy=neg"])


def test_signs_in_labels_are_no_hindrance():
    found = match_labels(["a=b", "c"], ["x=y", "c"], ["a=b=x=y"])
    assert found.pairs == {"a=b": "x=y", "c": "c"}
