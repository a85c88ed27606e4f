"""The usage of a run's neurons is that of a study of its texts, and is kept."""

import shutil
from pathlib import Path

import pytest

from stc_core.analysis.inside.use import measured_usage
from stc_core.interpret.interventions import effects
from stc_core.runs.run import Run


def test_a_study_that_is_there_is_taken(run_folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(effects, "MOST_REFERENCE", 20)
    run = Run.open(shutil.copytree(run_folder, tmp_path / "run"))
    model = run.classifier()
    study = effects.study_of(model, run.corpus, n_texts=4)
    found = measured_usage(run, n_texts=4, study=study)
    assert found["texts"] == 4
    assert found == run.usage
    used = run.neuron_usage
    assert len(used) == len(run.neurons)
    by_place = {(row["site"], row["index"]): row for row in found["neurons"]}
    for site, index, effect in zip(
        used["site"], used["index"], used["effect"], strict=True
    ):
        assert effect == pytest.approx(by_place[site, index]["effect"])
