"""The use of each neuron before any is chosen, against the use of kept neurons."""

import numpy as np
import pytest

from helpers.models.studied import CLASSES, LABELS, studied_classifier
from helpers.models.tiny import TEXTS, one_thread, tiny_backbone
from helpers.toy_features import make
from stc_core.data.task import Task
from stc_core.interpret.interventions.effect_records import LAST_LAYER
from stc_core.interpret.interventions.effects import EffectStudy
from stc_core.interpret.interventions.usage import measure_usage
from stc_core.selection.ranking import JointColumns, rank_columns
from stc_core.selection.stc import fit_stc
from stc_core.selection.use import attribution
from stc_core.selection.use.attribution import ModelUse, weigh_use
from stc_core.types import PooledSite, Site

assert one_thread
CODES = np.array([CLASSES.index(label) for label in LABELS])
ROWS = np.arange(len(TEXTS))


def use_on(family: str, rows: np.ndarray = ROWS) -> ModelUse:
    task = Task(CODES, tuple(CLASSES), rows, rows[:0])
    return ModelUse(tiny_backbone(family), list(TEXTS), task, weight=0.5)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bart"])
def test_it_is_the_effect_on_the_last_layer_of_a_study_on_these_texts(family: str):
    study = EffectStudy(
        studied_classifier(family),
        list(TEXTS),
        list(LABELS),
        reference_texts=list(TEXTS),
        reference_labels=list(LABELS),
    )
    # The range of the head stops gradients at the least and the largest value.
    last = study.readers[LAST_LAYER]
    last.low, last.high = last.low - np.inf, last.high + np.inf
    table = measure_usage(study, n_exact=1).table
    use = use_on(family)
    for name, part in table.groupby("site"):
        site = PooledSite(Site.parse(str(name)), "mean")
        found = use.of(ROWS, [site])
        assert len(found) == use.backbone.widths[site.site]
        expected = part["effect_last_layer"].to_numpy()
        np.testing.assert_allclose(
            found[part["index"].to_numpy()], expected, rtol=2e-3, atol=1e-6
        )
        use = use_on(family)  # it keeps the sites of its first question


def test_poolings_of_a_site_share_its_use_and_rows_that_are_not_asked_take_no_part():
    use = use_on("bert")
    sites = [
        PooledSite.parse(name) for name in ("mlp.1.mean", "mlp.1.max", "resid.1.mean")
    ]
    rows = ROWS[:40]
    first = use.of(rows, sites)
    width = use.backbone.widths[sites[0].site]
    np.testing.assert_array_equal(first[:width], first[width : 2 * width])
    other = use_on("bert")
    other.texts = [text if n < 40 else "another" for n, text in enumerate(TEXTS)]
    np.testing.assert_array_equal(other.of(rows, sites), first)
    np.testing.assert_array_equal(use.measured_on(rows).of(ROWS, sites), first)


def test_what_was_measured_once_is_kept(monkeypatch: pytest.MonkeyPatch):
    use, sites = use_on("bert"), [PooledSite.parse("mlp.1.mean")]
    first = use.of(ROWS, sites)
    monkeypatch.setattr(attribution, "fit_last_layer", None)
    np.testing.assert_array_equal(use.of(ROWS[::-1], sites), first)
    with pytest.raises(TypeError):
        use.of(ROWS[:30], sites)


def test_weights_of_nothing_and_of_all():
    importance = np.array([4.0, 1.0, 0.0, 2.0], np.float32)
    used = np.array([0.0, 2.0, 8.0, 4.0], np.float32)
    np.testing.assert_allclose(weigh_use(importance, used, 0.0), importance)
    alone = weigh_use(importance, used, 1.0)
    assert np.argsort(alone).tolist()[-2:] == [1, 3] and alone[2] == 0
    both = weigh_use(importance, used, 0.5)
    np.testing.assert_allclose(both, importance**0.5 * used / 8)


class Known(ModelUse):
    """The use of two columns, in place of what a model would say."""

    def __init__(self, weight: float) -> None:
        self.weight, self.asked = weight, []

    def of(self, rows, sites):
        self.asked.append(np.unique(rows))
        found = np.full(10 * len(sites), 1e-3, np.float32)
        found[[3, 44]] = 1.0
        return found


def test_a_ranking_weighs_it_for_each_fold_by_its_own_rows():
    toy = make()
    plain = JointColumns(toy.read, toy.task, toy.probes())
    use = Known(0.9)
    columns = JointColumns(toy.read, toy.task, toy.probes(), use=use)
    ranked = rank_columns(columns, [2])[2]
    for order in (*ranked.by_fold, ranked.final):
        assert set(order[:2].tolist()) == {3, 44}
    assert set(rank_columns(plain, [2])[2].final[:3].tolist()).isdisjoint({3, 44})
    asked = [rows.tolist() for rows in use.asked]
    assert asked == [np.sort(fit).tolist() for fit in columns.fits]
    how = {"use": use, "budget": 2}
    fitted = fit_stc(toy.read, toy.task, toy.probes(), **how)
    assert {columns.at(3), columns.at(44)} == set(fitted.head.features)
