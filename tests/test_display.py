"""Numbers and progress as people read them."""

import io

import pytest

from stc_core.display import (
    ProgressBar,
    count,
    distinct_titles,
    duration,
    interval,
    percent,
    size,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (599.4, "9 min 59 s"),
        (1490, "25 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (3.44e6, "3.4 MB"),
        (1.2e9, "1.2 GB"),
        (5e13, "50.0 TB"),
    ],
)
def test_size(n_bytes, words):
    assert size(n_bytes) == words


def test_one_is_not_many():
    assert count(1, "text") == "1 text" and count(2000, "run") == "2,000 runs"
    assert count(0, "row") == "0 rows"


def test_shares():
    assert percent(0.8744) == "87.4 %"
    assert interval((0.851, 0.8994)) == "85.1 to 89.9 %"


def test_titles_that_are_alike_get_their_key():
    titles = {"r1": "90 % · a", "r2": "80 % · a", "r3": "90 % · a"}
    assert distinct_titles(titles) == {
        "r1": "90 % · a (r1)",
        "r2": "80 % · a",
        "r3": "90 % · a (r3)",
    }


def test_a_bar_shows_each_stage_to_its_end():
    shown = io.StringIO()
    with ProgressBar("fit", file=shown) as bar:
        for total in (4, 2):
            for done in range(1, total + 1):
                bar(done, total)
        bar(1, 2)  # again: a stage with as many steps
    lines = shown.getvalue().replace("\r", "\n").splitlines()
    assert all(line.startswith("fit") for line in lines if line.strip())
    assert "4/4" in shown.getvalue() and "2/2" in shown.getvalue()
    assert "1/2" in lines[-1]
