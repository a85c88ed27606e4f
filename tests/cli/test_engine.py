"""The options of the engines: what they refuse, and that they change no file."""

import pytest

from helpers.command import Stc
from helpers.models.pooled import assert_equal
from helpers.models.tiny import TEXTS, saved_tiny
from stc_core.activations.saving import ActivationFile

pytestmark = pytest.mark.usefixtures("own_home")
SITE = "resid.1"


@pytest.fixture
def activations(tmp_path, stc: Stc):
    """The command on a few texts and a tiny model, with more options."""
    table = tmp_path / "few.csv"
    table.write_text("\n".join(["text", *TEXTS[:4]]))
    model = saved_tiny(tmp_path / "m")
    first = ("activations", table, "--text", "text", "--backbone", model)

    def command(out: str, *more: object):
        path = tmp_path / out
        return stc(*first, "--device", "cpu", "--site", SITE, "--out", path, *more)

    return command


def test_an_engine_writes_the_same_activations(activations, tmp_path):
    for out, more in (("a", ()), ("b", ("--engine", "local"))):
        said = activations(f"{out}.safetensors", *more)
        assert said.code == 0, said.err
    one, two = (ActivationFile(tmp_path / f"{name}.safetensors") for name in "ab")
    assert_equal(two.read(f"{SITE}.mean"), one.read(f"{SITE}.mean"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--workers", 2), "option --workers: expected --engine local"),
        (("--engine", "local", "--address", "auto"), "option --address: expected"),
        (("--engine", "local", "--tokens"), "--engine: expected no --tokens"),
        (("--engine", "local", "--workers", 0), "option --workers: expected"),
    ],
)
def test_options_that_do_not_go_together(activations, tmp_path, more, words):
    said = activations("a.safetensors", *more)
    assert said.code == 2 and words in said.err
    assert not (tmp_path / "a.safetensors").exists()
