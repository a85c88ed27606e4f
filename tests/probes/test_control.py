"""Shuffled labels cannot be read, where the true ones can."""

import numpy as np

from stc_core.data.task import Task
from stc_core.probes import control
from stc_core.probes.control import PATIENCE, control_task
from stc_core.probes.fit import fit_probes
from stc_core.types import PooledSite, Site

PLACES = [PooledSite(Site(1, "mlp"), "mean"), PooledSite(Site(1, "resid"), "mean")]


def made():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 600)
    X = rng.normal(size=(600, 5)).astype(np.float32)
    X[:, 0] += 4 * y
    task = Task(y, ("a", "b"), np.arange(300), np.arange(300, 500))
    return X, task


def accuracies(X: np.ndarray, task: Task, patience: int) -> list[float]:
    found = fit_probes(
        lambda place: X,
        task.codes,
        task.train,
        task.validation,
        pooled_sites=PLACES,
        patience=patience,
    )
    return [probe.accuracy for probe in found]


def test_nothing_is_read_out_of_shuffled_labels():
    X, task = made()
    assert min(accuracies(X, task, 2)) > 0.9
    assert max(accuracies(X, control_task(task), PATIENCE)) < 0.65


def test_the_labels_of_no_other_row_move_and_the_seed_counts(monkeypatch):
    _, task = made()
    monkeypatch.setattr(control, "MOST_CONTROL_ROWS", 100)
    first, again, other = (control_task(task, seed=seed) for seed in (0, 0, 1))
    assert (first.codes == again.codes).all() and (first.codes != other.codes).any()
    assert (first.train == again.train).all()
    assert (first.codes[500:] == task.codes[500:]).all()
    assert (np.bincount(first.codes) == np.bincount(task.codes)).all()
    assert len(first.train) == 100 and set(first.train) <= set(task.train)
    assert (first.validation == task.validation).all()
