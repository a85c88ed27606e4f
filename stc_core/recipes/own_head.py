"""The baseline `own_head`: the answers of a head that the backbone came with."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.loader_files import CONFIG, read_object
from stc_core.classifiers.pretrained.own_labels import match_labels
from stc_core.classifiers.pretrained.sequence_classifier import SequenceClassifier
from stc_core.classifiers.pretrained.sequence_model import SequenceModel, has_own_head
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.errors import StcError
from stc_core.selection.guess import Guess


def check_own_labels(settings: TrainConfig, classes: Sequence[str]) -> None:
    """Raise StcError, before any work, if the option --own-label fits nothing.

    The labels of the head are those of config.json; nothing is loaded.
    """
    if not settings.own_labels:
        return
    if not has_own_head(settings.backbone):
        raise StcError(
            "option --own-label",
            expected="a model with a classification head of its own",
            got=settings.backbone,
        )
    config = read_object(hub.resolve(settings.backbone) / CONFIG)
    known = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    match_labels([str(label) for label in known.values()], classes, settings.own_labels)


def own_head_baseline(
    settings: TrainConfig,
    backbone: Backbone,
    part: Corpus,
    rows: Int[np.ndarray, " n_test"],
) -> dict[str, Callable[[], Guess]]:
    """The baseline by its name, if the backbone's checkpoint has a head of its own.

    It answers the `rows` of the corpus `part` when it is called. The model is then
    loaded again, with its head. A head whose labels do not fit the table raises
    StcError, so that the run says why this baseline is missing. The recipe `existing`
    needs no such baseline: the head is its classifier.
    """
    if settings.recipe == "existing" or not has_own_head(backbone.name):
        return {}

    def guess() -> Guess:
        model = SequenceModel.load(
            backbone.name,
            device=str(backbone.device),
            dtype=str(backbone.dtype).removeprefix("torch."),
            max_length=settings.max_length,
        )
        match = match_labels(model.labels, part.classes, settings.own_labels)
        logits = SequenceClassifier(model, match).logits(list(part.texts.at(rows)))
        n = backbone.n_layers
        return Guess(logits.argmax(axis=1), f"of {len(model.labels)} labels", n)

    return {"own_head": guess}
