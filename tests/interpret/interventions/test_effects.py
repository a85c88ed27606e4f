"""Changes inside the model against plain hooks on the plain model, for each family."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from helpers.models.classifiers import attention_classifier
from helpers.models.studied import CLASSES, LABELS, studied_classifier, study_on
from helpers.models.tiny import TEXTS, one_thread, tiny_backbone
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import Tree
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.interpret.interventions import effects
from stc_core.interpret.interventions.choice import (
    Intervention,
    neurons_of,
    parse_neurons,
)
from stc_core.interpret.interventions.edits import matched_sets
from stc_core.interpret.interventions.effect_records import CLASSIFIER, LAST_LAYER
from stc_core.interpret.interventions.effects import EffectStudy, study_of
from stc_core.interpret.interventions.sentences import effect_sentences, usage_sentences
from stc_core.interpret.interventions.usage import measure_usage
from stc_core.types import Feature, Site

assert one_thread
FAMILIES = ("bert", "albert", "gpt2", "llama", "t5", "bart", "bloom")


def hooked(backbone: Backbone, site: Site, columns: Any, value: float, text: str):
    """The states of one text, one neuron set to `value` by a hook of our own."""
    point = backbone._anatomy.points[site]
    calls = iter(range(9))

    def before(module, args, kwargs):
        if next(calls) != point.times:
            return None
        own = args[0] if args else kwargs["hidden_states"]
        new = own.clone()
        new[..., columns] = value
        return ((new, *args[1:]), kwargs) if args else (args, {"hidden_states": new})

    assert point.moment == "input"
    handle = point.module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        sites = list(backbone.sites)
        return backbone.token_activations(backbone.tokenize([text]).ids, sites)[0]
    finally:
        handle.remove()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["mlp.1", "resid.1"])
def test_zero_ablation_equals_a_plain_hook(family: str, name: str):
    model, site = studied_classifier(family), Site.parse(name)
    backbone = model.backbone_
    if site not in backbone.widths:
        pytest.skip(f"{family} has no {site}")
    own = study_on(model)
    after = own.answers(Intervention({site: np.array([1, 4, 5])}, "zero"))
    assert not np.allclose(after.features, own.before.features, atol=1e-3)
    for place, text in enumerate(TEXTS):
        states = hooked(backbone, site, [1, 4, 5], 0.0, text)
        states[site] = states[site].clone()
        states[site][:, [1, 4, 5]] = 0  # read before the plain hook has run
        for column, feature in enumerate(model.head_.features):
            values = states[feature.site][:, feature.index]
            expected = values.max() if feature.pooling == "max" else values.mean()
            assert after.features[place, column] == pytest.approx(
                float(expected), abs=2e-4
            )


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_patching_a_whole_layer_gives_the_donors_answer(family: str):
    """All above a layer is computed from it: its states alone decide the answer."""
    model = studied_classifier(family, ("resid.2",))
    backbone = model.backbone_
    lengths = [len(row) for row in backbone.tokenize(TEXTS).ids]
    text, donor = next(
        (TEXTS[i], TEXTS[j])
        for i in range(len(TEXTS))
        for j in range(i)
        if lengths[i] == lengths[j] and TEXTS[i] != TEXTS[j]
    )
    own = study_on(model)
    # A decoder also attends to its encoder, so only its last layer decides alone.
    layer = 1 if family != "t5" else backbone.n_layers
    whole = {Site(layer, "resid"): np.arange(backbone.d_model)}
    found = own.patch(text, donor, whole)
    assert found.aligned
    readers = (LAST_LAYER,) if family == "t5" else (CLASSIFIER, LAST_LAYER)
    for reader in readers:
        assert found.after[reader] == pytest.approx(found.donor[reader], abs=2e-3)
        assert found.after[reader] != pytest.approx(found.before[reader], abs=2e-2)
    same = own.patch(text, text, whole)
    assert same.after[CLASSIFIER] == pytest.approx(same.before[CLASSIFIER], abs=1e-4)


def test_texts_of_unequal_length_lend_their_mean():
    model = studied_classifier("bert")
    own = study_on(model)
    found = own.patch(TEXTS[0] + " " + TEXTS[1], "good", own.kept)
    assert not found.aligned
    assert found.after[CLASSIFIER] != found.before[CLASSIFIER]


def test_what_is_usual_is_counted_by_kind_of_token():
    model = studied_classifier("bert")
    backbone, own = model.backbone_, study_on(model)
    site = Site(1, "mlp")
    ids = backbone.tokenize(TEXTS).ids
    tokens = backbone.token_activations(ids, [site])
    rows = torch.cat([one[site] for one in tokens]).numpy()
    flat = np.concatenate(ids)
    added = sorted({2, 3})  # <s> and </s>
    for kind, mask in enumerate(
        [~np.isin(flat, added), flat == added[0], flat == added[1]]
    ):
        mean, sd = own.reference.mean[site][kind], own.reference.sd[site][kind]
        assert np.allclose(mean, rows[mask].mean(axis=0), atol=1e-4)
        assert np.allclose(sd, rows[mask].std(axis=0), atol=1e-3)
    donors = own.reference.donors[site][0].numpy()
    gaps = np.abs(donors[:, None] - rows[None]).max(axis=2).min(axis=1)
    assert gaps.max() < 1e-4, "every donor is a token that was read"


@pytest.mark.parametrize("how", ["mean", "resample", "zero"])
def test_an_answer_hangs_on_no_other_text(how: Any):
    model = studied_classifier("bert")
    own, alone = study_on(model), study_on(model, TEXTS[:1])
    changed = Intervention(own.kept, how)
    whole, one = own.answers(changed), alone.answers(changed)
    assert np.allclose(whole.features[:1], one.features, atol=1e-4)


def test_steering_moves_the_neurons_themselves_by_standard_deviations():
    model = studied_classifier("bert", ("resid.2",))
    own = study_on(model)
    site = Site(2, "resid")
    after = own.answers(Intervention({site: np.array([4])}, "steer", 2.0))
    column = model.head_.features.index(Feature(site, "mean", 4))
    moved = after.features[:, column] - own.before.features[:, column]
    ids, sd = model.backbone_.tokenize(TEXTS).ids, own.reference.sd[site][:, 4].numpy()
    for row, gained in zip(ids, moved, strict=True):
        kinds = np.select([row == 2, row == 3], [1, 2], 0)
        assert gained == pytest.approx(2 * sd[kinds].mean(), abs=1e-3)


def test_the_effect_is_split_and_set_beside_random_sets():
    model = studied_classifier("bert")
    own = study_on(model)
    seen: list[tuple[int, int]] = []
    neurons = own.of_layer(1)
    effect = own.effect(neurons, n_random=5, progress=lambda *at: seen.append(at))
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    after = own.answers(Intervention(neurons))
    was, now = own.before.logits[CLASSIFIER], after.logits[CLASSIFIER]
    first = effect.readers[0]
    rows, best = np.arange(len(TEXTS)), was.argmax(axis=1)
    margin = (now - now.mean(1, keepdims=True)) - (was - was.mean(1, keepdims=True))
    assert first.change == pytest.approx(np.abs(margin[rows, best]).mean(), rel=1e-5)
    assert first.flips == (was.argmax(1) != now.argmax(1)).sum()
    codes = np.array([CLASSES.index(label) for label in LABELS])
    assert first.before == pytest.approx((was.argmax(1) == codes).mean())
    assert len(first.random) == 5
    assert len(set(first.random)) > 1
    assert effect.through > 0
    # Neurons of the last layer that is read have nothing above them.
    top = own.effect(own.of_layer(2), n_random=0)
    assert top.through == pytest.approx(0, abs=1e-5)
    assert top.read == pytest.approx(top.readers[0].change, rel=1e-4)
    assert np.isnan(top.readers[0].percentile)
    said = effect_sentences(effect)
    assert len(said) == 2
    assert "5 random sets" in said[1]
    for random, words in (
        ([0.0] * 5, "more than all 5 random sets"),
        ([0.0] * 4 + [9.0], "more than 4 of 5 random sets"),
        ([9.0] * 5, "no more than any of 5 random sets"),
    ):
        last = next(one for one in effect.readers if one.reader == LAST_LAYER)
        changed = effect._replace(readers=(last._replace(change=1.0, random=random),))
        assert words in effect_sentences(changed)[1]
    record = effect.record()
    assert record["neurons"] == 8
    assert record["readers"][0]["by_class"].keys() == set(CLASSES)
    again = own.effect(neurons, n_random=5)
    assert again.record() == record


def test_matched_sets_are_of_the_same_sites_and_other_neurons():
    own = study_on(studied_classifier("bert"))
    neurons = {Site(1, "mlp"): np.array([0, 3, 9]), Site(2, "resid"): np.array([5])}
    sets = list(matched_sets(neurons, own.reference, n_sets=10, seed=3))
    for others in sets:
        for site, columns in neurons.items():
            assert len(others[site]) == len(columns) == len(set(others[site].tolist()))
            assert not set(others[site].tolist()) & set(columns.tolist())
    assert len({str(others) for others in sets}) > 5


def test_a_cancelled_study_leaves_nothing_in_the_model():
    model = studied_classifier("bert")
    own = study_on(model)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.effect(own.kept, n_random=3, progress=stop)
    assert np.allclose(own.answers(None).features, own.before.features)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_first_order_effect_is_exact_where_the_model_is_linear(family: str):
    """Nothing is above the top layer, and a mean is linear in the tokens."""
    model = studied_classifier(family, ("resid.2",))
    features = tuple(f for f in model.head_.features if f.pooling == "mean")
    kept = [model.head_.features.index(feature) for feature in features]
    head = model.head_
    model.head_ = SparseHead(
        features,
        head.mean[kept],
        head.sd[kept],
        head.weight[:, kept],
        head.bias,
        CLASSES,
    )
    own = study_on(model)
    usage = measure_usage(own, n_exact=4)
    for row in usage.table.to_dict("records"):
        one = neurons_of([Feature(Site.parse(row["site"]), "mean", row["index"])])
        exact = own.effect(one, n_random=0).readers[0].change
        assert row["effect"] == pytest.approx(exact, rel=1e-3, abs=1e-5)
    assert usage.exact_rank == pytest.approx(1)


def test_reading_and_use_are_told_apart():
    """One neuron is read but feeds nothing above; another is read by nothing."""
    model = studied_classifier("bert")
    own = study_on(model)
    usage = measure_usage(own, n_exact=6)
    table = usage.table
    assert len(table) == 12
    top = table["layer"] == 2
    centred = model.head_.weight - model.head_.weight.mean(axis=0)
    best = own.before.logits[CLASSIFIER].argmax(axis=1)
    parts = own.before.features * centred[best]
    for row in table.to_dict("records"):
        at = [
            place
            for place, feature in enumerate(model.head_.features)
            if (str(feature.site), feature.index) == (row["site"], row["index"])
        ]
        expected = np.abs(parts[:, at].sum(axis=1)).mean()
        assert row["readout"] == pytest.approx(expected, rel=1e-4)
    assert (table.loc[top, "effect_last_layer"] > 0).all()
    assert usage.exact_rank > 0.5
    assert len(usage_sentences(usage.record())) == 2
    assert usage.record()["texts"] == len(TEXTS)


@pytest.mark.parametrize("how", ["mean", "zero", "resample", "steer"])
def test_one_text_changes_as_it_does_among_others(how: Any):
    own = study_on(studied_classifier("bert"))
    neurons = own.top(3)
    steer = 2.0 if how == "steer" else 0.0
    found = own.change(TEXTS[0], neurons, how=how, steer=steer, n_random=4)
    # A text draws its donors by its place, so that of the first one is the same.
    among = own.answers(Intervention(neurons, how, steer)).logits
    for reader in own.readers:
        before, after = own.before.logits[reader][0], among[reader][0]
        assert [*found.before[reader].values()] == pytest.approx(before, abs=1e-4)
        assert [*found.after[reader].values()] == pytest.approx(after, abs=1e-4)
    label = next(iter(found.before[CLASSIFIER]))
    falls = found.random_falls(label)
    assert len(falls) == 4 and found.fall(label) not in falls
    with pytest.raises(StcError, match="at least one neuron"):
        own.change(TEXTS[0], {}, how="zero")


def test_what_cannot_be_changed_is_named():
    backbone = tiny_backbone("bert")
    with pytest.raises(StcError, match=r"neuron 'mlp.1'.*'mlp.3.1288'"):
        parse_neurons(["mlp.1"], backbone.widths)
    with pytest.raises(StcError, match=r"mlp.1 has .* neurons"):
        parse_neurons(["mlp.1.99999"], backbone.widths)
    with pytest.raises(StcError, match=r"mlp.77 is not a site"):
        parse_neurons(["mlp.77.0.max"], backbone.widths)
    assert parse_neurons(["mlp.1[3].max", "mlp.1.2", "mlp.1.3"], backbone.widths)[
        Site(1, "mlp")
    ].tolist() == [2, 3]
    own = study_on(studied_classifier("bert"))
    with pytest.raises(StcError, match="other than 0"):
        own.effect(own.kept, how="steer")
    with pytest.raises(StcError, match=r"mean, zero, resample, steer.*'best'"):
        own.effect(own.kept, how="best")
    with pytest.raises(StcError, match="a, b, c"):
        own.of_class("d")
    with pytest.raises(StcError, match=r"one with kept neurons: 1, .*; got 0"):
        own.of_layer(0)
    with pytest.raises(StcError, match="at least 1 neuron; got -3"):
        own.top(-3)
    with pytest.raises(StcError, match="linear head"):
        effects.linear_head_of(attention_classifier(2))
    model = studied_classifier("bert")
    with pytest.raises(StcError, match="one for each of"):
        EffectStudy(model, TEXTS, ["a"], reference_texts=TEXTS, reference_labels=LABELS)


def test_labels_of_a_hierarchy_are_named_as_the_classes_of_its_head():
    import pandas as pd

    tree = Tree((("x", "y"), ("p", "q", "p")), ((0, 0), (0, 0, 1)))
    paths = [("x", "p"), ("y", "p"), ("x", "q"), ("y", "q")]
    corpus = pd.DataFrame(paths, columns=["label_1", "label_2"], index=[3, 5, 6, 8])
    corpus["label"] = corpus["label_2"]
    found = effects.as_classes(SimpleNamespace(tree_=tree), corpus)
    assert found["label"].tolist() == ["x › p", "y › p", "q", "q"]
    assert found.index.tolist() == [3, 5, 6, 8]
    assert effects.as_classes(object(), corpus) is corpus


def test_a_study_of_a_corpus_takes_other_texts_than_it_learns_from():
    import pandas as pd

    model = studied_classifier("bert")
    n = len(TEXTS)
    corpus = pd.DataFrame(
        {
            "text": TEXTS,
            "label": LABELS,
            "split": ["test" if row % 3 == 0 else "train" for row in range(n)],
        }
    )
    own = study_of(model, corpus, n_texts=2)
    assert len(own.texts) == 2
    assert own.reference.n_texts == (corpus["split"] == "train").sum()
    with pytest.raises(StcError, match=r"one of test, train.*'validation'"):
        study_of(model, corpus, split="validation")
