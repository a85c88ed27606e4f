"""The best probe of a run, corrected, and the places that may be best."""

import numpy as np
import pandas as pd
import pytest

from helpers.probe_rows import guesses_of, table_of
from stc_core.analysis.best_probe import (
    band,
    best_among,
    best_of_all,
    compare_probes,
    contenders,
    layer_ranges,
)
from stc_core.metrics.best_of import best_of
from stc_core.metrics.resampling import resample_scores
from stc_core.metrics.scores import Metric

ACCURACIES = {0: 0.5, 1: 0.79, 2: 0.81, 3: 0.8}


def compared(metric: Metric = "accuracy", **accuracies):
    guesses = guesses_of(accuracies.get("of", ACCURACIES))
    return compare_probes(table_of(guesses), guesses, metric, n_class=2)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_best_of_all_counts_every_c(metric) -> None:
    found = compared(metric)
    best, guesses = best_of_all(found), found.guesses
    drawn = resample_scores(guesses.label, guesses.predicted, metric)
    assert best == best_of(guesses.label, guesses.predicted, drawn, metric)
    assert best.tried == len(found.probes) == 8 and best.value < best.raw


def test_the_best_of_a_layer_is_of_fewer() -> None:
    found = compared()
    kept = (found.probes["layer"] == 1).to_numpy()
    best = best_among(found, kept)
    assert best.tried == 2 and best.raw == found.probes.loc[kept, "accuracy"].max()


def test_places_that_chance_can_explain_may_all_be_best() -> None:
    assert set(contenders(compared())["layer"]) == {1, 2, 3}
    clear = contenders(compared(of={0: 0.5, 1: 0.6, 2: 0.95, 3: 0.6}))
    assert clear["site"].tolist() == ["resid.2"]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_band_is_wider_than_intervals_of_one(metric) -> None:
    found = compared(metric)
    ends = band(found).set_index("site")
    best = found.probes.loc[found.probes["best"]].set_index("site")
    for site, row in best.iterrows():
        low, high = ends.loc[site, ["low", "high"]].astype(float)
        assert low < row[metric] < high
        if metric == "accuracy":
            assert high - low > row["accuracy_high"] - row["accuracy_low"]


def test_a_score_without_interval_has_no_band() -> None:
    guesses = guesses_of(ACCURACIES)
    found = compare_probes(table_of(guesses), guesses, "macro_f1", n_class=3)
    assert np.isnan(band(found)[["low", "high"]].to_numpy()).all()
    assert best_of_all(found).reason == "1 of 3 classes has fewer than 4 texts"


def test_the_order_of_the_table_does_not_matter() -> None:
    found = compared(of={0: 0.5, 1: 0.95, 2: 0.6, 3: 0.7})
    order = np.random.default_rng(0).permutation(len(found.probes))
    mixed = compare_probes(
        found.probes.iloc[order],
        found.guesses._replace(predicted=found.guesses.predicted[order]),
        "accuracy",
        n_class=2,
    )
    assert contenders(mixed)["site"].tolist() == ["resid.1"]
    pd.testing.assert_frame_equal(band(mixed), band(found), atol=0.02)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([4], "layer 4"),
        ([4, 3], "layers 3 and 4"),
        ([3, 4, 5, 6, 6], "layers 3 to 6"),
        ([1, 3, 5, 6, 7], "layers 1, 3 and 5 to 7"),
        ([0, 2, 3], "layers 0, 2 and 3"),
    ],
)
def test_layers_in_words(layers, words) -> None:
    assert layer_ranges(layers) == words
