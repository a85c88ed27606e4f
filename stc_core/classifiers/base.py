"""A fitted classifier: a head on a backbone that labels texts and explains the labels.

It is separate from the estimator, so that labelling a text loads nothing that only
fitting needs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Shaped

from stc_core.activations.extract import extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.tokenization.tokens import Span
from stc_core.classifiers import persistence
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.errors import StcError
from stc_core.heads.attribution import contributions, pooled_values, token_shares
from stc_core.heads.head import SparseHead, softmax
from stc_core.heads.word_readout import WordPart, WordReadout
from stc_core.heads.word_shares import word_shares
from stc_core.types import Progress, Site, silent

if TYPE_CHECKING:
    from stc_core.probes.directions import Directions

_SAME_VALUE = 1e-2
"""Values that differ by no more of a standard deviation count as equal."""


class BaseClassifier:
    """Labels texts and explains the labels; runs no block above `head_.layer`.

    `abilities` are the requests that it answers, among predict, explain and generate.
    """

    abilities: ClassVar[tuple[str, ...]] = ("predict", "explain")
    backbone_: Backbone
    head_: SparseHead
    words_: WordReadout | None = None
    classes_: Shaped[np.ndarray, " n_class"]

    @property
    def top_layer(self) -> int:
        """The highest layer that is read; no block above it is run."""
        return self.head_.layer

    def _parts(self) -> tuple[Backbone, SparseHead]:
        return self.backbone_, self.head_

    def features(
        self, texts: Strings, *, progress: Progress = silent
    ) -> Float[np.ndarray, "n n_neurons"]:
        """Raw pooled activations of the selected neurons."""
        backbone, head = self._parts()
        return extract_features(
            backbone, check_texts(texts), head.features, progress=progress
        )

    def logits(
        self, texts: Strings, *, progress: Progress = silent
    ) -> Float[np.ndarray, "n n_class"]:
        """The logits of each class, also for only two: of the head, and of the words
        that are read beside it."""
        texts = check_texts(texts)
        X = self.features(texts, progress=progress)
        logits = self.head_.logits(X)
        return logits if self.words_ is None else logits + self.words_.logits(texts)

    def decision_function(self, texts: Strings) -> Float[np.ndarray, "..."]:
        """A score for each class, (n, n_class); that of the predicted label is largest.

        For two classes it is one number, (n), as in scikit-learn: the log-odds of the
        second class. It is above 0 if the predicted label is `classes_[1]`.
        """
        scores = self._scores(texts)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def _scores(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The scores, a column for each class; the first largest one is the label's."""
        return self.logits(texts)

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """Calibrated probabilities, columns in the order of `classes_`."""
        return softmax(self.logits(texts))

    def predict(self, texts: Strings) -> Shaped[np.ndarray, " n"]:
        """The most probable label of each text, with the type of the fitted labels."""
        best = self._scores(texts).argmax(axis=1)
        return self.classes_[best]

    def score(
        self,
        texts: Strings,
        labels: Any,
        sample_weight: Sequence[float] | Float[np.ndarray, " n"] | None = None,
    ) -> float:
        """The share of texts whose label is predicted right, weighted if asked for."""
        from sklearn.metrics import accuracy_score

        predicted = self.predict(texts)
        return float(accuracy_score(labels, predicted, sample_weight=sample_weight))

    def fit(self, texts: Strings, labels: Any) -> Any:
        """Raise StcError, as it is fitted already.

        The method exists because scikit-learn recognises an estimator by it.
        """
        raise StcError(
            f"fit of a {type(self).__name__}",
            expected="a classifier that can be fitted, such as SparsifyThenClassify",
            got="a fitted classifier that was opened from disk",
            remedy="Wrap it in sklearn.frozen.FrozenEstimator to use it as it is.",
        )

    def with_head(
        self, head: SparseHead, words: WordReadout | None = None
    ) -> "BaseClassifier":
        """The classifier with another head of the same classes, on this backbone.

        It reads `words` beside it, or none.
        """
        other = BaseClassifier()
        other.backbone_, other.head_, other.words_ = self.backbone_, head, words
        other.classes_ = self.classes_
        return other

    def directions(self) -> "Directions":
        """The weights of `head_` in raw units, with the modules where they apply.

        Raises StcError for a classifier without a linear head on selected neurons.
        """
        from stc_core.probes.directions import head_directions

        if not hasattr(self, "head_"):
            raise StcError(
                f"directions of a {type(self).__name__}",
                expected="a classifier with a linear head on selected neurons",
                remedy="Take a run of the recipe stc, variability or hierarchy.",
            )
        return head_directions(self.head_, self._parts()[0])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "backbone_")

    def __sklearn_tags__(self) -> Any:
        """The tags that scikit-learn needs: a classifier of strings."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(
                one_d_array=True, two_d_array=False, sparse=False, string=True
            ),
        )

    def explain(self, text: str) -> dict[str, Any]:
        """The reasons for the label of `text`, ready for JSON.

        It has the label, and the probabilities, logits and bias of each class. Each
        neuron has its activation, its contribution to each class, and whether it is
        outside the head's range. A classifier that reads words has `words`, with the
        places and the contribution of each. Each token has its start and end in `text`
        (equal for special tokens) and its contributions; those of a word belong to its
        tokens. The sum of the neurons and the words with the bias is the logits, and so
        is the sum of the tokens with the bias.
        """
        backbone, head = self._parts()
        check_texts([text])
        sites = sorted({feature.site for feature in head.features})
        ids = backbone.tokenize([text]).ids
        hidden = {
            site: values.numpy()
            for site, values in backbone.token_activations(ids, sites)[0].items()
        }
        x = pooled_values(head.features, hidden)
        split = contributions(head, x)
        parts = [] if self.words_ is None else self.words_.parts(text)
        of_words = sum((part.contribution for part in parts), np.zeros(len(head.bias)))
        logits = split.sum(axis=1) + of_words + head.bias
        names = list(head.classes)
        return {
            "text": text,
            "label": names[int(logits.argmax())],
            "probabilities": _named(names, softmax(logits[None])[0]),
            "logits": _named(names, logits),
            "bias": _named(names, head.bias),
            "neurons": _neurons(head, x, split),
            **({} if self.words_ is None else {"words": _words(names, parts)}),
            "tokens": _tokens(backbone, text, head, hidden, parts),
        }


def open_base(
    folder: str | Path,
    *,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> BaseClassifier:
    """The classifier saved in `folder`, on the backbone it was fitted on.

    Raises StcError if the format is another one, or if the backbone has other weights
    than in the fit.
    """
    head, classes, about, _ = persistence.load_classifier(Path(folder))
    opened = BaseClassifier()
    opened.head_, opened.classes_ = head, classes
    opened.words_ = persistence.load_words(Path(folder))
    opened.backbone_ = about.open(
        folder, backbone=backbone, device=device, progress=progress
    )
    return opened


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _neurons(
    head: SparseHead, x: np.ndarray, split: np.ndarray
) -> list[dict[str, Any]]:
    # The same text read in another batch may differ in the last bits.
    outside = np.abs(x - head.within_range(x)) > _SAME_VALUE * head.sd
    return [
        {
            "site": str(feature.site),
            "layer": feature.site.layer,
            "index": feature.index,
            "pooling": feature.pooling,
            "activation": float(x[j]),
            "outside_range": bool(outside[j]),
            "contribution": _named(head.classes, split[:, j]),
        }
        for j, feature in enumerate(head.features)
    ]


def _words(names: Sequence[str], parts: Sequence[WordPart]) -> list[dict[str, Any]]:
    return [
        {
            "word": part.word,
            "places": [list(place) for place in part.places],
            "value": part.value,
            "contribution": _named(names, part.contribution),
        }
        for part in parts
    ]


def _tokens(
    backbone: Backbone,
    text: str,
    head: SparseHead,
    hidden: dict[Site, np.ndarray],
    parts: Sequence[WordPart],
) -> list[dict[str, Any]]:
    """The contributions of each token, and of words that no token stands for.

    Some decoders read token t - 1 at position t, and a start token at position 0; their
    contributions are shifted back.
    """
    spans = backbone.spans(text)
    shifted = np.zeros((len(spans) + 1, len(head.classes)))
    for site, shares in token_shares(head, hidden).items():
        first = 0 if backbone.reads_shifted(site) else 1
        shifted[first : first + len(shares)] += shares
    lead = [Span(0, 0, "[start]")] if shifted[0].any() else []
    rows = shifted if lead else shifted[1:]
    spans = [*lead, *spans]
    places = [(span.start, span.end) for span in spans]
    of_words, unread = word_shares(parts, text, places, n_class=len(head.classes))
    more = [Span(start, end, text[start:end]) for start, end in unread]
    rows = np.concatenate([rows + of_words, *(row[None] for row in unread.values())])
    return token_rows([*spans, *more], head.classes, rows)


def token_rows(
    spans: Sequence[Span], names: Sequence[str], values: Float[np.ndarray, "pos n"]
) -> list[dict[str, Any]]:
    """The entry of each token in an explanation, with its value for each name."""
    return [
        {
            "start": span.start,
            "end": span.end,
            "text": span.token,
            "unknown": span.unknown,
            "contribution": _named(names, row),
        }
        for span, row in zip(spans, values, strict=True)
    ]
