"""The words for a time that is not known well."""

import pytest

from ui.shell.job_progress import rough


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "5 s"),
        (12.0, "10 s"),
        (57.0, "55 s"),
        (58.0, "1 min"),
        (200.0, "3 min"),
        (3900.0, "1 h 5 min"),
    ],
)
def test_a_time_left_is_as_exact_as_it_is_known(seconds, words):
    assert rough(seconds) == words
