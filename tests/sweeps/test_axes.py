"""Seeds as they are typed, and values that are given twice."""

import pytest

from stc_core.config import TrainConfig
from stc_core.errors import StcError
from stc_core.sweeps.axes import MOST_SWEPT_RUNS, SWEEP_AXES, once_each, parse_seeds


def test_every_axis_is_a_setting_with_one_value():
    for axis in SWEEP_AXES:
        assert axis in TrainConfig.model_fields
        assert not isinstance(getattr(TrainConfig(), axis), tuple)
    assert SWEEP_AXES[-1] == "seed"  # the option of the seeds has a type of its own


@pytest.mark.parametrize(
    ("typed", "seeds"),
    [
        (["3"], (3,)),
        (["0..4"], (0, 1, 2, 3, 4)),
        (["1,5, 9"], (1, 5, 9)),
        (["7..7", "0..1,4"], (7, 0, 1, 4)),
    ],
)
def test_seeds_are_numbers_lists_and_ranges(typed: list[str], seeds: tuple):
    assert parse_seeds(typed) == seeds


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("4..0", "got the empty range 4..0"),
        ("one", "got 'one'"),
        ("-1", "got '-1'"),
        ("0..", r"got '0\.\.'"),
        ("1,,2", "got ''"),
        (f"0..{MOST_SWEPT_RUNS}", "expected 1,000 runs at most; got 1,001"),
    ],
)
def test_what_is_no_seed_is_named(typed: str, words: str):
    with pytest.raises(StcError, match=words):
        parse_seeds([typed])


def test_a_value_that_is_given_twice_is_refused():
    assert once_each([2, 1], "--seed") == (2, 1)
    with pytest.raises(StcError, match="option --seed: expected each value once; got"):
        once_each([1, 2, 1], "--seed")
