"""Which neurons are changed and how, as far as no model is needed to know it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.types import SITE_KINDS, Feature, Site

InterventionKind = Literal["mean", "zero", "resample", "steer"]
INTERVENTIONS: dict[InterventionKind, str] = {
    "mean": "each neuron gets its mean over tokens of the same kind",
    "zero": "each neuron gets 0",
    "resample": "the neurons get the values of a random token of another text",
    "steer": "a number of standard deviations is added to each neuron",
}
"""Each way to change neurons, in words."""
Neurons = Mapping[Site, Int[np.ndarray, " _"]]
"""The changed neurons: for each site their positions in it, ascending."""


class Intervention(NamedTuple):
    """One change: which neurons, how, and by how many standard deviations to steer."""

    neurons: Neurons
    how: InterventionKind = "mean"
    steer: float = 0.0
    seed: int = 0


def neurons_of(features: Iterable[Feature]) -> Neurons:
    """The neurons that some features read, once each whatever their pooling."""
    by_site: dict[Site, set[int]] = {}
    for feature in features:
        by_site.setdefault(feature.site, set()).add(feature.index)
    return {site: np.array(sorted(by_site[site])) for site in sorted(by_site)}


def count_neurons(neurons: Neurons) -> int:
    """How many neurons are changed."""
    return sum(len(columns) for columns in neurons.values())


def parse_neurons(names: Iterable[str], widths: Mapping[Site, int]) -> Neurons:
    """The neurons called 'mlp.3.1288', or 'mlp.3[1288]'; a pooling behind is ignored.

    StcError names the first one that the backbone, of these `widths`, does not have.
    """
    features = []
    for name in names:
        parts = name.replace("[", ".").replace("]", "").split(".")
        site = f"{parts[0]}.{parts[1]}" if len(parts) > 2 else ""
        is_neuron = parts[0] in SITE_KINDS and all(p.isdecimal() for p in parts[1:3])
        if not site or not is_neuron:
            raise StcError(f"neuron {name!r}", expected="a name like 'mlp.3.1288'")
        place, index = Site.parse(site), int(parts[2])
        if index >= widths.get(place, 0):
            known = f"{widths[place]:,} neurons" if place in widths else "not a site"
            raise StcError(
                f"neuron {name!r}",
                expected="a neuron of the backbone",
                got=f"{site} has {known}" if place in widths else f"{site} is {known}",
            )
        features.append(Feature(place, "mean", index))
    return neurons_of(features)


def checked_kind(how: str, steer: float) -> InterventionKind:
    """The way called `how`; StcError if there is none, and for steering by nothing."""
    known: dict[str, InterventionKind] = {name: name for name in INTERVENTIONS}
    if how not in known:
        raise StcError("how", expected=", ".join(INTERVENTIONS), got=repr(how))
    if how == "steer" and (steer == 0 or not np.isfinite(steer)):
        raise StcError(
            "steer",
            expected="a number of standard deviations other than 0",
            got=str(steer),
        )
    return known[how]


class KeptNeurons(NamedTuple):
    """The neurons of a head; no text is read to choose some of them."""

    head: SparseHead

    @property
    def all(self) -> Neurons:
        """All neurons that the head reads."""
        return neurons_of(self.head.features)

    def of_layer(self, layer: int) -> Neurons:
        """The kept neurons of one layer; StcError names the layers that have some."""
        layers = sorted({feature.site.layer for feature in self.head.features})
        if layer not in layers:
            raise StcError(
                "layer",
                expected=f"one with kept neurons: {', '.join(map(str, layers))}",
                got=str(layer),
            )
        return self._some(lambda feature: feature.site.layer == layer)

    def of_class(self, label: str) -> Neurons:
        """The kept neurons that speak for this class more than for any other.

        StcError names the classes, or says that none speaks most for this one.
        """
        classes = tuple(self.head.classes)
        if label not in classes:
            raise StcError("class", expected=", ".join(classes[:20]), got=repr(label))
        code = classes.index(label)
        best = self.head.weight.argmax(axis=0)
        at = {feature: best[k] for k, feature in enumerate(self.head.features)}
        found = self._some(lambda feature: at[feature] == code)
        if not found:
            raise StcError(
                f"neurons of class {label!r}",
                expected="at least one that speaks most for it",
                got="none",
                remedy="Choose another class, a layer, or single neurons.",
            )
        return found

    def top(self, n: int) -> Neurons:
        """The `n` kept neurons of the largest importance, summed over poolings."""
        if n < 1:
            raise StcError("top", expected="at least 1 neuron", got=str(n))
        total: dict[tuple[Site, int], float] = {}
        for feature, value in zip(
            self.head.features, self.head.importance, strict=True
        ):
            place = feature.site, feature.index
            total[place] = total.get(place, 0.0) + float(value)
        best = sorted(total, key=lambda place: -total[place])[:n]
        return neurons_of(Feature(site, "mean", index) for site, index in best)

    def _some(self, wanted: Callable[[Feature], bool]) -> Neurons:
        return neurons_of(filter(wanted, self.head.features))
