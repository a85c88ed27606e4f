"""Which of the neurons that a head reads are changed: all, or some of them."""

from collections.abc import Callable
from typing import NamedTuple

from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.interpret.interventions.edits import Neurons, neurons_of
from stc_core.types import Feature, Site


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
