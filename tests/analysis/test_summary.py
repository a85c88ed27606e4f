"""The sentences say what the tables hold, and hedge what may be chance."""

import pytest

from helpers.frames import METRICS, curves, learning, probe, probes
from helpers.probe_rows import guesses_of, table_of
from stc_core.analysis.best_probe import best_among, best_of_all, compare_probes
from stc_core.analysis.summary import (
    corrected,
    layer_findings,
    layer_story,
    more_rows,
)
from stc_core.display import interval, percent
from stc_core.metrics.best_of import BestOf
from stc_core.metrics.scores import Metric

SURE = METRICS | {
    "baselines": {
        name: scores | {"lead_interval": [0.01, 0.1]}
        for name, scores in METRICS["baselines"].items()
    }
}
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
        ((-0.01, 0.15), "TF-IDF words (78.0 %): +7.0 points, 95 %: −1.0 to +15.0."),
        ((0.02, 0.12), "**better than every baseline**; next is TF-IDF words"),
    ],
)
def test_what_may_be_chance_is_told_by_the_same_texts(interval, said):
    """However far the two intervals overlap."""
    tfidf = METRICS["baselines"]["tfidf"] | {"lead_interval": interval}
    told = sentences(metrics=METRICS | {"baselines": {"tfidf": tfidf}})
    assert said in told
    assert ("The difference may be chance" in told) == (interval[0] < 0)


def test_the_last_layer_can_be_the_best():
    found = probes()
    found.loc[(found["site"] == "resid.3") & found["best"], "accuracy"] = 0.95
    assert "No place is better than the hidden states of the last layer." in sentences(
        probes=found
    )


def test_it_says_how_few_neurons_and_layers_are_enough():
    said = sentences()
    assert (
        "**8 neurons** are enough for 95 % of the score. The classifier keeps" in said
    )
    assert "**layer 2 of 3**, which saves 33.3 % of the compute" in said
    assert (
        "layer 1 keeps 96.2 % of the score on held-out texts and saves 66.7 %" in said
    )


def test_each_finding_has_a_line_of_a_few_words():
    findings = layer_findings(probes(), curves(), METRICS)
    lines = [finding.line for finding in findings]
    assert "**8 neurons** are enough for 95 % of the score" in lines
    assert "**21.0 points** above the last layer's hidden states" in lines
    assert max(map(len, lines)) < 75
    assert [finding.sentence for finding in findings] == sentences().split("\n")


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
    assert "its best baseline, TF-IDF words (78.0 %): +7.0 points." in sentences()
    assert "It is not known whether that is chance." in sentences()
    told = sentences(metric="macro_f1")
    assert "points above** the best baseline" in told
    tfidf = METRICS["baselines"]["tfidf"]
    better = METRICS | {"baselines": {"tfidf": tfidf | {"macro_f1": 0.99}}}
    told = sentences(metrics=better, metric="macro_f1")
    assert "points below** the best baseline" in told
    assert "best baseline" not in sentences(metrics=METRICS | {"baselines": {}})


def story(accuracies: dict[int, float], metric: Metric = "accuracy", n_class: int = 2):
    guesses = guesses_of(accuracies)
    table = table_of(guesses)
    compared = compare_probes(table, guesses, metric, n_class=n_class)
    said = layer_story(table, curves(), METRICS, metric=metric, compared=compared)
    return said, compared


def test_an_older_run_says_that_its_best_score_is_not_corrected():
    assert (
        "best of 28 tried on these texts, so it is too high. It is not corrected"
        in sentences()
    )
    assert "not corrected" not in " ".join(story({0: 0.6, 1: 0.9})[0])


def test_a_layer_that_is_best_is_told_with_its_corrected_score():
    said, compared = story({0: 0.5, 1: 0.6, 2: 0.95, 3: 0.6})
    best = best_of_all(compared)
    assert said[0].startswith("The labels are read best at **layer 2**, from its ")
    assert f"accuracy **{percent(best.value)}** (95 %: " in said[0]
    assert interval((best.low or 0, best.high or 1)) in said[0]
    assert "corrected for being the best of 8 tried, which scored " in said[0]
    assert percent(best.raw) in said[0] and "cannot be told apart" not in said[0]
    last = best_among(compared, (compared.probes["layer"] == 3).to_numpy()).value
    gain = f"{100 * (best.value - last):.1f} points"
    assert f"The best place is **{gain}** above" in said[1]


def test_layers_that_chance_can_explain_are_named_together():
    said, _ = story({0: 0.5, 1: 0.79, 2: 0.81, 3: 0.8})
    assert said[0].startswith("The score is highest at **layer ")
    alike = "**layers 1 to 3 cannot be told apart** on 300 validation texts"
    assert alike in said[0]
    if "resid.3" not in said[0]:
        assert "cannot be told apart from the sparse probes of the last" in said[1]


def test_the_last_layer_is_not_compared_with_itself():
    said, _ = story({0: 0.5, 1: 0.95})
    assert said[1] == "No place is better than the hidden states of the last layer."


def test_macro_f1_is_corrected_or_says_why_it_has_no_interval():
    said, _ = story({0: 0.5, 1: 0.9}, "macro_f1")
    assert "macro-F1 **" in said[0] and "(95 %: " in said[0]
    few, _ = story({0: 0.5, 1: 0.9}, "macro_f1", n_class=3)
    assert "(no interval: 1 of 3 classes has fewer than 4 texts)" in few[0]


def test_the_words_of_a_corrected_score():
    found = BestOf(3, 117, 0.88, 0.851, 0.82, 0.891)
    assert corrected(found, "accuracy") == (
        "accuracy **85.1 %** (95 %: 82.0 to 89.1 %), corrected for being the best of "
        "117 tried, which scored 88.0 % on the same validation texts"
    )


def test_more_rows_are_told_with_their_bands():
    first, second = more_rows(learning())
    assert "about 81 % with the 682 rows of today" in first
    assert "with **300 more rows** about **84 %** (80 to 88)" in first
    assert "with **700 more rows** about **86 %** (81 to 91)" in first
    assert second == "The first 300 would add about 2.4 points (95 %: 0.8 to 3.3)."


def test_a_gain_that_may_be_none_is_doubted():
    _, second = more_rows(learning(gain_low=-0.01))
    assert second == (
        "It is not certain that they help: 700 would add about 4.2 points (95 %: −1.0 "
        "to 5.9)."
    )


def test_rows_that_bring_less_than_a_point_hardly_help():
    (said,) = more_rows(learning(gain=0.004, gain_low=0.0, gain_high=0.009))
    assert said == (
        "**More rows would hardly help**: 700 more would add about 0.4 points (95 %: "
        "0.0 to 0.9) to the accuracy."
    )
