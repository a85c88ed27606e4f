"""Faithfulness over neurons: against plain ablation, and exact where it is linear."""

from typing import Any

import numpy as np
import pytest

from helpers.models.studied import studied_classifier, study_on
from stc_core.heads.head import softmax
from stc_core.heads.word_readout import WordReadout
from stc_core.interpret.faithfulness import over_neurons
from stc_core.interpret.faithfulness.over_neurons import faithfulness_over_neurons
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS, LEFT_OUT, READOUT
from stc_core.interpret.interventions.choice import Intervention
from stc_core.interpret.interventions.effect_records import CLASSIFIER
from stc_core.interpret.interventions.usage import readout_parts
from stc_core.types import Site


def scores_of(found: Any) -> dict[str, Any]:
    return {one.method: one for one in found.methods}


def test_the_strongest_neurons_get_their_mean_as_in_an_ablation():
    study = study_on(studied_classifier("bert"), ["good film with a great plot"])
    (batch,) = study.batches
    parts = readout_parts(study, study.kept, batch)[0]
    places = [(site, int(i)) for site, own in study.kept.items() for i in own]
    before = study.before.logits[CLASSIFIER][0]
    code = int(before.argmax())
    whole = softmax(before[None])[0, code]
    expected = []
    for count in (1, 1, 2, 3, 6):
        chosen = [places[at] for at in np.argsort(-parts, kind="stable")[:count]]
        neurons = {
            site: np.array(sorted(i for s, i in chosen if s == site))
            for site in sorted({site for site, _ in chosen})
        }
        after = study.answers(Intervention(neurons)).logits[CLASSIFIER]
        expected.append(whole - softmax(after)[0, code])
    found = faithfulness_over_neurons(study)
    ours = scores_of(found)[READOUT]
    assert ours.curve_without == pytest.approx(expected, abs=1e-5)
    assert found.mean_parts == 12
    assert scores_of(found).keys() == ATTRIBUTIONS.keys()


def test_words_beside_the_neurons_stay_whatever_the_neurons_get():
    """The probability starts at that of the classifier; words add the same to all."""
    model = studied_classifier("bert")
    weight = np.array([[3.0, 0.0], [0.0, 0.0], [0.0, -2.0]], np.float32)
    model.words_ = WordReadout(("good", "film"), weight)
    texts = ["good film with a great plot", "film with a plot"]
    study = study_on(model, texts)
    batch = study.batches[0]
    text = [texts[place] for place in batch.places]
    nothing = np.zeros((1, len(text), 12), bool)
    (before,) = over_neurons._answers(study, study.kept, batch, nothing)
    assert before == pytest.approx(model.logits(text), abs=1e-4)
    (after,) = over_neurons._answers(study, study.kept, batch, ~nothing)
    (bare,) = over_neurons._answers(
        study_on(studied_classifier("bert"), texts), study.kept, batch, ~nothing
    )
    assert after - bare == pytest.approx(model.words_.logits(text), abs=1e-4)
    label = before.argmax(axis=1)
    found = scores_of(faithfulness_over_neurons(study))[READOUT]
    assert len(label) and np.isfinite(found.comprehensiveness.mean)
    # The parts of the neurons, the words and the bias sum to the margin.
    parts = readout_parts(study, study.kept, batch).sum(axis=1)
    rows = np.arange(len(label))
    rest = model.words_.logits(text) + study.head.bias
    margin = (before - before.mean(axis=1, keepdims=True))[rows, label]
    constant = (rest - rest.mean(axis=1, keepdims=True))[rows, label]
    assert parts + constant == pytest.approx(margin, abs=1e-3)


def test_where_nothing_is_above_all_causes_agree():
    """A head on means of the last layer is linear in its neurons."""
    model = studied_classifier("bert", ("resid.2",))
    head, kept = model.head_, []
    for place, feature in enumerate(head.features):
        if feature.pooling == "mean":
            kept.append(place)
    model.head_ = head._replace(
        features=tuple(head.features[place] for place in kept),
        mean=head.mean[kept],
        sd=head.sd[kept],
        weight=head.weight[:, kept],
    )
    study = study_on(model)
    batch = study.batches[0]
    values = over_neurons._attributions(study, study.kept, batch, seed=0, exact=True)
    exact = values[LEFT_OUT]
    assert np.abs(exact).max() > 0.01
    for name in ("gradient_from_mean", "integrated_gradients"):
        assert values[name] == pytest.approx(exact, abs=1e-4)
    found = scores_of(faithfulness_over_neurons(study))
    assert found["gradient_from_mean"].curve_without == pytest.approx(
        found[LEFT_OUT].curve_without, abs=1e-5
    )


def test_integrated_gradients_of_a_site_sum_to_the_effect_of_its_neurons():
    study = study_on(studied_classifier("bert", ("mlp.1", "resid.2")))
    batch, site = study.batches[0], Site(1, "mlp")
    values = over_neurons._attributions(study, study.kept, batch, seed=0, exact=False)
    own = values["integrated_gradients"][:, : len(study.kept[site])].sum(axis=1)
    before = study.before.logits[CLASSIFIER][batch.places]
    after = study.answers(Intervention({site: study.kept[site]})).logits[CLASSIFIER]
    label = before.argmax(axis=1)
    margins = [
        one[np.arange(len(label)), label] - one.mean(axis=1)
        for one in (before, after[batch.places])
    ]
    gone = margins[0] - margins[1]
    assert own == pytest.approx(gone, abs=float(0.05 * np.abs(gone).max() + 0.02))


def test_too_many_single_ablations_are_not_made(monkeypatch):
    monkeypatch.setattr(over_neurons, "MOST_OCCLUSIONS", 10)
    study = study_on(studied_classifier("gpt2"))
    found = faithfulness_over_neurons(study)
    assert LEFT_OUT not in scores_of(found)
    assert "at most 10" in found.missing[LEFT_OUT]
    assert found.same_top is None
