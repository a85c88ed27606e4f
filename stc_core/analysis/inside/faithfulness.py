"""How faithful the explanations of a run are, measured once and kept in its folder."""

import time
from typing import Any

from stc_core.analysis.inside.kept import kept_or_measured
from stc_core.classifiers.base import BaseClassifier
from stc_core.interpret.faithfulness.over_neurons import faithfulness_over_neurons
from stc_core.interpret.faithfulness.over_words import faithfulness_over_words
from stc_core.interpret.interventions.effects import as_classes, study_of, study_rows
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.types import Progress, silent

N_ERASED_TEXTS = 100
"""At most so many texts are looked at, unless the user asks for others."""


def measured_faithfulness(
    run: Run,
    *,
    n_texts: int = N_ERASED_TEXTS,
    split: str | None = None,
    seed: int = 0,
    classifier: BaseClassifier | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The faithfulness of the explanations of a run, as faithfulness.json has it.

    It is measured on `n_texts` texts at most of `split` (test, or validation if there
    are no test texts) and kept in the run's folder; what was measured with the same
    arguments for the same head is read from there. `words` and `neurons` are records of
    `PartScores`, in which a case has the `example` (its place in the corpus, from 0)
    and the `row` of the table. Pass `classifier` to open none. `progress` counts steps:
    texts, and then batches.
    """
    corpus = run.corpus
    split = split or default_split(corpus)
    asked = {"asked_texts": n_texts, "split": split, "seed": seed}

    def measure() -> dict[str, Any]:
        model = run.classifier() if classifier is None else classifier
        start = time.perf_counter()
        study = study_of(model, corpus, n_texts=n_texts, split=split)
        known = as_classes(model, corpus)
        rows, _ = study_rows(known, study.classes, n_texts=n_texts, split=split)
        total = len(study.texts) + len(study.batches)
        words = faithfulness_over_words(
            model,
            study.texts,
            seed=seed,
            progress=lambda done, _: progress(done, total),
        )
        neurons = faithfulness_over_neurons(
            study,
            seed=seed,
            progress=lambda done, _: progress(len(study.texts) + done, total),
        )
        parts = {"words": words.record(), "neurons": neurons.record()}
        for part in parts.values():
            for case in part["cases"]:
                row = rows.iloc[case.pop("place")]
                case |= {"example": int(row.name), "row": int(row["row"])}
        return {**parts, "seconds": round(time.perf_counter() - start, 1)}

    return kept_or_measured(run, RunFile.FAITHFULNESS, asked, measure)


def default_split(corpus: Any) -> str:
    """test; validation for a corpus without test rows."""
    return "test" if (corpus["split"] == "test").any() else "validation"
