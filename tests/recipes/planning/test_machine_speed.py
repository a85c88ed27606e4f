"""What is timed, against what takes that time."""

import json
import os
import subprocess
import sys

import pytest

from stc_core.recipes.planning.machine_speed import (
    Arithmetic,
    _powers,
    measure_arithmetic,
)
from stc_core.recipes.planning.phase_seconds import (
    Shape,
    joint_seconds,
    probe_seconds,
    select_seconds,
)

PACE = Arithmetic(product=1e-11, solve=(4e-9, 2e-12), cell=6e-9)
SHAPE = Shape(5000, 3000, 4000, 6, 250_000, (384,) * 6 + (1536,) * 6, depths=6)


@pytest.mark.parametrize("true", [(4e-9, 2e-12), (1e-8, 0.0), (0.0, 3e-12)])
def test_two_solves_give_the_powers(true: tuple[float, float]):
    sizes = 500, 3000
    few, many = (true[0] * n**2 + true[1] * n**3 for n in sizes)
    assert _powers(sizes, (few, many)) == pytest.approx(true, rel=1e-6, abs=1e-18)


@pytest.mark.parametrize("seconds", [(2.0, 1.0), (1e-9, 1.0)])
def test_odd_times_give_no_negative_power(seconds: tuple[float, float]):
    """As when a busy moment falls on one of the two."""
    squared, cubed = _powers((500, 3000), seconds)
    assert squared >= 0 and cubed >= 0
    assert squared * 3000**2 + cubed * 3000**3 == pytest.approx(seconds[1])


def test_times_are_of_this_machine():
    found = measure_arithmetic()
    assert found.gram(2000, 1000) == pytest.approx(found.gram(1000, 1000) * 2)
    assert 3.999 < found.solves(2000) / found.solves(1000) <= 8.001
    assert 0 < found.solves(1000) < 10 and 0 < found.cell < 1e-6


def test_a_machine_half_as_fast_takes_twice_as_long():
    slow = Arithmetic(2e-11, (8e-9, 4e-12), 12e-9)
    for seconds in (probe_seconds, select_seconds, joint_seconds):
        assert seconds(SHAPE, slow) == pytest.approx(2 * seconds(SHAPE, PACE))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"OPENBLAS_THREAD_TIMEOUT": "16", "GOMP_SPINCOUNT": "10000"}),
        ({"OPENBLAS_THREAD_TIMEOUT": "20"}, {"OPENBLAS_THREAD_TIMEOUT": "20"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": None}),
    ],
)
def test_threads_do_not_hold_up_those_of_others(given, told):
    """The settings are there before NumPy loads, and the user's own ones stay."""
    code = (
        "import stc_core, os, sys, json; assert 'numpy' not in sys.modules;"
        "print(json.dumps(dict(os.environ)))"
    )
    ours = ("OPENBLAS_THREAD_TIMEOUT", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    plain = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain | given,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert {name: found.get(name) for name in told} == told
