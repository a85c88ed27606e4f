"""The effect of a change, as records; how a change of the answers is measured."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.interpret.interventions.choice import Intervention, count_neurons

CLASSIFIER, LAST_LAYER = "this classifier", "last layer"
"""The two readers of the changed model: the second one reads the last layer alone."""


class ReaderAnswers(NamedTuple):
    """What both readers make of some texts, after a change or without one."""

    features: Float[np.ndarray, "n n_features"]  # of the classifier
    logits: dict[str, Float[np.ndarray, "n n_class"]]


class ReaderEffect(NamedTuple):
    """The effect of a change on the logits of one reader.

    `change` is the mean over the texts of the absolute change of the margin: the logit
    of the class that a text got before, less the mean of all logits. `by_class` is the
    mean change of each class's logit, less the mean over the classes. `random` holds
    `change` for each random set, `flips` the number of texts with another label;
    `before` and `after` are accuracies, nan without labels.
    """

    reader: str
    change: float
    by_class: dict[str, float]
    flips: int
    before: float
    after: float
    random: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The change, divided by the median of the random sets; nan without any."""
        middle = float(np.median(self.random)) if self.random else np.nan
        return self.change / middle if middle else np.nan

    @property
    def percentile(self) -> float:
        """The share of the random sets that change less; nan without any."""
        less = [other < self.change for other in self.random]
        return float(np.mean(less)) if less else np.nan


class Effect(NamedTuple):
    """The effect of one intervention on `n_texts` texts.

    The classifier reads some of the changed neurons itself. `read` is the change of its
    margin if its read-out alone saw them changed, `through` that which all the others
    bring, since the model computed them from the changed ones.
    """

    intervention: Intervention
    n_texts: int
    readers: tuple[ReaderEffect, ...]
    read: float
    through: float

    def record(self) -> dict[str, Any]:
        """The effect as JSON has it; numbers that are not known are None."""
        return {
            "neurons": count_neurons(self.intervention.neurons),
            "how": self.intervention.how,
            "steer": self.intervention.steer,
            "texts": self.n_texts,
            "read_by_head": _known(self.read),
            "through_model": _known(self.through),
            "readers": [
                {
                    "reader": one.reader,
                    "change": _known(one.change),
                    "ratio_to_random": _known(one.ratio),
                    "percentile": _known(one.percentile),
                    "random": list(one.random),
                    "flips": one.flips,
                    "accuracy_before": _known(one.before),
                    "accuracy_after": _known(one.after),
                    "by_class": one.by_class,
                }
                for one in self.readers
            ],
        }


class Patch(NamedTuple):
    """The logits of a text, of the text that lends values, and of the patched text.

    `aligned`: the values were lent token by token, not as a mean.
    """

    before: dict[str, dict[str, float]]
    donor: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    aligned: bool


class TextChange(NamedTuple):
    """The logits of one text by reader and class, before and after a change of neurons.

    `random` has the logits of the classifier after each change of random neurons.
    """

    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    random: tuple[dict[str, float], ...]

    def fall(self, label: str) -> float:
        """How much the classifier's logit of a class falls by the change."""
        return self.before[CLASSIFIER][label] - self.after[CLASSIFIER][label]

    def random_falls(self, label: str) -> list[float]:
        """The same for each set of random neurons."""
        return [self.before[CLASSIFIER][label] - one[label] for one in self.random]


def margin_change(
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
    labels: Int[np.ndarray, " n"] | None = None,
) -> float:
    """The mean absolute change of the margin of each text's class.

    The margin is the logit of that class less the mean of all logits. The class is the
    one that the text has `before`, unless `labels` are given.
    """
    labels = before.argmax(axis=1) if labels is None else labels
    rows = np.arange(len(before))
    moved = centred_logits(after)[rows, labels] - centred_logits(before)[rows, labels]
    return float(np.abs(moved).mean()) if len(rows) else float("nan")


def centred_logits(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
