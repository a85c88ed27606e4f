"""The plan of a run: what it will take, and what it refuses beforehand."""

from typing import Any

import pytest

from helpers.models.tiny import tiny_backbone
from helpers.runs.small import small
from stc_core.data.corpus import Corpus, read_corpus
from stc_core.errors import StcError
from stc_core.recipes.planning import plan as planning

TWO_STAGE = {"schedule": "two-stage"}


@pytest.fixture(scope="module")
def corpus(messages) -> Corpus:
    return read_corpus(small(messages).data)


@pytest.fixture(scope="module")
def plan(messages, corpus, quick_survey) -> dict[str, Any]:
    """The plan of a sparse run."""
    return planning.plan(small(messages), corpus)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"recipe": "variability", "tune": {"method": "bottleneck"}}, "lora or full"),
        (
            {
                "recipe": "hierarchy",
                "hierarchy": {"tuned": True},
                "tune": {"method": "bottleneck"},
            },
            "lora or full",
        ),
        ({"recipe": "variability", "tune": {"layer": 99}}, "layer to tune at"),
        ({"recipe": "attention", "max_layer": 0, "attention": TWO_STAGE}, "max-layer"),
    ],
)
def test_a_plan_refuses_what_the_recipe_cannot_do_on_the_model(
    messages, corpus, settings, match
):
    config = small(messages, **settings)
    with pytest.raises(StcError, match=match):
        planning.plan(config, corpus, backbone=tiny_backbone("mixtral"))


def test_the_plan_says_what_it_will_take(plan, corpus):
    assert plan.keys() >= {
        *("n_texts", "n_tokens", "n_cut", "seconds", "seconds_extract"),
        *("memory_bytes", "disk_bytes", "sites", "layers", "backbone"),
    }
    assert plan["n_texts"] == len(corpus.texts) == 240
    assert plan["sites"] == 3 and plan["layers"] == 6
    assert plan["seconds"] > plan["seconds_extract"] > 0
    assert plan["disk_bytes"] >= 240 * 3 * 384 * 2


def test_the_plan_of_a_tuning_says_what_that_takes_too(
    messages, corpus, plan, quick_survey
):
    assert "seconds_tune" not in plan
    tuned = planning.plan(small(messages, recipe="variability"), corpus)
    phases = [seconds for name, seconds in tuned.items() if name.startswith("seconds_")]
    assert tuned["seconds"] == pytest.approx(sum(phases))
    assert 0 < tuned["seconds_tune"] < tuned["seconds"]
