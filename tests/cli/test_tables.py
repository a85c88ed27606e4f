"""What the commands read: pipes, and tables in an encoding that is given."""

import io
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import stc_core.recipes
from helpers.command import Stc
from helpers.runs.fake_recipe import train
from stc_core.data.table import read_table
from stc_core.data.uploads import upload_key
from stc_core.runs.run import Run

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(autouse=True)
def recipe(monkeypatch) -> None:
    recipes = types.ModuleType("stc_core.recipes.registry")
    vars(recipes)["train"] = train
    monkeypatch.setitem(sys.modules, "stc_core.recipes.registry", recipes)
    monkeypatch.setattr(stc_core.recipes, "registry", recipes, raising=False)


def piped(table: Path) -> str:
    """The path of a pipe that holds the bytes of `table`."""
    source, sink = os.pipe()
    os.write(sink, table.read_bytes())
    os.close(sink)
    return f"/dev/fd/{source}"


def test_a_run_keeps_the_table_that_a_pipe_gave(stc: Stc, table: Path, tmp_path: Path):
    out = tmp_path / "run"
    said = stc("train", piped(table), "--test", piped(table), "--out", out)
    assert said.code == 0, said.err
    data = Run.open(out).config.data
    for path in (data.path, data.test_path):
        assert path and upload_key(path) and path in said.err
        assert Path(path).read_bytes() == table.read_bytes()
    assert Path(data.path).name.startswith("pipe-") and data.path.endswith(".csv")


def test_standard_input_is_a_dash(stc: Stc, table: Path, monkeypatch):
    raw = io.BytesIO(table.read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
    said = stc("data", "check", "-")
    assert said.code == 0, said.err
    assert "60 of 60 rows can be used." in said.out


def polish(folder: Path) -> Path:
    rows = "".join(
        f"Kupiłem łóżko {n},{'źle' if n % 2 else 'tak'}\n" for n in range(40)
    )
    path = folder / "opinie.csv"
    path.write_bytes(f"treść,ocena\n{rows}".encode("mac_latin2"))
    return path


def test_the_encoding_that_is_given_is_read_and_kept(stc: Stc, tmp_path: Path):
    table, out = polish(tmp_path), tmp_path / "run"
    for name in ("mac-latin2", "MAC_LATIN2"):
        said = stc("data", "check", table, "--encoding", name)
        assert "text 'treść'; label 'ocena'" in said.out and "źle" in said.out
    said = stc("train", table, "--encoding", "cp1250", "--out", out)
    assert said.code == 0, said.err
    assert Run.open(out).config.data.encoding == "cp1250"


def test_an_unknown_encoding_is_an_error_of_the_user(stc: Stc, table: Path):
    for command in (["data", "check"], ["variability"]):
        said = stc(*command, table, "--encoding", "cp1525")
        assert said.code == 2 and "encoding 'cp1525'" in said.err
        assert "Did you mean cp125" in said.err


class Same:
    classes_ = np.array(["a", "b"])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        return np.tile([1.0, 0.0], (len(texts), 1))


def test_predict_reads_a_pipe_and_an_encoding(stc: Stc, table, tmp_path, monkeypatch):
    stc("train", table, "--text", "text", "--label", "kind", "--out", tmp_path / "run")
    monkeypatch.setattr(Run, "classifier", lambda self, **how: Same())
    out = tmp_path / "out.csv"
    table.write_bytes("text,kind\nžluťoučký kůň,a\n".encode("iso8859_2"))
    said = stc("predict", tmp_path / "run", piped(table), "--out", out)
    assert said.code == 0 and "info: The file is not in Unicode" in said.err, said.err
    given = ["--encoding", "iso8859_2"]
    said = stc("predict", tmp_path / "run", piped(table), "--out", out, *given)
    assert said.code == 0 and "Unicode" not in said.err, said.err
    assert read_table(out)["text"].tolist() == ["žluťoučký kůň"]
