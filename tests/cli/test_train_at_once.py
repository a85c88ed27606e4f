"""Several commands for one folder at once: one trains, and the others say why not."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from stc_core.runs.run import Run

ROOT = Path(__file__).parents[2]


def begun(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stc_core", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_four_trainings_into_one_folder_one_is_done(tmp_path: Path):
    base, source = saved_base(tmp_path / "base", "bert"), table(tmp_path, 1)
    out = tmp_path / "out" / "run"
    columns = ("--text", "text", "--label", "level 0")
    wish = (*columns, "--backbone", base, "--kind", "resid", "--out", out)
    trainings = [begun("train", source, *wish, "--name", n) for n in range(4)]
    said = [training.communicate()[1] for training in trainings]
    codes = [training.returncode for training in trainings]
    assert sorted(codes) == [0, 2, 2, 2], said
    run = Run.open(out)
    assert run.done and run.name == str(codes.index(0))
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or "works on" in text or "a finished run" in text, text
        assert "Traceback" not in text
    assert sum("works on" in text for text in said) >= 1
    assert [path.name for path in out.parent.iterdir()] == ["run"]
