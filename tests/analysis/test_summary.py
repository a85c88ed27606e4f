"""The sentences say what the tables hold, and hedge what may be chance."""

import pytest

from helpers.frames import METRICS, curves, probe, probes
from stc_core.analysis.summary import layer_story

SURE = METRICS | {"test": METRICS["test"] | {"accuracy_interval": [0.841, 0.86]}}
"""The test accuracy is above the best baseline for sure."""


def sentences(**changes) -> str:
    given = {"probes": probes(), "curves": curves(), "metrics": METRICS} | changes
    metric = given.pop("metric", "accuracy")
    return "\n".join(
        layer_story(given["probes"], given["curves"], given["metrics"], metric=metric)
    )


def test_it_names_the_best_place_with_interval_and_n():
    said = sentences()
    assert "**layer 2**" in said and "`mlp.2`" in said and "pooled by max" in said
    assert "90.0 % of 120 validation texts" in said
    assert "86.0 to 93.0 %" in said


def test_it_measures_the_distance_to_the_last_layer():
    said = "**21.0 points** above the sparse probe of the last layer's hidden states"
    assert f"{said} (`resid.3`" in sentences()
    assert "chance" not in sentences(metrics=SURE)


def test_places_that_score_as_much_are_not_hidden():
    assert "have exactly this score" not in sentences()
    found = probes()
    found.loc[(found["layer"] == 0) & found["best"], "accuracy"] = 0.9
    said = "**3 of the 14 places** have exactly this score, the shallowest at layer 0"
    assert f"{said} (`resid.0`, " in sentences(probes=found)


def test_overlapping_intervals_are_said_and_no_more_made_of_it():
    found = probes()
    found.loc[found["site"] == "resid.3", "accuracy_high"] = 0.87
    told = sentences(probes=found, metrics=SURE)
    assert "though the two 95 % intervals overlap" in told and "chance" not in told


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((-0.01, 0.15), "(95 % of the difference on the same texts: -1.0 to +15.0)."),
        ((0.02, 0.12), "(TF-IDF words, 78.0 %)."),
    ],
)
def test_what_may_be_chance_is_told_by_the_same_texts(interval, said):
    """However far the two intervals overlap."""
    tfidf = METRICS["baselines"]["tfidf"] | {"lead_interval": interval}
    told = sentences(metrics=METRICS | {"baselines": {"tfidf": tfidf}})
    assert said in told
    assert ("may be chance" in told) == (interval[0] < 0)


def test_the_last_layer_can_be_the_best():
    found = probes()
    found.loc[(found["site"] == "resid.3") & found["best"], "accuracy"] = 0.95
    assert "No place is better than the hidden states of the last layer." in sentences(
        probes=found
    )


def test_it_says_how_few_neurons_and_layers_are_enough():
    said = sentences()
    assert "**8 neurons** are enough for 95 % of the score of the" in said
    assert "**layer 2 of 3**, which saves 33.3 % of the compute" in said
    assert (
        "layer 1 would keep 96.2 % of its score on validation and save 66.7 %" in said
    )


def test_all_neurons_can_be_needed():
    steep = curves()
    steep.loc[steep["neurons"] < 32, "accuracy"] = 0.1
    assert "All **32 kept neurons** are needed" in sentences(curves=steep)


def test_a_lucky_point_is_not_enough():
    bumpy = curves()
    bumpy.loc[bumpy["neurons"] == 4, "accuracy"] = 0.9
    bumpy.loc[bumpy["neurons"] == 8, "accuracy"] = 0.6
    assert "**16 neurons** are enough" in sentences(curves=bumpy)


def test_the_last_layer_saves_nothing():
    deep = curves()
    deep["chosen"] = (deep["curve"] == "depth") & (deep["layer"] == 3)
    said = sentences(curves=deep)
    assert "reads all 3 layers" in said
    assert "neurons** " not in said


def test_a_recipe_that_goes_on_is_not_what_the_curves_are_of():
    said = sentences(metrics=METRICS | {"recipe": "attention"})
    assert "The classifier reads" not in said
    assert "sparse classifier that this run began with reads up to **layer 2" in said


def test_macro_f1_is_told_without_interval():
    said = sentences(metric="macro_f1")
    assert "macro-F1 85.0 %" in said
    assert "95\u00a0%:" not in said


@pytest.mark.parametrize("kind", ["mlp"])
def test_without_hidden_states_there_is_no_last_layer_to_compare_with(kind):
    found = probes()
    assert "last layer's" not in sentences(probes=found.loc[found["kind"] == kind])


def test_one_probe_is_enough():
    import pandas as pd

    one = pd.DataFrame([probe(0, "resid", "mean", 0.5, C=1.0, best=True)])
    assert "**layer 0**" in sentences(probes=one)


def test_the_classifier_stands_beside_the_best_baseline_whoever_is_better():
    assert "accuracy 85.0 %, **7.0 points above** the best baseline" in sentences()
    assert (
        "(TF-IDF words, 78.0 %), though the two 95 % intervals overlap" in sentences()
    )
    assert "(TF-IDF words, 78.0 %)." in sentences(metrics=SURE)
    better = METRICS["baselines"]["tfidf"] | {"accuracy": 0.9}
    metrics = METRICS | {"baselines": METRICS["baselines"] | {"tfidf": better}}
    assert "**5.0 points below** the best baseline" in sentences(metrics=metrics)
    level = METRICS | {"baselines": {"tfidf": better | {"accuracy": 0.85}}}
    assert "**equal to** the best baseline" in sentences(metrics=level)
    assert "best baseline" not in sentences(metrics=METRICS | {"baselines": {}})
