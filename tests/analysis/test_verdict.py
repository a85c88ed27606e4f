"""Better than, level with or worse than its baselines, in one sentence."""

from typing import Any

import pytest

from helpers.metrics import whole_metrics
from stc_core.analysis.verdict import result_verdict


def metrics(**baselines: Any) -> Any:
    """A result of 80 % beside baselines: their accuracy and the lead's interval."""
    found: Any = whole_metrics()
    found["test"]["accuracy"] = 0.8
    found["baselines"] = {
        name: {"accuracy": value} | ({"lead_interval": lead} if lead else {})
        for name, (value, lead) in baselines.items()
    }
    return found


@pytest.mark.parametrize(
    ("lead", "standing", "said"),
    [
        ((0.005, 0.035), "better", "**better than every baseline**; next is All sites"),
        (
            (-0.01, 0.05),
            "level",
            ": +2.0 points, 95 %: −1.0 to +5.0. The difference may be chance.",
        ),
        ((-0.05, -0.01), "worse", "**worse than a baseline**, All sites, dense"),
        (None, "unknown", "It is not known whether that is chance."),
    ],
)
def test_it_stands_by_the_paired_interval_of_the_best(lead, standing, said):
    found = result_verdict(metrics(majority=(0.5, (0.2, 0.4)), all_sites=(0.78, lead)))
    assert (found.standing, found.baseline) == (standing, "all_sites")
    assert said in found.sentence and "78.0 %" in found.sentence


def test_without_baselines_it_says_so():
    found = result_verdict(metrics())
    assert found.standing == "unknown" and "no baseline" in found.sentence
