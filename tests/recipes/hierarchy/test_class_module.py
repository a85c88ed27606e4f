"""The head that a guide becomes reads tuned states as the guide does."""

import numpy as np
import torch

from stc_core.backbone.class_guides import Guide
from stc_core.heads.head import SparseHead
from stc_core.recipes.hierarchy.class_module import _begin, _linear
from stc_core.types import Feature, Site


def test_a_level_s_head_is_its_guide_on_states_beyond_the_frozen_ones():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 8)).astype(np.float32)
    head = SparseHead(
        tuple(Feature(Site(1, "resid"), "mean", i) for i in range(8)),
        X.mean(axis=0),
        X.std(axis=0),
        rng.standard_normal((3, 8)).astype(np.float32),
        rng.standard_normal(3).astype(np.float32),
        ("a", "b", "c"),
        low=X.min(axis=0),
        high=X.max(axis=0),
    )
    guide = Guide(8, (0, 0, 1))
    _begin(guide, head)
    tuned = 3 * X + 2
    with torch.no_grad():
        z = (torch.from_numpy(tuned) - torch.from_numpy(head.mean)) / torch.from_numpy(
            head.sd
        )
        expected = guide.head(z).numpy()
    found = _linear(guide, head)
    np.testing.assert_allclose(found.logits(tuned), expected, atol=1e-4)
    assert np.abs(head.logits(tuned) - expected).max() > 1
