"""A key says what is computed of which texts, and nothing else."""

import pyarrow as pa

from helpers.faults.shard_works import LengthWork
from stc_core.engine.shards import about_of, broken_of, numbered, shard_key, with_about


def test_shards_are_numbered_and_know_where_they_start():
    found = list(numbered([["a", "b"], ["c"], ["d", "e"]]))
    assert [(one.number, one.start, len(one.texts)) for one in found] == [
        (0, 0, 2),
        (1, 2, 1),
        (2, 3, 2),
    ]


def test_the_key_depends_on_the_texts_their_order_and_the_work(tmp_path):
    work = LengthWork(str(tmp_path))
    keys = {
        shard_key(work, ["a", "b"]),
        shard_key(work, ["b", "a"]),
        shard_key(work, ["ab"]),
        shard_key(work._replace(factor=2), ["a", "b"]),
    }
    assert len(keys) == 4
    elsewhere = work._replace(folder="elsewhere")
    assert shard_key(elsewhere, ["ab"]) == shard_key(work, ["ab"])


def test_what_is_known_of_the_texts_goes_with_the_result():
    table = with_about(pa.table({"x": [1]}), {"broken": {3: "why"}, "more": [1]})
    assert broken_of(table) == {3: "why"}
    assert about_of(table)["more"] == [1]
