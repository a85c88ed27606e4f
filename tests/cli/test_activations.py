"""The command that writes activations: its file, what is beside it, its refusals."""

from pathlib import Path

import numpy as np
import pytest

from helpers.command import Stc
from helpers.models.pooled import assert_equal
from helpers.models.tiny import TEXTS as TINY
from helpers.models.tiny import saved_tiny
from stc_core.activations.saving import ActivationFile
from stc_core.backbone.backbone import Backbone
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("own_home")
FIRST = "resid.1"
TEXTS = ("where is my parcel", "i was charged twice", "the app crashes")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Three texts, and a row without one between them."""
    rows = [f"m{n},{text},t{n}" for n, text in enumerate(TEXTS)]
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["key,said,topic", rows[0], "m9,,t9", *rows[1:]]))
    return path


def test_pooled_activations_of_a_table(stc: Stc, few: Path, tmp_path: Path):
    out = tmp_path / "a.safetensors"
    said = stc(
        *("activations", few, "--text", "said", "--id", "key", "--label", "topic"),
        *("--site", "resid.2", "--site", "mlp.1", "--pooling", "mean"),
        *("--pooling", "max", "--out", out, "--device", "cpu"),
    )
    assert said.code == 0, said.err
    assert "Left out: 1 row without text" in said.err
    assert "3 texts" in said.err
    found = ActivationFile(out)
    assert found.names == ("mlp.1.max", "mlp.1.mean", "resid.2.max", "resid.2.mean")
    backbone = Backbone.load(device="cpu")
    one = PooledSite.parse("resid.2.mean")
    known = backbone.pooled(backbone.tokenize(TEXTS).ids, [one])[one]
    assert_equal(found.read("resid.2.mean"), known.numpy())
    assert found.rows.to_dict("list") == {
        "row": [1, 3, 4],
        "id": ["m0", "m1", "m2"],
        "topic": ["t0", "t1", "t2"],
    }


def test_every_token_of_a_table(stc: Stc, few: Path, tmp_path: Path):
    out = tmp_path / "a.safetensors"
    said = stc(
        *("activations", few, "--text", "said", "--site", "resid.1", "--tokens"),
        *("--half", "--out", out, "--device", "cpu"),
    )
    assert said.code == 0, said.err
    found = ActivationFile(out)
    assert "3 texts, 17 tokens" in said.err
    assert found.tokens(1, "resid.1").dtype == np.float16
    rows = found.rows_of(1)
    starts, ends = found.read("starts", rows), found.read("ends", rows)
    words = [TEXTS[1][start:end] for start, end in zip(starts, ends, strict=True)]
    assert [word for word in words if word] == TEXTS[1].split()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tokens", "--pooling", "mean"), "no --tokens with it"),
        (("--site", "resid.99"), "some of layers 0 to 6"),
        (("--site", "heads.1"), "a name like 'resid.3'"),
        (("--pooling", "median"), "expected first, last, max, mean; got 'median'"),
        (("--text", "nothing"), "nothing"),
    ],
)
def test_what_is_refused(stc: Stc, few: Path, tmp_path: Path, options, message):
    said = stc("activations", few, *options, "--out", tmp_path / "a.safetensors")
    assert said.code == 2
    assert message in said.err
    assert not (tmp_path / "a.safetensors").exists()


@pytest.fixture
def on_tiny(tmp_path, stc: Stc):
    """The command on a few texts and a tiny model, with more options."""
    table = tmp_path / "few.csv"
    table.write_text("\n".join(["text", *TINY[:4]]))
    model = saved_tiny(tmp_path / "m")
    first = ("activations", table, "--text", "text", "--backbone", model)

    def command(out: str, *more: object):
        path = tmp_path / out
        return stc(*first, "--device", "cpu", "--site", FIRST, "--out", path, *more)

    return command


def test_an_engine_writes_the_same_activations(on_tiny, tmp_path):
    for out, more in (("a", ()), ("b", ("--engine", "local"))):
        said = on_tiny(f"{out}.safetensors", *more)
        assert said.code == 0, said.err
    one, two = (ActivationFile(tmp_path / f"{name}.safetensors") for name in "ab")
    assert_equal(two.read(f"{FIRST}.mean"), one.read(f"{FIRST}.mean"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--workers", 2), "option --workers: expected --engine local"),
        (("--engine", "local", "--address", "auto"), "option --address: expected"),
        (("--engine", "local", "--tokens"), "--engine: expected no --tokens"),
        (("--engine", "local", "--workers", 0), "option --workers: expected"),
    ],
)
def test_options_that_do_not_go_together(on_tiny, tmp_path, more, words):
    said = on_tiny("a.safetensors", *more)
    assert said.code == 2 and words in said.err
    assert not (tmp_path / "a.safetensors").exists()
