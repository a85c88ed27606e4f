"""Weights of probes and heads in the units of raw activations, with their modules.

With them other programs that hook a model can go on: a direction says which module it
is read at, by the name that the model itself gives it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.structure.sites import Moment
from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.heads.head import SparseHead
from stc_core.probes.fit import ProbeResult
from stc_core.types import PooledSite, Site

_INDEX, _WEIGHT, _BIAS = "index", "weight", "bias"


class SitePlace(NamedTuple):
    """The module at which a site is read, called as in `model.named_modules()`.

    `moment` says whether the site is the module's input or its output. A module that
    runs several times in a forward is read at its `call`, counted from 0.
    """

    module: str
    moment: Moment
    call: int


class SiteDirection(NamedTuple):
    """A weight for each class and each raw pooled activation of a site."""

    pooled_site: PooledSite
    place: SitePlace
    weight: Float[np.ndarray, "n_class width"]


class Directions(NamedTuple):
    """logits = bias + the sum over `parts` of pooled activations times weights.

    Activations are raw: what the module reads or returns, pooled over all tokens of a
    text. A head counts values outside its range as the nearer end; directions have no
    range.
    """

    classes: tuple[str, ...]
    bias: Float[np.ndarray, " n_class"]
    parts: tuple[SiteDirection, ...]

    def logits(
        self, pooled: Mapping[PooledSite, Float[np.ndarray, "n _"]]
    ) -> Float[np.ndarray, "n n_class"]:
        """The logits of raw pooled activations of all parts."""
        products = [
            np.asarray(pooled[part.pooled_site], float) @ part.weight.T
            for part in self.parts
        ]
        return np.sum(products, axis=0) + self.bias


class RawProbe(NamedTuple):
    """The best probe of a pooled site in raw units: weights of the neurons `index`."""

    index: Int[np.ndarray, " k"]
    weight: Float[np.ndarray, "n_class k"]
    bias: Float[np.ndarray, " n_class"]


def site_place(backbone: Backbone, site: Site) -> SitePlace:
    """Where the site is read; StcError if the backbone does not have it."""
    point = backbone.point(site)
    names = {module: name for name, module in backbone.model.named_modules()}
    return SitePlace(names[point.module], point.moment, point.times)


def head_directions(head: SparseHead, backbone: Backbone) -> Directions:
    """The directions of a head, one for each pooled site that it reads."""
    raw = head.weight.astype(float) / head.sd
    sites = [PooledSite(feature.site, feature.pooling) for feature in head.features]
    index = np.array([feature.index for feature in head.features], int)
    parts = []
    for one in sorted(set(sites)):
        own = np.array([site == one for site in sites])
        parts.append(_dense(backbone, one, index[own], raw[:, own]))
    return Directions(head.classes, head.bias - raw @ head.mean, tuple(parts))


def probe_directions(
    probes: Mapping[PooledSite, RawProbe], backbone: Backbone, classes: Sequence[str]
) -> dict[PooledSite, Directions]:
    """The directions of each probe, which reads one pooled site.

    Sites that the backbone does not have are left out: that of a bundle ends early.
    """
    return {
        one: Directions(
            tuple(classes),
            probe.bias.astype(float),
            (_dense(backbone, one, probe.index, probe.weight),),
        )
        for one, probe in probes.items()
        if one.site in backbone.widths
    }


def raw_probe(probe: ProbeResult) -> RawProbe:
    """The best probe of a fit in raw units."""
    path = probe.path
    coef = path.coef[probe.best]
    index = np.flatnonzero(coef.any(axis=0))
    weight = coef[:, index].astype(float) / path.sd[index]
    bias = path.intercept[probe.best] - weight @ path.mean[index]
    return RawProbe(index, weight, bias)


def write_probe_weights(path: Path, probes: Mapping[PooledSite, RawProbe]) -> None:
    """Write the best probe of each pooled site: its neurons, weights and bias."""
    tensors: dict[str, np.ndarray] = {}
    for name, (index, weight, bias) in probes.items():
        tensors[f"{name}.{_INDEX}"] = index.astype(np.int32)
        tensors[f"{name}.{_WEIGHT}"] = np.ascontiguousarray(weight, np.float32)
        tensors[f"{name}.{_BIAS}"] = bias.astype(np.float64)
    with replacing(path) as temporary:
        save_file(tensors, temporary)


def read_probe_weights(path: Path) -> dict[PooledSite, RawProbe]:
    """The probes as they were written. StcError if the file cannot be read."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StcError(
            f"{str(path)!r}",
            expected="the weights of the run's probes",
            got=f"a file that cannot be read ({error})",
            remedy="Train the run again.",
        ) from error
    names = sorted({name.rpartition(".")[0] for name in tensors})
    return {
        one: RawProbe(
            tensors[f"{one}.{_INDEX}"].astype(int),
            tensors[f"{one}.{_WEIGHT}"].astype(float),
            tensors[f"{one}.{_BIAS}"],
        )
        for one in sorted(map(PooledSite.parse, names))
    }


def _dense(
    backbone: Backbone,
    one: PooledSite,
    index: Int[np.ndarray, " k"],
    weight: Float[np.ndarray, "n_class k"],
) -> SiteDirection:
    """The weights of the neurons `index`, and 0 for the other neurons of the site."""
    dense = np.zeros((len(weight), backbone.widths[one.site]))
    dense[:, index] = weight
    return SiteDirection(one, site_place(backbone, one.site), dense)
