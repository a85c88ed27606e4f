"""Integrated gradients: complete, exact where the model is linear, for each family."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.classifiers.base import BaseClassifier, open_base
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead, mean_and_sd
from stc_core.interpret.integrated_gradients import integrated_gradients
from stc_core.types import Feature, PooledSite, Site

FAMILIES = ("bert", "distilbert", "roberta", "albert", "gpt2", "llama", "qwen3")
TEXT = "good film with a great plot"


def classifier(family: str, *names: str, seed: int = 0) -> BaseClassifier:
    """Some neurons of a tiny backbone under a random head of three classes."""
    backbone, rng = tiny_backbone(family), np.random.default_rng(seed)
    features = tuple(
        Feature(*PooledSite.parse(name), index) for name in names for index in (3, 0, 7)
    )
    ids = backbone.tokenize(TEXTS).ids
    X = np.stack(
        [
            backbone.pooled(ids, [PooledSite(f.site, f.pooling)])[
                PooledSite(f.site, f.pooling)
            ][:, f.index].numpy()
            for f in features
        ],
        axis=1,
    )
    mean, sd = mean_and_sd(X)
    weight = rng.standard_normal((3, len(features))).astype(np.float32)
    found = BaseClassifier()
    found.backbone_, found.classes_ = backbone, np.array(["a", "b", "c"])
    bias = rng.standard_normal(3).astype(np.float32)
    found.head_ = SparseHead(features, mean, sd, weight, bias, ("a", "b", "c"))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_sum_to_what_the_words_add(family: str):
    model = classifier(family, "mlp.2.mean", "resid.2.max", "resid.1.last")
    found = integrated_gradients(model, TEXT, n_steps=256)
    logits = model.logits([TEXT])[0]
    assert found["label"] == "abc"[int(logits.argmax())]
    assert found["logit"] == pytest.approx(float(logits.max()), abs=1e-3)
    total = sum(token["contribution"][found["label"]] for token in found["tokens"])
    gained = found["logit"] - found["start"]
    assert total - gained == pytest.approx(found["error"], abs=1e-4)
    assert abs(found["error"]) < 0.25 * max(1.0, abs(gained))  # its maxima are sharp


def test_the_range_of_the_head_counts_on_the_whole_path():
    model = classifier("bert", "mlp.2.mean", "resid.2.mean")
    head = model.head_
    half = 0.5 * head.sd
    model.head_ = head._replace(low=head.mean - half, high=head.mean + half)
    found = integrated_gradients(model, TEXT, n_steps=512)
    logits = model.logits([TEXT])[0]
    assert not np.allclose(logits, head.logits(model.features([TEXT]))[0], atol=1e-2)
    assert found["logit"] == pytest.approx(float(logits.max()), abs=1e-4)
    total = sum(token["contribution"][found["label"]] for token in found["tokens"])
    assert total == pytest.approx(found["logit"] - found["start"], abs=0.05)


def test_special_tokens_and_the_class_that_is_asked_for():
    model = classifier("bert", "resid.3.mean")
    found = integrated_gradients(model, TEXT, label="b")
    assert found["label"] == "b"
    specials = [one for one in found["tokens"] if one["start"] == one["end"]]
    assert [one["contribution"]["b"] for one in specials] == [0, 0]
    with pytest.raises(StcError, match="a, b, c"):
        integrated_gradients(model, TEXT, label="d")


def test_where_the_model_is_linear_it_is_the_split_of_the_readout():
    """GPT-2's embeddings are added up: layer 0 by the mean is linear in them."""
    model = classifier("gpt2", "resid.0.mean")
    found = integrated_gradients(model, TEXT, n_steps=4)
    embeddings: Any = model.backbone_.model
    words = embeddings.get_input_embeddings().weight
    blank = words[0]
    head, site = model.head_, Site(0, "resid")
    ids = model.backbone_.tokenize([TEXT]).ids
    hidden = model.backbone_.token_activations(ids, [site])[0][site]
    k = "abc".index(found["label"])
    index = [feature.index for feature in head.features]
    moved = (words[torch.from_numpy(ids[0].astype(int))] - blank)[:, index].numpy()
    expected = moved / len(hidden) / head.sd @ head.weight[k]
    values = [token["contribution"][found["label"]] for token in found["tokens"]]
    assert np.allclose(values, expected, atol=1e-4)
    assert abs(found["error"]) < 1e-4


def test_an_encoder_decoder_is_refused():
    with pytest.raises(StcError, match="two stacks"):
        integrated_gradients(classifier("t5", "resid.1.mean"), TEXT)


def test_of_a_tuned_run(tuned_folder):
    model = open_base(tuned_folder / "model", device="cpu")
    found = integrated_gradients(model, "the courier lost my parcel")
    gained = found["logit"] - found["start"]
    assert abs(found["error"]) < 0.05 * max(1.0, abs(gained))
    assert len(found["tokens"]) == len(
        model.backbone_.spans("the courier lost my parcel")
    )


def test_another_thread_may_label_meanwhile():
    """captum hooks the embeddings, which are those of all who use the backbone."""
    model = classifier("bert", "mlp.2.mean", "resid.3.mean")
    labels = model.logits([TEXT])
    found = integrated_gradients(model, TEXT, n_steps=16)
    over = threading.Event()

    def label() -> int:
        n = 0
        while not over.is_set() or n == 0:
            np.testing.assert_allclose(model.logits([TEXT]), labels, atol=1e-4)
            n += 1
        return n

    with ThreadPoolExecutor(1) as other:
        labelling = other.submit(label)
        try:
            for _ in range(15):
                again = integrated_gradients(model, TEXT, n_steps=16)
                for a, b in zip(again["tokens"], found["tokens"], strict=True):
                    assert a["contribution"] == pytest.approx(
                        b["contribution"], abs=1e-4
                    )
        finally:
            over.set()
        assert labelling.result() > 0
