"""The history of a training: its steps, the validation of its epochs, its memory."""

import math
from typing import Any, NamedTuple

NOTABLE = 0.01
"""A loss counts as better if it is below the best loss by at least this share."""


class Epoch(NamedTuple):
    """The validation after `epoch` epochs; epoch 0 is before any step.

    `goal_score` is that of the task's goal; None for a language model.
    """

    epoch: float
    loss: float
    accuracy: float
    macro_f1: float | None  # None for a language model
    seconds: float
    goal_score: float | None = None

    def score(self, by: str) -> float:
        """The score named `by`, for "loss" minus the loss: more is better."""
        return float(-self.loss if by == "loss" else getattr(self, by))


class History(NamedTuple):
    """The history of a tuning: (epoch, loss) of its steps, its epochs, its memory."""

    steps: tuple[tuple[float, float], ...] = ()
    epochs: tuple[Epoch, ...] = ()
    peak_bytes: int = 0

    def record(self) -> dict[str, Any]:
        epochs = [epoch._asdict() for epoch in self.epochs]
        return {**self._asdict(), "epochs": epochs}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "History":
        """The history of a record; JSON has null for a loss that is not finite."""
        epochs = tuple(
            Epoch(**{**epoch, "loss": _number(epoch["loss"])})
            for epoch in record["epochs"]
        )
        steps = tuple((epoch, _number(loss)) for epoch, loss in record["steps"])
        return cls(steps, epochs, record["peak_bytes"])

    def until(self, epoch: float) -> "History":
        """The history up to the end of `epoch`."""
        steps = tuple(step for step in self.steps if step[0] <= epoch)
        epochs = tuple(past for past in self.epochs if past.epoch <= epoch)
        return self._replace(steps=steps, epochs=epochs)

    @property
    def seconds(self) -> float:
        return self.epochs[-1].seconds if self.epochs else 0.0

    def best(self, by: str) -> float | None:
        """The first epoch after epoch 0 with the best score `by`; None without one."""
        best, chosen = -math.inf, None
        for epoch in self.epochs:
            if epoch.epoch > 0 and epoch.score(by) > best:
                best, chosen = epoch.score(by), epoch.epoch
        return chosen

    def waited(self, by: str) -> int:
        """The number of epochs since the score `by` or the loss last became better.

        The loss counts, too, because for rare classes and for words it falls for epochs
        before one more text is right.
        """
        tuned = [epoch for epoch in self.epochs if epoch.epoch > 0]
        least, best, since = math.inf, -math.inf, 0
        for epoch in tuned:
            score = epoch.score(by)
            since += 1
            if epoch.loss < least * (1 - NOTABLE):
                least, since = epoch.loss, 0
            if score > best:
                best, since = score, 0
        return since


def _number(value: float | None) -> float:
    return math.nan if value is None else value
