"""Shuffled labels cannot be read, where the true ones can."""

import numpy as np

from stc_core import control
from stc_core.axes import PooledSite, Site
from stc_core.control import control_probes
from stc_core.probe import fit_probes
from stc_core.task import Task

PLACES = [PooledSite(Site(1, "mlp"), "mean"), PooledSite(Site(1, "resid"), "mean")]


def made():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 600)
    X = rng.normal(size=(600, 5)).astype(np.float32)
    X[:, 0] += 4 * y
    task = Task(y, ("a", "b"), np.arange(300), np.arange(300, 500))
    return X, task


def test_nothing_is_read_out_of_shuffled_labels():
    X, task = made()
    true = fit_probes(
        lambda p: X, task.codes, task.train, task.validation, pooled_sites=PLACES
    )
    found = control_probes(lambda p: X, task, PLACES)
    assert [probe.pooled_site for probe in found] == PLACES
    for probe, chance in zip(true, found, strict=True):
        assert probe.accuracy > 0.9 and chance.accuracy < 0.65


def test_the_labels_of_no_other_row_move_and_the_seed_counts(monkeypatch):
    X, task = made()
    seen = []

    def spy(read, y, train, validation, **settings):
        seen.append((y, train))
        return []

    monkeypatch.setattr(control, "fit_probes", spy)
    monkeypatch.setattr(control, "MOST_ROWS", 100)
    for seed in (0, 0, 1):
        control_probes(lambda p: X, task, PLACES, seed=seed)
    (first, train), (again, _), (other, _) = seen
    assert (first == again).all() and (first != other).any()
    assert (first[500:] == task.codes[500:]).all()
    assert (np.bincount(first) == np.bincount(task.codes)).all()
    assert len(train) == 100 and set(train) <= set(task.train)
