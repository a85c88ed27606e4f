"""Why a row of a run got its label, by the head that gave the label.

A learned row that was held out in turn has the answer of a head made without it. The
final head has learned the row, so its explanation would be of another answer.
"""

from typing import Any

from stc_core.analysis.examples import (
    FINAL,
    JUDGED_BY_OWN_HEAD,
    judge_line,
    place_in_words,
)
from stc_core.classifiers.base import BaseClassifier
from stc_core.errors import StcError
from stc_core.interpret.explanation import number_neurons
from stc_core.runs.run import Run


def explain_row(
    run: Run,
    example: int,
    *,
    final: bool = False,
    classifier: BaseClassifier | None = None,
) -> dict[str, Any]:
    """The explanation of a text of `run` by the head that gave its prediction.

    `example` is its position in the corpus. With `final` it is by the final head, which
    may have learned the text. The result is that of `BaseClassifier.explain` with
    `fold`, the place of the head among `run.fold_heads` (FINAL: the final one), and
    `judged_by`, a sentence. Pass `classifier` to open none.
    """
    corpus, predictions = run.corpus, run.predictions
    fold = FINAL if final else _fold_at(predictions, example)
    classifier = classifier or run.classifier()
    text = str(corpus["text"].iloc[example])
    explanation = explain_by(run, classifier_of_fold(run, classifier, fold), text, fold)
    if "judged_by" in explanation:
        return explanation
    judged = predictions.iloc[example]
    was_held = "held" in judged and bool(judged["held"])
    said = judge_line(str(judged["split"]), fold=fold, held=was_held)
    return {**explanation, "judged_by": said}


def explain_by(
    run: Run, classifier: BaseClassifier, text: str, fold: int
) -> dict[str, Any]:
    """The explanation of `text` by `classifier`, which has the head of `fold`.

    It has `fold`, and for another head than the final one a `number` for each neuron:
    that of the same neuron in the run, None if the final head does not read it. For
    the head of an existing classifier it has `judged_by`, a sentence.
    """
    explanation = {**classifier.explain(text), "fold": fold}
    if "own_head" in run.metrics:
        return {**explanation, "judged_by": JUDGED_BY_OWN_HEAD}
    return explanation if fold == FINAL else number_neurons(explanation, run.neurons)


def classifier_of_fold(
    run: Run, classifier: BaseClassifier, fold: int
) -> BaseClassifier:
    """The classifier of `run` with the head of a fold; FINAL: as it is."""
    if fold == FINAL:
        return classifier
    return classifier.with_head(run.fold_heads[fold], run.fold_words[fold])


def example_at(run: Run, row: int) -> int:
    """The position in the corpus of a row of the table, counted from 1.

    Raises StcError if the run does not use such a row.
    """
    corpus = run.corpus
    found = (
        ((corpus["row"] == row) & (corpus["file"] == "data")).to_numpy().nonzero()[0]
    )
    if not len(found):
        n = run.report.n_rows
        raise StcError(
            place_in_words(row, "data"),
            expected=f"a row of the table that the run uses, from 1 to {n:,}",
            got="none with this number",
            remedy="Rows without a text or a label are left out: `stc data check` "
            "lists them. Pass the --text of a row of another file.",
        )
    return int(found[0])


def _fold_at(predictions: Any, example: int) -> int:
    """The fold of a row; FINAL also in a run that keeps no heads of folds."""
    return int(predictions["fold"].iloc[example]) if "fold" in predictions else FINAL
