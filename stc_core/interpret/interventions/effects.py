"""What neurons do inside the model: the effect of a change on the answers.

A weight of the head says what can be read in a neuron. Whether the model uses it is
another question: here the neuron is changed in the forward pass, everything above is
computed again, and the change is set beside that of random neurons of the same sites
with a like spread. Sources: mean ablation and resample ablation as in Wang et al. 2022
(arXiv 2211.00593) and Chan et al. 2022; steering as in Turner et al. 2023 (arXiv
2308.10248).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from stc_core.activations.reference import (
    TextBatch,
    read_reference,
    text_batches,
)
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.hooks import Edit
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.label_tree import Tree
from stc_core.classifiers.labelling.given_texts import check_texts
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.interpret.graded_head import GradedHead
from stc_core.interpret.interventions.choice import (
    Intervention,
    KeptNeurons,
    Neurons,
    checked_kind,
    count_neurons,
)
from stc_core.interpret.interventions.edits import edit_of, matched_sets, patch_of
from stc_core.interpret.interventions.effect_records import (
    CLASSIFIER,
    LAST_LAYER,
    Effect,
    Patch,
    ReaderAnswers,
    ReaderEffect,
    TextChange,
    centred_logits,
    margin_change,
)
from stc_core.selection.use.last_layer import fit_last_layer, some_of_each
from stc_core.types import Feature, Progress, silent

MOST_REFERENCE = 500
"""At most so many reference texts are read: they say what is usual."""
N_RANDOM = 20
N_TEXTS = 200
"""The texts and random sets of a study, unless the user asks for others."""


def linear_head_of(classifier: BaseClassifier) -> SparseHead:
    """The linear head whose neurons are changed; StcError if there is none."""
    head = getattr(classifier, "head_", None)
    if not isinstance(head, SparseHead):
        raise StcError(
            "effects inside the model",
            expected="a classifier with a linear head on selected neurons",
            got=f"a classifier of the kind {type(classifier).__name__}",
            remedy="Take a run of the recipe stc, variability or hierarchy.",
        )
    return head


def as_classes(classifier: Any, corpus: pd.DataFrame) -> pd.DataFrame:
    """The corpus with the classes of the head as its labels.

    In a hierarchy a label that stands under several parents has their names in front;
    a row with an unknown path keeps its label.
    """
    tree: Tree | None = getattr(classifier, "tree_", None)
    if tree is None:
        return corpus
    levels = [f"label_{level}" for level in range(1, tree.depth + 1)]
    if not set(levels) <= set(corpus):
        return corpus
    codes = tree.codes(corpus[levels].to_numpy(object))[:, -1]
    names = np.array(tree.names(tree.depth - 1), object)
    labels = np.where(codes >= 0, names[codes], corpus["label"].to_numpy(object))
    return corpus.assign(label=labels)


def study_rows(
    corpus: pd.DataFrame, classes: Sequence[str], *, n_texts: int, split: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a corpus that a study looks at, and the training rows.

    At most `n_texts` rows of `split` with a label of `classes` are drawn at random,
    always the same ones. StcError if that split has no row.
    """
    known = corpus.loc[corpus["label"].isin(list(classes))]
    train = known.loc[known["split"] == "train"]
    rows = known.loc[known["split"] == split]
    if rows.empty or train.empty:
        found = ", ".join(sorted(set(known["split"])))
        raise StcError("split", expected=f"one of {found}", got=repr(split))
    return rows.sample(min(n_texts, len(rows)), random_state=0).sort_index(), train


def study_of(
    classifier: BaseClassifier,
    corpus: pd.DataFrame,
    *,
    n_texts: int = N_TEXTS,
    split: str = "test",
    progress: Progress = silent,
) -> "EffectStudy":
    """The study of a run's classifier on texts of its corpus.

    `corpus` has text, label and split. The answers are those to the rows of
    `study_rows`; the training rows say what is usual.
    """
    classes = linear_head_of(classifier).classes
    known = as_classes(classifier, corpus)
    some, train = study_rows(known, classes, n_texts=n_texts, split=split)
    return EffectStudy(
        classifier,
        some["text"].tolist(),
        some["label"].tolist(),
        reference_texts=train["text"].tolist(),
        reference_labels=train["label"].tolist(),
        progress=progress,
    )


class EffectStudy:
    """A classifier, its texts, and their answers without a change.

    `reference` says what is usual at each site; the head of the last layer is fitted on
    the same texts. So the texts whose answers are looked at should be others.
    """

    def __init__(
        self,
        classifier: BaseClassifier,
        texts: Sequence[str],
        labels: Sequence[str] | None,
        *,
        reference_texts: Sequence[str],
        reference_labels: Sequence[str],
        progress: Progress = silent,
    ) -> None:
        self.backbone: Backbone = classifier.backbone_
        self.head = linear_head_of(classifier)
        self.classes = tuple(self.head.classes)
        self.texts = check_texts(texts)
        self.codes = self._codes(labels)
        some = some_of_each(reference_labels, MOST_REFERENCE)
        lent: list[str] = [str(reference_texts[place]) for place in some]
        known = [str(reference_labels[place]) for place in some]
        self.reference = read_reference(
            self.backbone, check_texts(lent), self.backbone.sites, progress=progress
        )
        last = fit_last_layer(self.backbone, self.classes, lent, known)
        self.readers = {
            CLASSIFIER: GradedHead(self.backbone, self.head),
            LAST_LAYER: GradedHead(self.backbone, last),
        }
        self.words = classifier.words_
        self.batches = text_batches(self.backbone, self.texts)
        self.of_words = self._of_words(self.texts)
        self.before = self.answers(None)

    @property
    def kept(self) -> Neurons:
        """All neurons that the head reads."""
        return KeptNeurons(self.head).all

    def of_layer(self, layer: int) -> Neurons:
        """The kept neurons of one layer."""
        return KeptNeurons(self.head).of_layer(layer)

    def of_class(self, label: str) -> Neurons:
        """The kept neurons that speak for this class more than for any other."""
        return KeptNeurons(self.head).of_class(label)

    def top(self, n: int) -> Neurons:
        """The `n` kept neurons of the largest importance, summed over poolings."""
        return KeptNeurons(self.head).top(n)

    def effect(
        self,
        neurons: Neurons,
        *,
        how: str = "mean",
        steer: float = 0.0,
        n_random: int = N_RANDOM,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Effect:
        """The effect of changing these neurons, beside that of random ones.

        `how` is a key of INTERVENTIONS; "steer" adds `steer` standard deviations.
        `progress` counts the sets: first that of `neurons`, then the random ones. It
        may raise to cancel; then nothing is left in the model.
        """
        way = checked_kind(how, steer)
        if not count_neurons(neurons):
            raise StcError("neurons", expected="at least one neuron", got="none")
        unknown = [site for site in neurons if site not in self.reference.mean]
        if unknown:
            raise StcError(
                "neurons", expected="sites of the backbone", got=str(unknown[0])
            )
        intervention = Intervention(neurons, way, steer, seed)
        progress(0, 1 + n_random)
        after = self.answers(intervention)
        progress(1, 1 + n_random)
        random: dict[str, list[float]] = {reader: [] for reader in self.readers}
        sets = matched_sets(neurons, self.reference, n_sets=n_random, seed=seed)
        for done, others in enumerate(sets, start=2):
            changed = self.answers(intervention._replace(neurons=others))
            for reader, values in random.items():
                values.append(self._change(reader, changed.logits[reader]))
            progress(done, 1 + n_random)
        read, through = self._split(neurons, after)
        readers = tuple(
            self._reader_effect(reader, after.logits[reader], random[reader])
            for reader in self.readers
        )
        return Effect(intervention, len(self.texts), readers, read, through)

    def answers(self, intervention: Intervention | None) -> ReaderAnswers:
        """The features and logits of all texts after a change, or without one."""
        n = len(self.texts)
        X = np.empty((n, len(self.head.features)), np.float32)
        logits = {
            reader: np.empty((n, len(self.classes)), np.float32)
            for reader in self.readers
        }
        for batch in self.batches:
            edit = None
            if intervention is not None:
                edit = edit_of(self.backbone, intervention, self.reference, batch)
            columns, found = self.read(batch, edit)
            X[batch.places] = columns
            for reader, values in found.items():
                logits[reader][batch.places] = values
        return ReaderAnswers(X, logits)

    def change(
        self,
        text: str,
        neurons: Neurons,
        *,
        how: str = "mean",
        steer: float = 0.0,
        n_random: int = N_RANDOM,
        seed: int = 0,
    ) -> TextChange:
        """The answers to any one text, before and after its neurons are changed.

        `how` and `steer` are those of `effect`; `n_random` sets of random neurons of
        the same sites, with a like spread, are changed in the same way.
        """
        check_texts([text])
        first = Intervention(neurons, checked_kind(how, steer), steer, seed)
        if not count_neurons(neurons):
            raise StcError("neurons", expected="at least one neuron", got="none")
        (own,) = text_batches(self.backbone, [text])

        def logits(intervention: Intervention | None) -> dict[str, dict[str, float]]:
            edit = None
            if intervention is not None:
                edit = edit_of(self.backbone, intervention, self.reference, own)
            found = self._read_as(own, edit, [text])[1]
            return {reader: self._named(values[0]) for reader, values in found.items()}

        sets = matched_sets(neurons, self.reference, n_sets=n_random, seed=seed)
        random = (logits(first._replace(neurons=others)) for others in sets)
        return TextChange(
            logits(None), logits(first), tuple(one[CLASSIFIER] for one in random)
        )

    def patch(self, text: str, donor: str, neurons: Neurons) -> Patch:
        """The answers to `text` whose neurons have the values of the text `donor`."""
        check_texts([text, donor])
        own, edit, aligned = patch_of(self.backbone, neurons, text, donor)
        (other,) = text_batches(self.backbone, [donor])
        read = self._read_as
        before, lent = read(own, None, [text])[1], read(other, None, [donor])[1]
        after = read(own, edit, [text])[1]
        was, other_is, now = (
            {reader: self._named(values[0]) for reader, values in one.items()}
            for one in (before, lent, after)
        )
        return Patch(was, other_is, now, aligned)

    def read(
        self, batch: TextBatch, edit: Edit | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The classifier's features and both readers' logits for one batch of the
        study's texts, which an edit may change on its way."""
        columns, logits = self._forward(batch, edit)
        return columns, self._add(logits, self.of_words[batch.places])

    def _read_as(
        self, batch: TextBatch, edit: Edit | None, texts: Sequence[str]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The same for a batch of other texts."""
        columns, logits = self._forward(batch, edit)
        return columns, self._add(logits, self._of_words(texts))

    def _of_words(self, texts: Sequence[str]) -> np.ndarray:
        """What the words of each text add to the logits: no change of neurons moves
        it."""
        if self.words is None:
            return np.zeros((len(texts), len(self.classes)), np.float32)
        return self.words.logits(texts)

    @staticmethod
    def _add(logits: dict[str, np.ndarray], words: np.ndarray) -> dict[str, np.ndarray]:
        return {**logits, CLASSIFIER: logits[CLASSIFIER] + words}

    def _forward(
        self, batch: TextBatch, edit: Edit | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The features and the logits of the heads on neurons."""
        sites = sorted({site for one in self.readers.values() for site in one.sites})
        mask = torch.ones(batch.kinds.shape, dtype=torch.bool)
        mask = mask.to(self.backbone.device)
        with torch.inference_mode():
            hidden = self.backbone.graded(batch.inputs, sites, edit=edit)
            columns = {
                reader: one.features(hidden, mask)
                for reader, one in self.readers.items()
            }
            logits = {
                reader: one.logits(columns[reader]).float().cpu().numpy()
                for reader, one in self.readers.items()
            }
        return columns[CLASSIFIER].float().cpu().numpy(), logits

    def _reader_effect(
        self, reader: str, after: np.ndarray, random: Sequence[float]
    ) -> ReaderEffect:
        before = self.before.logits[reader]
        moved = centred_logits(after) - centred_logits(before)
        was, now = before.argmax(axis=1), after.argmax(axis=1)
        known = self.codes is not None
        return ReaderEffect(
            reader,
            self._change(reader, after),
            self._named(moved.mean(axis=0)),
            int((was != now).sum()),
            float((was == self.codes).mean()) if known else float("nan"),
            float((now == self.codes).mean()) if known else float("nan"),
            tuple(random),
        )

    def _change(self, reader: str, after: np.ndarray) -> float:
        return margin_change(self.before.logits[reader], after)

    def _split(self, neurons: Neurons, after: ReaderAnswers) -> tuple[float, float]:
        """The change that the read-out sees itself, and that which comes through."""
        X, before = self.before.features.copy(), self.before.logits[CLASSIFIER]
        changed = _columns_of(self.head.features, neurons)
        X[:, changed] = after.features[:, changed]
        direct = self.head.logits(X) + self.of_words
        return (
            margin_change(before, direct),
            margin_change(direct, after.logits[CLASSIFIER], before.argmax(axis=1)),
        )

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return {
            name: float(value) for name, value in zip(self.classes, values, strict=True)
        }

    def _codes(self, labels: Sequence[str] | None) -> Int[np.ndarray, " n"] | None:
        """The places of the labels among the classes; -1 for one that is unknown."""
        if labels is None:
            return None
        if len(labels) != len(self.texts):
            raise StcError(
                "labels",
                expected=f"one for each of {len(self.texts)} texts",
                got=f"{len(labels)}",
            )
        known = {name: code for code, name in enumerate(self.classes)}
        return np.array([known.get(str(label), -1) for label in labels])


def _columns_of(features: Sequence[Feature], neurons: Neurons) -> list[int]:
    """The places of the features that read one of these neurons."""
    members = {site: set(columns.tolist()) for site, columns in neurons.items()}
    return [
        place
        for place, feature in enumerate(features)
        if feature.index in members.get(feature.site, ())
    ]
