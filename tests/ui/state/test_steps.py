"""Back and forth in an order, and where one is in it."""

import pytest

from ui.state.steps import Steps, steps, steps_around


@pytest.mark.parametrize(
    ("now", "there"),
    [
        (2, Steps(None, 4, "1 of 3")),
        (4, Steps(2, 7, "2 of 3")),
        (7, Steps(4, None, "3 of 3")),
        (99, Steps(None, 2, "not among 3 shown")),
    ],
)
def test_steps_follow_the_order_shown(now, there):
    assert steps([2, 4, 7], now) == there


def test_an_empty_order_leads_nowhere():
    assert steps([], 3) == Steps(None, None, "not among 0 shown")


def test_the_order_may_fall_and_is_counted_in_thousands():
    assert steps(range(2000, 0, -1), 1) == Steps(2, None, "2,000 of 2,000")


@pytest.mark.parametrize("most", [4, 10, 50])
def test_beside_one_are_so_many_and_it_is_among_them(most: int):
    order = [7 * place % 101 for place in range(101)]
    windows = {now: steps_around(order, now, most) for now in order}
    for now, window in windows.items():
        at = order.index(window[0])
        assert now in window and window == order[at : at + most]
        assert len(window) == most
    assert len({window[0] for window in windows.values()}) <= 101 // (most // 2) + 1


def test_beside_few_are_all():
    assert steps_around([3, 1, 2], 1, 10) == [3, 1, 2]
