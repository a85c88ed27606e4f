"""Trainings on up to a million texts, half an hour on two cores: time, memory, disk.

    python -m benches large

Short texts as in bench_scale.py, ten times as many each time, against linear growth.
"""

from collections.abc import Iterator

from bench_scale import growing

from benches.measure import Row, show

SIZES = (10_000, 100_000, 1_000_000)


def bench() -> Iterator[Row]:
    yield from growing("large", SIZES)


if __name__ == "__main__":
    show(bench, __doc__ or "")
