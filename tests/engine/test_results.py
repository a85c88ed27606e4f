"""What is stored of a shard reads back the same, to the bit and to the dtype."""

import numpy as np
import pandas as pd
import pytest

from helpers.models.classifiers import classifier, hierarchical
from helpers.models.tiny import TEXTS
from stc_core.classifiers.labelling.text_labels import beside, label_texts
from stc_core.engine.results import (
    activations_table,
    labels_table,
    shard_activations,
    shard_labels,
)
from stc_core.types import PooledSite


@pytest.mark.parametrize("make", [classifier, hierarchical])
@pytest.mark.parametrize("texts", [[*TEXTS[:3], " ", ""], [""], []])
def test_labels_read_back_the_same(make, texts):
    labels = label_texts(make(3), texts)
    again = shard_labels(labels_table(labels))
    assert again[1:] == labels[1:]
    frame = pd.DataFrame({"p:a": range(len(texts))})
    pd.testing.assert_frame_equal(
        beside(frame, again), beside(frame, labels), check_exact=True
    )


def test_activations_read_back_the_same():
    site, other = map(PooledSite.parse, ("resid.1.mean", "mlp.0.max"))
    values = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    arrays = {site: values, other: values[:, ::2]}
    found = shard_activations(activations_table(arrays, {1: "why"}), [site, other])
    for one in arrays:
        np.testing.assert_array_equal(found[one], arrays[one])
        assert found[one].dtype == np.float32
