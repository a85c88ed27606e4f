"""Names of the axes, sites and poolings that all other files use.

Axes: batch, pos, layer, d_model, d_mlp, d_feat, n_class, k.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from stc_core.errors import StcError
from stc_core.poolings import POOLING_RULES, Pooling

Kind = str
"""The name of a kind of site, a key of `SITE_KINDS`."""
SITE_KINDS: dict[Kind, str] = {"resid": "hidden states", "mlp": "FFN neurons"}
"""Each kind of site, and what people call what is read there.

Where a kind is found in a block is said in `backbone/structure/sites.py`.
"""
KINDS: tuple[Kind, ...] = tuple(SITE_KINDS)

CriterionName = Literal[
    "accuracy", "macro_f1", "balanced_accuracy", "average_precision"
]
"""The scores by which a classifier can be chosen: see `metrics/criteria.py`."""
ClassWeight = Literal["none", "tempered", "balanced"]
"""How much the weight of a row depends on its class: see `data/goal.py`."""
WordUse = Literal["auto", "on", "off"]
"""Whether a classifier reads words beside neurons: `auto` if they clearly help."""

Progress = Callable[[int, int], None]
"""Called during the work as progress(done, total); it must be cheap."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


class Site(NamedTuple):
    """A place in the backbone whose activations are read.

    `resid.l` is the residual stream after block l (`resid.0`: the embeddings). `mlp.l`
    is the input of block l's down-projection, one value per FFN neuron. Layers count
    blocks in computing order; in an encoder-decoder the decoder's embeddings and blocks
    follow the encoder's.
    """

    layer: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind}.{self.layer}"

    @classmethod
    def parse(cls, name: str) -> "Site":
        """The site called `name`, the inverse of `str`."""
        kind, _, layer = name.partition(".")
        if kind not in SITE_KINDS or not layer.isdecimal():
            raise StcError(
                f"site {name!r}", expected="a name like 'resid.3' or 'mlp.5'"
            )
        return cls(int(layer), kind)


class PooledSite(NamedTuple):
    """One site under one pooling: a (batch, width) block of features."""

    site: Site
    pooling: Pooling

    def __str__(self) -> str:
        return f"{self.site}.{self.pooling}"

    @classmethod
    def parse(cls, name: str) -> "PooledSite":
        """The pooled site called `name`, the inverse of `str`."""
        site, _, pooling = name.rpartition(".")
        if pooling not in POOLING_RULES:
            raise StcError(
                f"pooled site {name!r}",
                expected="a name like 'resid.3.mean', with one of the poolings "
                f"{', '.join(POOLING_RULES)}",
                got=repr(pooling),
            )
        return cls(Site.parse(site), pooling)


class Feature(NamedTuple):
    """One pooled neuron: a single column of features."""

    site: Site
    pooling: Pooling
    index: int

    def __str__(self) -> str:
        return f"{self.site}[{self.index}].{self.pooling}"
