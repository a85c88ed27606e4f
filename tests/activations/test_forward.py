"""Work that is done ahead is bounded."""

import time

from stc_core.activations.forward import map_ahead


def test_no_more_is_worked_ahead_than_there_are_threads():
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return -item

    coming = map_ahead(work, range(40), workers=2)
    assert next(coming) == 0
    time.sleep(0.2)  # they would have begun by now
    assert sorted(begun) == [0, 1, 2]
    assert list(coming) == [-item for item in range(1, 40)]
    assert sorted(begun) == list(range(40))
