"""Overlaps by hand, and chance against the hypergeometric distribution."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from stc_core.interpret.neuron_overlap import agreement, comparable, total


def neurons(*places: tuple[str, int], pooling: str = "mean") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "site": [site for site, _ in places],
            "layer": [int(site.rpartition(".")[2]) for site, _ in places],
            "index": [index for _, index in places],
            "pooling": pooling,
        }
    )


A = neurons(("resid.1", 0), ("resid.1", 1), ("mlp.1", 3), ("mlp.2", 0))
B = neurons(("resid.1", 1), ("resid.1", 2), ("mlp.1", 3), ("resid.3", 0))
WIDTHS = {"resid.1": 10, "mlp.1": 40, "mlp.2": 40, "resid.3": 10}


def test_overlap_by_layer():
    found = agreement(A, B, WIDTHS).set_index("layer")
    assert found.index.tolist() == [1, 2, 3]
    assert found.loc[1, ["a", "b", "both"]].tolist() == [3, 3, 2]
    assert found.loc[1, "jaccard"] == pytest.approx(2 / 4)
    # What one run alone reads is not shared.
    assert found.loc[2, ["a", "b", "both"]].tolist() == [1, 0, 0]
    assert found.loc[3, "jaccard"] == 0


def test_two_poolings_of_a_neuron_count_twice_as_everywhere():
    both = pd.concat([A, neurons(("mlp.1", 3), pooling="max")])
    found = agreement(both, B, WIDTHS).set_index("layer").loc[1]
    assert found[["a", "b", "both"]].tolist() == [4, 3, 2]
    assert found["chance"] == agreement(A, B, WIDTHS)["chance"][0]  # B has no max


def test_chance_is_hypergeometric_site_by_site():
    found = agreement(A, B, WIDTHS).set_index("layer").loc[1]
    sites = [hypergeom(10, 2, 2), hypergeom(40, 1, 1)]
    assert found["chance"] == pytest.approx(sum(one.mean() for one in sites))
    assert found["variance"] == pytest.approx(sum(one.var() for one in sites))
    assert found["times"] == pytest.approx(2 / found["chance"])


def test_random_choices_stay_at_chance():
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(40):
        a, b = (rng.choice(500, 100, replace=False) for _ in range(2))
        one, two = (neurons(*(("mlp.1", int(i)) for i in part)) for part in (a, b))
        ratios.append(agreement(one, two, {"mlp.1": 500})["times"].iloc[0])
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


def test_all_layers_together():
    found = total(agreement(A, B, WIDTHS))
    assert (found["a"], found["b"], found["both"]) == (4, 4, 2)
    assert found["jaccard"] == pytest.approx(2 / 6)


def test_an_unknown_width_leaves_chance_open():
    found = agreement(A, B, {"resid.1": 10})
    assert found["chance"].isna().to_numpy().any() and np.isnan(total(found)["times"])


def test_the_same_choice_agrees_wholly():
    assert set(agreement(A, A, WIDTHS)["jaccard"]) == {1.0}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"identity": "i"}, True),
        ({"identity": "k"}, False),
        ({"identity": "i", "tuned": "t"}, False),
    ],
)
def test_only_one_backbone_is_comparable(other, same):
    assert comparable({"identity": "i", "name": "here"}, other) is same
