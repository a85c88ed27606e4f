"""However texts are read, a classifier gives the same answers: no label flips.

What is learned from is what a forward pass resolves, so the last bits of activations,
which differ between batches, machines and precisions, change no answer.
"""

import numpy as np
import pytest
import torch

from helpers.models.tiny import WORDS, fresh_model, tiny_backbone
from stc_core.activations.extract import extract
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.backbone.pooling import pool
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.types import PooledSite

FAMILIES = ("bert", "albert", "modernbert", "gpt2", "qwen3", "t5")
SAME = 1e-3
ALONE = 60
"""So many texts are read one by one."""


def corpus(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of 2 to 12 words about a refund, a login or a film."""
    rng, names = np.random.default_rng(seed), np.array(["access", "film", "money"])
    word = {"money": "refund", "access": "login", "film": "film"}
    others = [each for each in WORDS if each not in word.values()]
    labels = names[np.arange(n) % 3]
    texts = []
    for label in labels:
        around = list(rng.choice(others, rng.integers(1, 12)))
        around.insert(rng.integers(len(around) + 1), word[label])
        texts.append(" ".join(around))
    return texts, labels


TEXTS = corpus(500, seed=1)[0]


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=SAME)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


def padded(model: BaseClassifier, backbone: Backbone) -> np.ndarray:
    """The answers from plain hidden states of batches of 50 texts with padding."""
    features, out = model.head_.features, []
    sites = sorted({feature.site for feature in features})
    for start in range(0, len(TEXTS), 50):
        ids = backbone.tokenize(TEXTS[start : start + 50]).ids
        given = make_batch(ids, backbone.config, device=backbone.device, packed=False)
        with torch.no_grad():
            hidden = backbone.graded(given.inputs, sites)
        mask = given.inputs["attention_mask"].bool()
        values = [pool(hidden[f.site], mask, f.pooling)[:, f.index] for f in features]
        block = torch.stack(values, dim=1).double().numpy()
        out.append(block[np.argsort(given.order)])  # a batch is sorted by length
    return model.head_.probabilities(np.concatenate(out))


@pytest.mark.parametrize("family", FAMILIES)
def test_on_every_way_the_answers_are_those_of_double_precision(family, tmp_path):
    model = SparsifyThenClassify(tiny_backbone(family), words="off")
    model.fit(*corpus(150, seed=0))
    backbone, head = model.backbone_, model.head_
    double = Backbone.from_model(
        fresh_model(family).double(), backbone.tokenizer, name="double"
    )
    expected = padded(model, double)
    assert_same(padded(model, backbone), expected)
    assert_same(model.predict_proba(TEXTS), expected)
    alone = np.concatenate([model.predict_proba([text]) for text in TEXTS[:ALONE]])
    assert_same(alone, expected[:ALONE])
    sites = sorted({PooledSite(f.site, f.pooling) for f in head.features})
    store = extract(backbone, TEXTS, sites, folder=tmp_path)
    kept = [
        store.read(PooledSite(f.site, f.pooling))[:, f.index] for f in head.features
    ]
    assert_same(head.probabilities(np.stack(kept, axis=1)), expected)
