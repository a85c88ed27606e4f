"""One process or two, in any order, and after deaths: the same bytes."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from helpers.faults.shard_works import LengthWork, contents, shards_of_texts
from stc_core.engine.local import MOST_DEATHS, fill_here
from stc_core.engine.shard_store import ShardStore
from stc_core.errors import StcError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process writes for the shards in their order."""
    folder = tmp_path_factory.mktemp("alone")
    store = ShardStore(str(folder / "store"))
    list(fill_here(LengthWork(str(folder)), shards_of_texts(), store, workers=1))
    return contents(folder / "store")


def test_two_processes_and_another_order_give_the_same_bytes(tmp_path, alone):
    shards = shards_of_texts()
    Random(1).shuffle(shards)
    store = ShardStore(str(tmp_path / "store"))
    work = LengthWork(str(tmp_path), deadly=shards[3].texts[0])
    (tmp_path / "deaths").write_text("xx")  # and two processes are killed
    finished = list(fill_here(work, shards, store, workers=2))
    assert sorted(one.number for one in finished) == list(range(len(shards)))
    assert contents(tmp_path / "store") == alone
    assert set(work.begun()) == {shard.texts[0] for shard in shards}


def test_a_shard_that_always_kills_is_given_up(tmp_path):
    shards = shards_of_texts()[:1]
    work = LengthWork(str(tmp_path), deadly=shards[0].texts[0])
    (tmp_path / "deaths").write_text("x" * (MOST_DEATHS + 1))
    store = ShardStore(str(tmp_path / "store"))
    with pytest.raises(StcError, match=r"4 deaths, the last one during shards 0\. "):
        list(fill_here(work, shards, store, workers=2))


SCRIPT = """
import sys
from pathlib import Path

from helpers.faults.shard_works import LengthWork, shards_of_texts
from stc_core.engine.local import fill_here
from stc_core.engine.shard_store import ShardStore

folder = sys.argv[1]
store = ShardStore(folder + "/store")
print(len(list(fill_here(LengthWork(folder), shards_of_texts(), store, workers=2))))
"""


def test_a_script_that_is_not_guarded_is_run_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(shards_of_texts()))]
