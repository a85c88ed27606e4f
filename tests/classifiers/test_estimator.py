"""Texts in, labels and reasons out: on tiny backbones of several families."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline

from helpers.models.tiny import WORDS, one_thread, tiny_backbone, tiny_model
from stc_core.activations.extract import extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import (
    SparsifyThenClassify,
    _check_labels,
    check_texts,
)
from stc_core.classifiers.persistence import load_words
from stc_core.errors import StcError

assert one_thread
FAMILIES = ["bert", "gpt2", "t5", "bart"]
OTHERS = [word for word in WORDS if word not in ("refund", "login")]


def corpus(n: int = 80) -> tuple[list[str], np.ndarray]:
    """Texts about a refund or a login among random words, each told by its word."""
    rng = np.random.default_rng(0)
    labels = np.array(["access", "money"])[np.arange(n) % 2]
    word = {"money": "refund", "access": "login"}
    texts = []
    for label in labels:
        around = list(rng.choice(OTHERS, rng.integers(2, 8)))
        around.insert(rng.integers(len(around) + 1), word[label])
        texts.append(" ".join(around))
    return texts, labels


TEXTS, LABELS = corpus()


def make(family: str = "bert", **arguments: Any) -> SparsifyThenClassify:
    return SparsifyThenClassify(tiny_backbone(family), **arguments)


@pytest.fixture(scope="module")
def fitted() -> SparsifyThenClassify:
    return make().fit(TEXTS, LABELS)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_explains_to_the_logit(family):
    model = make(family).fit(TEXTS, LABELS)
    assert model.classes_.tolist() == ["access", "money"]
    assert np.mean(model.predict(TEXTS) == LABELS) > 0.7
    P = model.predict_proba(TEXTS)
    assert P.shape == (len(TEXTS), 2)
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(model.classes_[P.argmax(1)], model.predict(TEXTS))
    for text in TEXTS[:5]:
        check_explanation(model, text)


def check_explanation(model: SparsifyThenClassify, text: str) -> None:
    """Neurons, and tokens too, sum with the bias to the logits of the prediction."""
    told = model.explain(text)
    logits = model.logits([text])[0]
    P = model.predict_proba([text])[0]
    assert told["label"] == model.predict([text])[0]
    for k, name in enumerate(model.classes_):
        assert told["logits"][name] == pytest.approx(logits[k], abs=1e-4)
        assert told["probabilities"][name] == pytest.approx(P[k], abs=1e-4)
        read = [*told["neurons"], *told.get("words", ())]
        for parts in (read, told["tokens"]):
            total = sum(part["contribution"][name] for part in parts)
            assert total + told["bias"][name] == pytest.approx(logits[k], abs=1e-4)
    features = model.features([text])[0]
    found = [neuron["activation"] for neuron in told["neurons"]]
    np.testing.assert_allclose(found, features, atol=1e-4)
    words = [token for token in told["tokens"] if token["end"] > token["start"]]
    assert [text[w["start"] : w["end"]] for w in words] == text.split()


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("pooling", ["first", "last", "max", "mean"])
def test_each_pooling_explains_to_the_logit(family, pooling):
    model = make(family, poolings=(pooling,), eta=0.9).fit(TEXTS, LABELS)
    assert {feature.pooling for feature in model.head_.features} == {pooling}
    for text in [*TEXTS[:3], "good"]:
        check_explanation(model, text)


@pytest.mark.parametrize(
    "names", [(3, 7, 11), (0.5, 2.5, 9.0), (False, True), ("b", "a", "c")]
)
def test_labels_of_any_kind_come_back_as_they_were(names):
    y = np.array([names[i % len(names)] for i in range(len(TEXTS))])
    model = make(max_layer=1, poolings=("mean",)).fit(TEXTS, y)
    assert model.predict(TEXTS).dtype == y.dtype
    assert set(model.predict(TEXTS)) <= set(names)
    assert model.head_.classes == tuple(str(name) for name in sorted(names))


def test_spin_keeps_to_one_kind_and_pooling():
    model = make(preset="spin", kinds=("mlp",), max_layer=1).fit(TEXTS, LABELS)
    assert len({(f.site.kind, f.pooling) for f in model.head_.features}) == 1
    assert np.mean(model.predict(TEXTS) == LABELS) > 0.6
    check_explanation(model, TEXTS[0])


def test_settings_are_kept_to():
    model = make(kinds=("mlp",), poolings=("mean",), budget=3).fit(TEXTS, LABELS)
    assert len(model.head_.features) == 3
    assert {f.site.kind for f in model.head_.features} == {"mlp"}
    assert {f.pooling for f in model.head_.features} == {"mean"}
    assert make(eta=0.4, max_layer=1).fit(TEXTS, LABELS).fitted_.chosen["eta"] == 0.4


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_blocks_above_the_head_never_run(family):
    model = make(family, max_layer=1).fit(TEXTS, LABELS)
    assert model.head_.layer <= 1
    module = tiny_model(family)
    blocks = module.encoder.layer if family == "bert" else module.h
    ran: list[int] = []
    hooks = [
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
        for i, block in enumerate(blocks, start=1)
    ]
    try:
        model.predict(TEXTS[:4])
        model.explain(TEXTS[0])
        assert max(ran, default=0) <= model.head_.layer
        full = make(family).wanted(model.backbone_)
        model.backbone_.pooled(model.backbone_.tokenize(TEXTS[:1]).ids, full)
        assert max(ran) == 3  # the hooks do see a block that runs
    finally:
        for hook in hooks:
            hook.remove()


def test_a_text_s_label_does_not_depend_on_the_others(fitted):
    together = fitted.predict_proba(TEXTS[:9])
    alone = np.concatenate([fitted.predict_proba([text]) for text in TEXTS[:9]])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_same_seed_gives_the_same_numbers(fitted):
    again = make().fit(TEXTS, LABELS)
    assert again.head_.features == fitted.head_.features
    np.testing.assert_array_equal(
        again.predict_proba(TEXTS), fitted.predict_proba(TEXTS)
    )
    other = make(seed=1).fit(TEXTS, LABELS)
    assert not np.array_equal(other.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_scikit_learn_can_clone_and_set_it(fitted):
    copy = clone(fitted)
    assert isinstance(copy, SparsifyThenClassify)
    assert not hasattr(copy, "head_")
    params = copy.get_params()
    assert params.keys() == fitted.get_params().keys()
    assert params["backbone"].identity == fitted.backbone_.identity
    assert copy.set_params(budget=2).budget == 2


def test_cross_validation_and_pipelines_work():
    model = make(max_layer=1, poolings=("mean",))
    scores = cross_val_score(model, TEXTS, LABELS, cv=2)
    assert scores.shape == (2,) and scores.mean() > 0.6
    pipeline = Pipeline([("stc", model)]).fit(TEXTS, LABELS)
    assert pipeline.score(TEXTS, LABELS) > 0.6


def test_an_unfitted_one_says_so():
    from sklearn.exceptions import NotFittedError

    for call in (make().predict, make().predict_proba, make().features):
        with pytest.raises(NotFittedError):
            call(TEXTS)
    with pytest.raises(NotFittedError):
        make().explain("good")


def test_saved_and_loaded_it_says_the_same(fitted, tmp_path):
    folder = fitted.save(tmp_path / "model")
    loaded = SparsifyThenClassify.load(folder, backbone=tiny_backbone("bert"))
    np.testing.assert_array_equal(
        loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS)
    )
    assert loaded.explain(TEXTS[0]) == fitted.explain(TEXTS[0])
    mine, its = fitted.get_params(), loaded.get_params()
    del mine["backbone"], its["backbone"]
    assert mine == its


def test_labels_that_are_numbers_survive_the_disk(tmp_path):
    y = np.arange(len(TEXTS)) % 2 + 5
    folder = make(max_layer=0).fit(TEXTS, y).save(tmp_path)
    loaded = SparsifyThenClassify.load(folder, backbone=tiny_backbone("bert"))
    assert set(loaded.predict(TEXTS)) <= {5, 6}


def test_another_backbone_is_refused(fitted, tmp_path):
    folder = fitted.save(tmp_path)
    with pytest.raises(StcError, match="expected the backbone tiny bert of identity"):
        SparsifyThenClassify.load(folder, backbone=tiny_backbone("gpt2"))


@pytest.mark.parametrize("preset", ["stc", "spin"])
def test_where_no_site_tells_the_labels_it_says_so(preset):
    texts, labels = np.repeat(TEXTS[:30], 2).tolist(), ["yes", "no"] * 30
    with pytest.raises(
        StcError, match=r"labels: .*no site predicts.*the same texts carry"
    ):
        make(preset=preset).fit(texts, labels)


def test_one_class_is_refused():
    with pytest.raises(StcError, match="at least 2 classes"):
        make().fit(TEXTS, ["a"] * len(TEXTS))


NAN = float("nan")


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([NAN, *LABELS[1:]], "label 0: expected one label for every text; got nan"),
        ([*LABELS[:-1], None], "label 79: .*got None"),
        (LABELS.reshape(-1, 1), r"label 0: .*Give the labels as a flat list"),
        ("ab", r"labels: .* shape \(\)"),
    ],
)
def test_labels_that_are_none_or_many_are_refused(labels, match):
    """NaN among strings is no class 'nan'."""
    with pytest.raises(StcError, match=match):
        _check_labels(labels)


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(StcError, match="labels that can be sorted"):
        make().fit(TEXTS, np.array(["a", 1] * 40, object))


def test_labels_of_another_length_are_refused():
    with pytest.raises(StcError, match="expected 80 labels; got 79 labels"):
        make().fit(TEXTS, LABELS[:-1])


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["fine", "  \n"], "text 1: expected a string that is not blank"),
        (["fine", None], "text 1: expected a string.*got None"),
        (["fine", 3.5], "text 1"),
        ([], "at least one text"),
        ("one text", "a list of texts; got one string"),
        (
            ["fine", "caf\u00e9", "gr\ud83d!"],
            r"text 2: .* half a character, .* at position 2",
        ),
    ],
)
def test_texts_that_are_none_are_refused(texts, match):
    with pytest.raises(StcError, match=match):
        check_texts(texts)


def test_every_door_checks_its_texts(fitted):
    for call in (fitted.predict, fitted.predict_proba, fitted.features):
        with pytest.raises(StcError, match="blank"):
            call(["good", " "])
    with pytest.raises(StcError, match="blank"):
        fitted.explain("")
    with pytest.raises(StcError, match="blank"):
        make().fit([*TEXTS[:-1], ""], LABELS)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"preset": "best"}, "preset: expected stc or spin; got 'best'"),
        ({"kinds": ("heads",)}, "kinds: expected resid or mlp"),
        ({"kinds": ()}, "kinds"),
        ({"max_layer": 4}, "max_layer: expected 0 to 3 for tiny bert; got 4"),
        ({"max_layer": -1}, "max_layer"),
        ({"kinds": ("mlp",), "max_layer": 0}, "expected sites of kind mlp up to layer"),
        ({"poolings": ("median",)}, "poolings: expected first or last.*median"),
        ({"penalty": "l7"}, "penalty: expected l1 or group; got 'l7'"),
        ({"class_weight": "heavy"}, "class_weight: expected auto or none or tempered"),
    ],
)
def test_wrong_settings_are_named(arguments, match):
    with pytest.raises(StcError, match=match):
        # No type of a parameter is checked here, as for a user.
        make().set_params(**arguments).fit(TEXTS[:20], LABELS[:20])


def test_a_backbone_can_be_given_by_its_folder(tmp_path):
    from helpers.models.tiny import tiny_tokenizer

    folder = tmp_path / "backbone"
    tiny_model("bert").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    model = SparsifyThenClassify(str(folder), device="cpu", max_layer=1)
    model.fit(TEXTS, LABELS)
    loaded = SparsifyThenClassify.load(model.save(tmp_path / "model"), device="cpu")
    assert isinstance(loaded.backbone_, Backbone)
    assert Path(loaded.backbone_.name) == folder
    np.testing.assert_array_equal(
        loaded.predict_proba(TEXTS), model.predict_proba(TEXTS)
    )


def test_many_texts_are_sampled_as_a_recipe_does(monkeypatch, tmp_path):
    """Neurons are chosen on a sample, and the head is that of all rows."""
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    texts, labels = corpus(400)
    whole = make(seed=1).fit(texts, labels)
    for name, value in {"LARGE": 100, "FIRST": 60, "MOST_VALIDATION": 30}.items():
        monkeypatch.setattr("stc_core.selection.sample." + name, value)
    monkeypatch.setattr(
        "stc_core.selection.sample.gain_of_doubling", lambda *_: (0.0, 0.1)
    )
    seen: list[tuple[int, int]] = []
    found = make(seed=1).fit(texts, labels, progress=lambda *at: seen.append(at))
    assert seen[-1] == (400, 400)
    head, fitted = found.head_, found.fitted_
    assert np.mean(found.predict(texts) == labels) > 0.8
    assert len(whole.fitted_.held) == 400  # each row in turn
    assert 400 > len(fitted.held) == len(fitted.held_logits) > 30  # validation alone
    learned = extract_features(found.backbone_, texts, head.features)
    np.testing.assert_allclose(head.mean, learned.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(head.sd, learned.std(axis=0), rtol=1e-3)


@pytest.fixture(scope="module")
def reading_words() -> SparsifyThenClassify:
    """A classifier of texts that one word tells apart, with words beside neurons."""
    return make(words="on", max_layer=1).fit(TEXTS, LABELS)


def test_words_add_to_the_logits_exactly(reading_words):
    model = reading_words
    assert {"refund", "login"} <= set(model.words_.words)
    plain = model.head_.logits(model.features(TEXTS[:5]))
    np.testing.assert_allclose(
        model.logits(TEXTS[:5]), plain + model.words_.logits(TEXTS[:5]), atol=1e-5
    )
    for text in TEXTS[:5]:
        check_explanation(model, text)
    told = model.explain("refund of " + "so " * 9 + "login")
    assert {part["word"] for part in told["words"]} >= {"refund", "login"}


def test_words_are_saved_with_the_classifier(reading_words, tmp_path):
    folder = reading_words.save(tmp_path / "model")
    loaded = SparsifyThenClassify.load(folder, backbone=reading_words.backbone_)
    expected = reading_words.predict_proba(TEXTS[:9])
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS[:9]), expected)
    # Saved again without words, it has none.
    loaded.words_ = None
    loaded.save(folder)
    assert load_words(folder) is None
    assert not (folder / "word_readout.safetensors").exists()


def test_a_word_that_the_model_cuts_off_still_counts(reading_words):
    model = reading_words
    text = "so " * 200 + "refund"
    told = model.explain(text)
    last = told["tokens"][-1]
    assert (last["start"], last["end"]) == (600, 606)
    label = model.classes_[1]
    total = sum(token["contribution"][label] for token in told["tokens"])
    assert total + told["bias"][label] == pytest.approx(told["logits"][label], abs=1e-4)
