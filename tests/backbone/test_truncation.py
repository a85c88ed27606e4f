"""How many texts are cut: a sample against what the backbone itself does."""

import subprocess
import sys
import time

import pytest

from helpers.models.tiny import saved_tiny
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.backbone.truncation import sample_truncation
from stc_core.errors import StcError

TEXTS = ["parcel " * n for n in (1, 100, 253, 254, 255, 400, 9000)]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.load(device="cpu")


def test_all_of_few_texts_are_cut_as_the_backbone_cuts_them(backbone: Backbone):
    cut = sample_truncation(TEXTS)
    assert cut is not None
    assert cut == (backbone.tokenize(TEXTS).n_cut, len(TEXTS), backbone.max_length)
    assert cut.n_cut == 3


def test_of_many_texts_a_sample_is_counted_the_same_each_time():
    texts = [TEXTS[0], TEXTS[5]] * 5000
    cut = sample_truncation(texts)
    assert cut is not None and cut.n == 2000 and cut == sample_truncation(texts)
    assert cut.n_cut / cut.n == pytest.approx(0.5, abs=0.05)


def test_long_texts_take_no_longer_than_their_beginning():
    texts = ["one two three " * 100_000] * 200
    start = time.monotonic()
    cut = sample_truncation(texts)
    assert cut is not None and cut.n_cut == 200
    assert time.monotonic() - start < 10


def test_a_folder_without_a_fast_tokenizer_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("stc_core.backbone.truncation.resolve", lambda name: tmp_path)
    assert sample_truncation(TEXTS) is None


def test_the_limit_of_a_short_model_counts(monkeypatch, tmp_path):
    folder = hub.resolve("all-MiniLM-L6-v2")
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    monkeypatch.setattr("stc_core.backbone.truncation.resolve", lambda name: tmp_path)
    cut = sample_truncation(TEXTS)
    assert cut is not None and (cut.n_cut, cut.max_length) == (6, 64)


def test_neither_torch_nor_a_model_is_loaded():
    code = (
        "import sys; from stc_core.backbone.truncation import sample_truncation; "
        "sample_truncation(['a text']); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_broken_tokenizer_is_told_by_its_file(tmp_path):
    folder = saved_tiny(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(StcError, match=r"tokenizer\.json"):
        sample_truncation(["good film"], str(folder))
