"""Backbones ranked on a sample: the score by brute force, the order, and bad ones."""

from pathlib import Path

import numpy as np
import pytest

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from stc_core.config import DataConfig, TrainConfig
from stc_core.data.corpus import Corpus, read_corpus
from stc_core.data.task import Task
from stc_core.errors import StcError
from stc_core.heads.least_squares import RIDGES
from stc_core.sweeps.rank import (
    RankedBackbone,
    draw_ranking_sample,
    probe_score,
    rank_backbones,
)
from stc_core.types import PooledSite, Site

pytestmark = pytest.mark.usefixtures("own_home")
SETTINGS = TrainConfig(device="cpu", kinds=("resid",))
SITES = [PooledSite(Site(layer, "resid"), "mean") for layer in range(2)]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    source = str(table(tmp_path, 1, rows=120))
    return read_corpus(DataConfig(path=source, text="text", labels=("level 0",)))


def test_the_score_is_that_of_models_fitted_without_each_row():
    """With the mean, the sd and the penalty of all rows, as the docstring says."""
    rng = np.random.default_rng(0)
    n, codes = 30, rng.integers(0, 3, 30)
    parts = [rng.normal(size=(n, d)).astype(np.float32) for d in (4, 3)]
    parts[0][:, 0] += 4 * (codes == 1)
    parts[0][:, 1] += 4 * (codes == 2)
    rows = np.arange(n)
    task = Task(codes, ("a", "b", "c"), rows, rows[:0])
    widths = dict(zip(SITES, (4, 3), strict=True))
    read = dict(zip(SITES, parts, strict=True)).__getitem__
    X = np.concatenate(parts, axis=1).astype(np.float64)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = np.eye(3)[codes]
    expected = []
    for ridge in RIDGES:
        penalty = ridge * (Z**2).sum() / n
        right = 0
        for row in rows:
            rest = rows != row
            A, B = Z[rest], Y[rest] - Y.mean(axis=0)
            shift = np.column_stack([A, np.ones(n - 1)])
            ridged = shift.T @ shift + np.diag([penalty] * 7 + [0])
            W = np.linalg.solve(ridged, shift.T @ B)
            guess = np.append(Z[row], 1) @ W + Y.mean(axis=0)
            right += int(guess.argmax() == codes[row])
        expected.append(right / n)
    np.testing.assert_allclose(probe_score(read, task, widths), expected, atol=1e-9)
    assert max(expected) > 0.6


def test_the_sample_has_learned_rows_alone(corpus: Corpus):
    sample = draw_ranking_sample(corpus, SETTINGS, rows=40)
    learned = set(np.concatenate([corpus.rows("train"), corpus.rows("validation")]))
    texts = {corpus.texts[int(row)] for row in learned}
    assert len(sample.texts) == 40 and set(sample.texts) <= texts
    assert np.bincount(sample.task.codes).min() >= 10
    everything = draw_ranking_sample(corpus, SETTINGS, rows=2000)
    assert len(everything.texts) == len(learned)
    for wrong in (19, 2001):
        with pytest.raises(StcError, match="option --rows: expected 20 to 2,000 rows"):
            draw_ranking_sample(corpus, SETTINGS, rows=wrong)


def test_the_best_comes_first_and_a_bad_one_last(corpus: Corpus, tmp_path: Path):
    names = [str(saved_base(tmp_path / kind, kind)) for kind in ("bert", "gpt2")]
    sample = draw_ranking_sample(corpus, SETTINGS, rows=60)
    seen: list[RankedBackbone] = []
    asked = [str(tmp_path / "gone"), *names]
    ranked = rank_backbones(sample, asked, SETTINGS, on_result=seen.append)
    assert [one.backbone for one in seen] == asked
    assert {one.backbone for one in ranked[:2]} == set(names)
    scores = [one.score for one in ranked[:2]]
    assert None not in scores and scores == sorted(scores, reverse=True)
    assert ranked[2].score is None and "gone" in ranked[2].reason
    assert all(one.n_layers == 3 and one.parameters for one in ranked[:2])
    again = rank_backbones(sample, names, SETTINGS)
    assert [one.score for one in again] == scores
    with pytest.raises(StcError, match="option --backbone: expected each value once"):
        rank_backbones(sample, [names[0], names[0]], SETTINGS)
