"""Directions give the logits of probes and heads from what plain hooks read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.structure.trace import first_tensor, input_states
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.probes.directions import (
    SitePlace,
    head_directions,
    probe_directions,
    raw_probe,
    read_probe_weights,
    site_place,
    write_probe_weights,
)
from stc_core.probes.fit import fit_probes
from stc_core.types import Feature, PooledSite, Site

FEW = [text for text in TEXTS[:30] if len(text.split()) == 6] + list(TEXTS[:8])
FAMILIES = ("bert", "gpt2", "t5", "albert", "llama")


def hooked(backbone: Backbone, place: SitePlace, ids: np.ndarray) -> np.ndarray:
    """The tokens' values at `place`, read by a hook that knows nothing of sites."""
    module = backbone.model.get_submodule(place.module)
    seen: list[Any] = []
    if place.moment == "input":
        handle = module.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(input_states(args, kwargs)),
            with_kwargs=True,
        )
    else:
        handle = module.register_forward_hook(
            lambda _, args, output: seen.append(first_tensor(output))
        )
    inputs: dict[str, Any] = {"input_ids": torch.tensor(ids[None].astype(np.int64))}
    if backbone.config.is_encoder_decoder:
        start = torch.tensor([[backbone.config.decoder_start_token_id]])
        inputs["decoder_input_ids"] = torch.cat([start, inputs["input_ids"][:, :-1]], 1)
    try:
        with torch.inference_mode():
            backbone.model(**inputs)
    finally:
        handle.remove()
    return seen[place.call].reshape(len(ids), -1).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_hook_reads_each_site_at_its_place(family: str):
    backbone = tiny_backbone(family)
    (ids,) = backbone.tokenize([FEW[0]]).ids
    for site in backbone.sites:
        (known,) = backbone.token_activations([ids], [site])
        found = hooked(backbone, site_place(backbone, site), ids)
        np.testing.assert_allclose(found, known[site].numpy(), atol=1e-5)


def head_of(backbone: Backbone) -> SparseHead:
    """Nine neurons of several sites and poolings, in no order."""
    rng = np.random.default_rng(0)
    sites = [backbone.sites[-1], backbone.sites[0], backbone.sites[2]] * 3
    features = tuple(
        Feature(site, ("mean", "max")[place % 2], place)
        for place, site in enumerate(sites)
    )
    return SparseHead(
        features,
        rng.normal(size=9),
        rng.uniform(0.5, 2, 9),
        rng.normal(size=(3, 9)),
        rng.normal(size=3),
        ("a", "b", "c"),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_directions_give_the_logits_of_the_head(family: str):
    backbone = tiny_backbone(family)
    head = head_of(backbone)
    found = head_directions(head, backbone)
    ids = backbone.tokenize(FEW).ids
    wanted = [part.pooled_site for part in found.parts]
    assert wanted == sorted(set(wanted))
    pooled = {k: v.numpy() for k, v in backbone.pooled(ids, wanted).items()}
    X = np.stack(
        [pooled[PooledSite(f.site, f.pooling)][:, f.index] for f in head.features], 1
    )
    np.testing.assert_allclose(found.logits(pooled), head.logits(X), atol=1e-5)
    for part in found.parts:
        assert part.weight.shape == (3, backbone.widths[part.pooled_site.site])


@pytest.mark.parametrize("n_class", [2, 3])
def test_probe_directions_give_the_logits_of_the_probes(n_class: int, tmp_path: Path):
    backbone, texts = tiny_backbone(), list(TEXTS)
    wanted = [PooledSite(Site(layer, "resid"), "mean") for layer in (1, 3)]
    X = {
        k: v.numpy()
        for k, v in backbone.pooled(backbone.tokenize(texts).ids, wanted).items()
    }
    y = np.array([len(text) % n_class for text in texts])
    rows = np.arange(len(y))
    fitted = fit_probes(X.__getitem__, y, rows[:48], rows[48:], pooled_sites=wanted)
    kept = {probe.pooled_site: raw_probe(probe) for probe in fitted}
    write_probe_weights(tmp_path / "w.safetensors", kept)
    read = read_probe_weights(tmp_path / "w.safetensors")
    found = probe_directions(read, backbone, list("abc")[:n_class])
    assert list(found) == wanted
    for probe in fitted:
        expected = probe.path.logits(X[probe.pooled_site], probe.best)
        logits = found[probe.pooled_site].logits(X)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        assert np.ptp(expected) > 0.01


def test_a_site_that_is_not_there_and_a_damaged_file(tmp_path: Path):
    with pytest.raises(StcError, match="sites of layers 0 to 3"):
        site_place(tiny_backbone(), Site(9, "resid"))
    (tmp_path / "w.safetensors").write_text("no")
    with pytest.raises(StcError, match="Train the run again"):
        read_probe_weights(tmp_path / "w.safetensors")
