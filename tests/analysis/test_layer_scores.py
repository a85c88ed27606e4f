"""What is drawn of the probes: one reading a place, of all classes or of one."""

import numpy as np
import pandas as pd
import pytest

from helpers.frames import probes
from stc_core.analysis.layer_scores import best_probes, mute_places, readings


def by_class() -> pd.DataFrame:
    """Class a is known everywhere, class b nowhere; c is not in validation."""
    rows = []
    for _, probe in best_probes(probes()).iterrows():
        place = {"site": probe["site"], "pooling": probe["pooling"]}
        for label, n, value in (("a", 30, 1.0), ("b", 90, 0.0), ("c", 0, np.nan)):
            scores = {"accuracy": value, "macro_f1": value, "auc": 0.5 + value / 2}
            bounds = {"accuracy_low": 0.1, "accuracy_high": 0.9}
            rows.append({**place, "label": label, "n": n, **scores, **bounds})
    return pd.DataFrame(rows)


def test_one_probe_is_best_per_site_and_pooling():
    best = best_probes(probes())
    assert len(best) == 14
    assert set(best["C"]) == {0.1}
    assert not best.duplicated(["site", "pooling"]).any()


def test_a_place_that_says_nothing_is_named_and_not_drawn():
    found = probes()
    mute = (found["site"] == "resid.0") & (found["pooling"] == "mean")
    found.loc[mute, "nonzeros"] = 0
    assert mute_places(found) == ["resid.0 by mean"] and not mute_places(probes())
    assert len(best_probes(found)) == 13
    points = readings(found)
    there = (points["kind"] == "resid") & (points["pooling"] == "mean")
    assert points.loc[there, "layer"].tolist() == [1, 2, 3]


def test_where_nothing_says_anything_all_is_drawn():
    assert len(best_probes(probes().assign(nonzeros=0))) == 14


def test_the_value_is_that_of_the_best_probe_with_its_interval():
    points = readings(probes())
    top = points.loc[points["value"].idxmax()]
    assert (top["site"], top["pooling"]) == ("mlp.2", "max")
    assert (top["value"], top["low"], top["high"]) == (0.9, 0.86, 0.93)
    assert np.isnan(points["control"].to_numpy()).all()
    f1 = readings(probes(), "macro_f1")
    np.testing.assert_allclose(f1["value"], points["value"] - 0.05)
    assert (
        np.isnan(f1["low"].to_numpy()).all() and np.isnan(f1["high"].to_numpy()).all()
    )


def test_a_class_has_its_own_scores_and_n():
    points = readings(probes(), by_class=by_class(), label="a")
    assert len(points) == 14
    assert set(points["value"]) == {1} and set(points["n"]) == {30}
    assert set(points["low"]) == {0.1} and set(points["C"]) == {0.1}
    nowhere = readings(probes(), by_class=by_class(), label="b")
    assert set(nowhere["value"]) == {0}


def test_a_class_without_texts_has_no_reading():
    assert readings(probes(), by_class=by_class(), label="c").empty


def test_the_auc_of_all_is_the_mean_of_those_that_are_known():
    points = readings(probes(), "auc", by_class=by_class())
    np.testing.assert_allclose(points["value"], 0.75)
    assert set(points["n"]) == {120}


def test_selectivity_is_what_is_over_the_control_of_the_same_place():
    control = probes()
    control["accuracy"] = 0.2 + 0.01 * control["layer"]
    points = readings(probes(), control=control)
    np.testing.assert_allclose(points["control"], 0.2 + 0.01 * points["layer"])
    less = readings(probes(), control=control, selectivity=True)
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(less[name], points[name] - points["control"])


@pytest.mark.parametrize("asked", [{"label": "a"}, {"score": "auc"}])
def test_a_control_is_of_all_classes_alone(asked):
    points = readings(probes(), by_class=by_class(), control=probes(), **asked)
    assert np.isnan(points["control"].to_numpy()).all()


def test_the_band_of_all_places_takes_the_place_of_single_intervals():
    places = probes()[["site", "pooling"]].drop_duplicates()
    ends = places.assign(low=0.05, high=0.95).iloc[1:]
    points = readings(probes(), "macro_f1", band=ends)
    assert set(points["low"].dropna()) == {0.05}
    assert int(np.isnan(points["low"].to_numpy(float)).sum()) == 1
    one = readings(probes(), by_class=by_class(), label="a", band=ends)
    assert 0.05 not in set(one["low"])
