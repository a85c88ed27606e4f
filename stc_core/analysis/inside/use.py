"""What the model of a run uses of each kept neuron, measured once and kept."""

from typing import Any

from stc_core.analysis.inside.faithfulness import default_split
from stc_core.analysis.inside.kept import kept_or_measured
from stc_core.classifiers.base import BaseClassifier
from stc_core.interpret.interventions.effects import N_TEXTS, EffectStudy, study_of
from stc_core.interpret.interventions.usage import measure_usage
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.types import Progress, silent


def measured_usage(
    run: Run,
    *,
    n_texts: int = N_TEXTS,
    split: str | None = None,
    classifier: BaseClassifier | None = None,
    study: EffectStudy | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The usage of the kept neurons of a run, as usage.json has it.

    It is the record of a `Usage` on `n_texts` texts at most, kept in the run's folder;
    what was measured with the same arguments for the same head is read from there.
    Pass a `classifier`, or the `study` of these texts, to open none. `progress` counts
    batches and then single ablations.
    """
    corpus = run.corpus
    split = split or default_split(corpus)
    asked = {"asked_texts": n_texts, "split": split}

    def measure() -> dict[str, Any]:
        own = study
        if own is None:
            model = run.classifier() if classifier is None else classifier
            own = study_of(model, corpus, n_texts=n_texts, split=split)
        return measure_usage(own, progress=progress).record()

    return kept_or_measured(run, RunFile.USAGE, asked, measure)
