"""Backbones ranked on a sample: the score, the order, and bad ones."""

from pathlib import Path

import numpy as np
import pytest

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig, TrainConfig
from stc_core.data.corpus import Corpus, read_corpus
from stc_core.errors import StcError
from stc_core.sweeps.log_me import log_me
from stc_core.sweeps.rank import (
    RankedBackbone,
    draw_ranking_sample,
    layer_evidence,
    rank_backbones,
)
from stc_core.types import PooledSite, Site

pytestmark = pytest.mark.usefixtures("own_home")
SETTINGS = TrainConfig(device="cpu")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    source = str(table(tmp_path, 1, rows=120))
    return read_corpus(DataConfig(path=source, text="text", labels=("level 0",)))


def test_the_score_is_that_of_the_best_layer(corpus: Corpus, tmp_path: Path):
    base = str(saved_base(tmp_path / "base", "bert"))
    sample = draw_ranking_sample(corpus, SETTINGS, rows=40)
    backbone = Backbone.load(base, device="cpu")
    states = [PooledSite(Site(layer, "resid"), "mean") for layer in range(4)]
    ids = backbone.tokenize(sample.texts).ids
    values = backbone.pooled(ids, states)
    expected = [log_me(values[place].numpy(), sample.codes) for place in states]
    scores = layer_evidence(sample, backbone, "float32")
    assert list(scores.values()) == pytest.approx(expected, abs=1e-3)
    (ranked,) = rank_backbones(sample, [base], SETTINGS)
    assert ranked.score == pytest.approx(max(expected), abs=1e-3)
    assert ranked.layer == int(np.argmax(expected))


def test_the_sample_has_learned_rows_alone(corpus: Corpus):
    sample = draw_ranking_sample(corpus, SETTINGS, rows=40)
    learned = set(np.concatenate([corpus.rows("train"), corpus.rows("validation")]))
    texts = {corpus.texts[int(row)] for row in learned}
    assert len(sample.texts) == 40 and set(sample.texts) <= texts
    assert np.bincount(sample.codes).min() >= 10
    everything = draw_ranking_sample(corpus, SETTINGS, rows=5000)
    assert len(everything.texts) == len(learned)
    for wrong in (19, 5001):
        with pytest.raises(StcError, match="option --rows: expected 20 to 5,000 rows"):
            draw_ranking_sample(corpus, SETTINGS, rows=wrong)


def test_the_best_comes_first_and_a_bad_one_last(corpus: Corpus, tmp_path: Path):
    names = [str(saved_base(tmp_path / kind, kind)) for kind in ("bert", "gpt2")]
    sample = draw_ranking_sample(corpus, SETTINGS, rows=60)
    seen: list[RankedBackbone] = []
    asked = [str(tmp_path / "gone"), *names]
    ranked = rank_backbones(sample, asked, SETTINGS, on_result=seen.append)
    assert [one.backbone for one in seen] == asked
    assert {one.backbone for one in ranked[:2]} == set(names)
    best, second = (one.score for one in ranked[:2])
    assert best is not None and second is not None and best >= second
    assert ranked[2].score is None and "gone" in ranked[2].reason
    assert all(one.n_layers == 3 and one.parameters for one in ranked[:2])
    again = rank_backbones(sample, names, SETTINGS)
    assert [one.score for one in again] == [best, second]
    with pytest.raises(StcError, match="option --backbone: expected each value once"):
        rank_backbones(sample, [names[0], names[0]], SETTINGS)
