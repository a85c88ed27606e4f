"""The answers of a trained classifier on texts and on itself, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent
from stc_core.classifiers.predict_table import is_cut
from stc_core.errors import StcError
from stc_core.interpret.integrated_gradients import integrated_gradients
from stc_core.runs.run import Run
from stc_core.runs.run_summary import result_of


def answers(classifier: BaseClassifier, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The label, probability and probabilities of each text, as `stc predict` has them.

    A hierarchical classifier adds `levels`, its `steps` from coarse to fine. The label
    is then that of the finest level that is answered.
    """
    if isinstance(classifier, HierarchicalClassifier):
        return _level_answers(classifier, texts)
    shares = classifier.predict_proba(texts)
    names = [str(name) for name in classifier.classes_]
    return [
        {
            "label": names[best],
            "probability": float(row[best]),
            "probabilities": _named(names, row),
        }
        for row, best in zip(shares, shares.argmax(axis=1).tolist(), strict=True)
    ]


def _level_answers(
    classifier: HierarchicalClassifier, texts: Sequence[str]
) -> list[dict[str, Any]]:
    way = classifier.answer(texts)
    names = [str(name) for name in classifier.classes_]
    found = []
    for row, (text, label) in enumerate(
        zip(texts, classifier.finest_labels(way), strict=True)
    ):
        steps = classifier.steps(text, _row_of(way, row))
        found.append(
            {
                "label": str(label),
                "probability": steps[-1]["probability"],
                "probabilities": _named(names, way.shares[-1][row]),
                "levels": steps,
            }
        )
    return found


def _named(
    names: Sequence[str], values: Float[np.ndarray, " n_class"]
) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def explanation_of(
    classifier: BaseClassifier,
    text: str,
    *,
    label: str | None = None,
    gradients: bool = False,
) -> dict[str, Any]:
    """The explanation that `stc explain --json` prints.

    With `label`, all parts have their contribution to that label only.
    """
    explanation = classifier.explain(text)
    explanation["cut"] = is_cut(classifier, text)
    if label is not None:
        names = list(explanation["logits"])
        if label not in names:
            raise StcError("label", expected=", ".join(names[:20]), got=repr(label))
        for part in explanation.keys() & {"neurons", "words", "tokens"}:
            explanation[part] = [
                {**row, "contribution": {label: row["contribution"][label]}}
                for row in explanation[part]
            ]
    if gradients:
        explanation["gradients"] = integrated_gradients(classifier, text, label=label)
    return explanation


def run_facts(run: Run, classifier: BaseClassifier) -> dict[str, Any]:
    """The facts of a run: recipe, model, layers, test score, classes, levels."""
    known, result = run.summary(), result_of(run.metrics)
    accuracy = result.accuracy
    return {
        "title": known.name,
        "recipe": known.recipe,
        "way": known.method,
        "backbone": known.backbone,
        "layers": {"read": result.layers, "of": result.layers_total},
        "neurons": result.neurons,
        "test": {
            "accuracy": accuracy.value,
            "accuracy_interval": [accuracy.low, accuracy.high],
            "n": result.n_test,
        },
        "can": list(classifier.abilities),
        "levels": _levels(classifier),
        "classes": [str(name) for name in classifier.classes_],
    }


def _levels(classifier: BaseClassifier) -> list[dict[str, Any]]:
    """The levels of labels, coarse to fine; empty if there is a single level."""
    if not isinstance(classifier, HierarchicalClassifier):
        return []
    return [
        {
            "column": column,
            "layer": classifier.layers_[level],
            "classes": [str(name) for name in classifier.tree_.names(level)],
        }
        for level, column in enumerate(classifier.columns_)
    ]


def _row_of(way: Descent, row: int) -> Descent:
    """The path of a single text."""
    rows = slice(row, row + 1)
    return Descent(way.nodes[rows], tuple(share[rows] for share in way.shares))
