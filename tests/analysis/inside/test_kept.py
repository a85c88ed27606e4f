"""A measurement is read again as long as it is of the same head and question."""

import shutil
from pathlib import Path

import pytest

from stc_core.analysis.inside.kept import head_digest, is_current, kept_or_measured
from stc_core.errors import StcError
from stc_core.runs.run import Run


def test_a_record_is_measured_once_for_a_head_and_a_question(tmp_path: Path):
    run, made = Run(tmp_path), list[int]()
    head = tmp_path / "model" / "head.safetensors"
    head.parent.mkdir()
    head.write_bytes(b"one head")

    def ask(**asked: int) -> dict:
        def measure() -> dict:
            made.append(1)
            return {"number": len(made)}

        return kept_or_measured(run, "found.json", asked, measure)

    first = ask(texts=5)
    assert first == {"texts": 5, "head": head_digest(run), "number": 1}
    assert ask(texts=5) == first
    assert ask(texts=6)["number"] == 2
    assert is_current(run, first)
    head.write_bytes(b"another head")
    assert not is_current(run, first)
    third = ask(texts=6)
    assert third["number"] == 3
    (head.parent / "word_readout.safetensors").write_bytes(b"words beside it")
    assert not is_current(run, third)


def test_without_a_file_of_the_head_the_question_alone_counts(tmp_path: Path):
    assert head_digest(Run(tmp_path)) == ""


def test_a_run_that_is_deleted_meanwhile_is_told_and_does_not_come_back(tmp_path: Path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()

    def measure() -> dict:
        shutil.rmtree(run.folder)
        return {"number": 1}

    with pytest.raises(StcError, match="deleted or moved meanwhile"):
        kept_or_measured(run, "found.json", {}, measure)
    assert not run.folder.exists()
