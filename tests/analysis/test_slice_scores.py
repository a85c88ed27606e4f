"""Scores by slice: each row is what its slice takes, and lengths have no gaps."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.slice_scores import length_bins, slice_scores
from stc_core.analysis.slices import Slice
from stc_core.frames import records

RNG = np.random.default_rng(0)
N = 120
TABLE = pd.DataFrame(
    {
        "text": ["w " * n for n in RNG.integers(1, 60, N)],
        "label": RNG.choice(["a", "b;c"], N),
        "correct": RNG.random(N) < 0.7,
    }
)
FACETS = pd.DataFrame({"column:chan=nel": RNG.choice(["mail", "", "chat"], N)})


def test_each_row_is_what_its_slice_takes():
    whole = pd.concat([TABLE, FACETS], axis=1)
    found = slice_scores(TABLE, FACETS)
    assert set(found["by"]) == {"class", "length", "chan=nel"}
    for row in records(found):
        mask = Slice.parse(row["slice"]).mask(whole)
        assert row["n"] == mask.sum()
        assert row["accuracy"] == TABLE["correct"][mask].mean()
        rest = TABLE["correct"][~mask].mean()
        assert row["from_rest"] == pytest.approx(row["accuracy"] - rest)
        assert row["low"] <= row["accuracy"] <= row["high"]
    assert list(found["high"]) == sorted(found["high"])
    for by in ("class", "length", "chan=nel"):
        assert found["n"].to_numpy()[found["by"] == by].sum() == N


def test_columns_of_the_user_may_be_called_as_ours():
    names = ("column:class", "column:length")
    facets = pd.DataFrame(dict.fromkeys(names, FACETS["column:chan=nel"]))
    found = slice_scores(TABLE, facets)
    prefixes = {text.split("=")[0] for text in found["slice"]}
    assert prefixes == {"label", "length", *names}


def test_one_slice_of_all_has_no_rest():
    table = TABLE.assign(text="one two", label="a")
    found = slice_scores(table, pd.DataFrame(index=FACETS.index))
    assert np.isnan(found["from_rest"].to_numpy()).all()
    assert found["slice"].tolist() == ["label=a", "length=0-"]


@pytest.mark.parametrize("top", [1, 3, 100])
def test_lengths_meet_and_hold_every_count(top):
    words = RNG.integers(0, top, 500)
    names = length_bins(words)
    bounds = sorted(
        (tuple(name.split("-")) for name in set(names)), key=lambda b: int(b[0])
    )
    assert bounds[0][0] == "0"
    assert bounds[-1][1] == ""
    for (_, end), (start, _) in pairwise(bounds):
        assert int(end) + 1 == int(start)
    for count, name in zip(words, names, strict=True):
        low, high = name.split("-")
        assert int(low) <= count <= int(high or count)


def test_lengths_are_about_as_many_each():
    _, counts = np.unique(length_bins(np.arange(1000)), return_counts=True)
    assert counts.min() >= 195
    assert len(length_bins(np.array([], dtype=int))) == 0
