"""What is said of the faithfulness holds the numbers, and who is best."""

from typing import Any

from helpers.frames import faithful_part
from stc_core.interpret.faithfulness.sentences import faithfulness_sentences


def said(**changes: Any) -> str:
    return " ".join(faithfulness_sentences(faithful_part(**changes), "words"))


def test_where_ours_is_not_the_best_it_is_said():
    found = said(best=0.5, ahead=(0.1, 0.05, 0.15))
    assert "Ours is not the best here" in found
    assert "the words that come first by leaving one out take away" in found
    assert "0.10 (95 %: 0.05 to 0.15)" in found
    assert "in a random order by 0.03" in found
    assert "43.0 % of the texts" in found


def test_a_small_lead_may_be_chance_and_ours_may_be_best():
    assert "may be chance" in said(best=0.41, ahead=(0.01, -0.02, 0.04))
    assert "No other explanation" in said(best=0.3, ahead=(-0.1, -0.2, -0.05))


def test_what_was_not_measured_has_its_reason():
    assert "Gradient × input was not measured: two stacks." in said(
        missing={"gradient_input": "two stacks"}
    )
