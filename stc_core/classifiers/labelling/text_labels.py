"""What a classifier says of texts, as columns that stand beside any table."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from stc_core.classifiers.labelling.sound_texts import read_sound
from stc_core.classifiers.labelling.table_chunks import column_texts

LABEL_COLUMN = "predicted_label"
PROBABILITY_COLUMN = "probability"


@runtime_checkable
class Predictor(Protocol):
    """Anything that labels texts, such as `SparsifyThenClassify`."""

    @property
    def classes_(self) -> np.ndarray: ...

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray: ...


@runtime_checkable
class LevelPredictor(Predictor, Protocol):
    """Anything that labels texts level by level, such as `HierarchicalClassifier`."""

    def answer(self, texts: Sequence[str]) -> Any: ...

    def level_columns(self, way: Any) -> dict[str, np.ndarray]: ...

    def finest_labels(self, way: Any) -> np.ndarray: ...


@runtime_checkable
class WritingPredictor(LevelPredictor, Protocol):
    """Anything that writes text after the labels, such as `ReplyingClassifier`."""

    @property
    def writes(self) -> bool: ...

    def write(self, texts: Sequence[str]) -> Any: ...

    def written_columns(self, written: Any) -> dict[str, np.ndarray]: ...


def added_columns(
    columns: Sequence[str], classes: Sequence[str], levels: Sequence[str] = ()
) -> list[str]:
    """The names of the added columns, always in this order: `levels`,
    `predicted_label`, `probability`, and each `p:<class>`.

    If `columns` already has a name, the new one gets the first free suffix: _2, _3 ...
    """
    taken, names = set(columns), []
    for wanted in (
        *levels,
        LABEL_COLUMN,
        PROBABILITY_COLUMN,
        *map("p:{}".format, classes),
    ):
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


class TextLabels(NamedTuple):
    """What a classifier says of some texts, a row for each in the order of the texts.

    `columns` are those of `added_columns([], classes, levels)`. A blank text has
    neither label nor probability. The same holds for the texts in `broken`, which the
    tokenizer cannot read, by row and with the reason.
    """

    columns: pd.DataFrame
    classes: tuple[str, ...]
    levels: tuple[str, ...]
    broken: Mapping[int, str]


def label_texts(classifier: Predictor, texts: Sequence[str]) -> TextLabels:
    """The labels and probabilities of the texts; they depend on these texts alone.

    A text that breaks the tokenizer costs its own row, and no other.
    """
    filled = [row for row, text in enumerate(texts) if text.strip()]
    full = np.array(filled, int)
    classes = [str(name) for name in classifier.classes_]
    labels = np.full(len(texts), None, dtype=object)
    probabilities = np.full((len(texts), len(classes)), np.nan)
    certainty = np.full(len(texts), np.nan)
    given = [texts[row] for row in filled]
    answer, broken = read_sound(
        partial(_answer, classifier), given, getattr(classifier, "backbone_", None)
    )
    is_read = np.array([row not in broken for row in range(len(given))], bool)
    sound = full[is_read]
    probabilities[sound], labels[sound], certainty[sound], levels = answer
    names = added_columns([], classes, list(levels))
    *coarse, name, sure = names[: len(levels) + 2]
    columns = pd.DataFrame(probabilities, columns=pd.Index(names[len(levels) + 2 :]))
    columns.insert(0, sure, certainty)
    columns.insert(0, name, pd.Series(labels, dtype="str"))
    for place, (name, values) in enumerate(zip(coarse, levels.values(), strict=True)):
        of_level = pd.Series(values, index=sound).reindex(columns.index)
        columns.insert(place, name, of_level)
    reasons = {int(full[row]): reason for row, reason in broken.items()}
    return TextLabels(columns, tuple(classes), tuple(levels), reasons)


class _Answer(NamedTuple):
    """Probabilities, label and its probability of each text; columns of the levels."""

    probabilities: np.ndarray
    labels: np.ndarray
    certainty: np.ndarray
    levels: dict[str, np.ndarray]


def _answer(classifier: Predictor, given: Sequence[str]) -> _Answer:
    """The answer to texts of which none is blank; there may be none at all."""
    classes = np.array([str(name) for name in classifier.classes_], dtype=object)
    none = np.empty((0, len(classes))), np.empty(0, object), np.empty(0)
    if isinstance(classifier, LevelPredictor):
        way, levels = _down(classifier, list(given))
        if way is None:
            return _Answer(*none, levels)
        finest = (way.nodes >= 0).sum(axis=1) - 1
        certainty = way.probabilities()[np.arange(len(given)), finest]
        labels = classifier.finest_labels(way)
        return _Answer(way.shares[-1], labels, certainty, levels)
    if not given:
        return _Answer(*none, {})
    shares = classifier.predict_proba(given)
    return _Answer(shares, classes[shares.argmax(axis=1)], shares.max(axis=1), {})


def annotate(classifier: Predictor, frame: pd.DataFrame, *, text: str) -> pd.DataFrame:
    """`frame` with the predicted label, its probability, and that of each class.

    They are on the right, in the order of `added_columns`. A hierarchical classifier
    adds the label and probability of each level before them, then the texts that it
    writes, if any. Rows keep their order. A row without text gets neither label nor
    probability.
    """
    return beside(frame, label_texts(classifier, column_texts(frame, text)))


def beside(frame: pd.DataFrame, labels: TextLabels) -> pd.DataFrame:
    """`frame` with the columns of the labels of its rows, by names that are free."""
    own = [str(name) for name in frame.columns]
    names = added_columns(own, labels.classes, labels.levels)
    added = labels.columns.set_axis(names, axis=1).set_axis(frame.index)
    return pd.concat([frame, added], axis=1)


def _down(
    classifier: LevelPredictor, given: list[str]
) -> tuple[Any, dict[str, np.ndarray]]:
    """The path of each text, and the columns of its levels and of written texts."""
    if isinstance(classifier, WritingPredictor) and classifier.writes:
        written = classifier.write(given) if given else None
        way = written.way if written else None
        more = classifier.written_columns(written)
        return way, {**classifier.level_columns(way), **more}
    way = classifier.answer(given) if given else None
    return way, classifier.level_columns(way)
