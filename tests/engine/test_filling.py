"""Only shards that are not in the store are computed."""

import pytest

from helpers.faults.shard_works import LengthWork, contents, shards_of_texts
from stc_core.engine.filling import fill, open_store
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError

LOCAL = EngineConfig(engine="local")


def test_after_an_interruption_only_the_others_are_computed(tmp_path):
    shards, work = shards_of_texts(), LengthWork(str(tmp_path))
    store = open_store(LOCAL.changed(shard_store=str(tmp_path / "store")))

    def interrupt(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(work, shards, store, LOCAL, progress=interrupt)
    assert len(store.keys()) == 3
    counts: list[int] = []
    filled = fill(
        work, shards, store, LOCAL, progress=lambda done, total: counts.append(done)
    )
    assert filled[:3] == (12, 6, 3) and len(filled.keys) == 6
    assert counts == [2, 4, 6, 8, 10, 12]
    assert work.begun() == [shard.texts[0] for shard in shards]
    written = contents(tmp_path / "store")
    assert {f"{key}.shard" for key in filled.keys} == set(written)


def test_a_shard_of_another_work_is_not_taken(tmp_path):
    shards, work = shards_of_texts()[:2], LengthWork(str(tmp_path))
    store = open_store(LOCAL.changed(shard_store=str(tmp_path / "store")))
    fill(work, shards, store, LOCAL)
    assert fill(work._replace(factor=3), shards, store, LOCAL).n_known == 0


@pytest.mark.parametrize("option", ["address", "gpus"])
def test_options_of_ray_need_ray(tmp_path, option):
    config = LOCAL.changed(**{option: "auto" if option == "address" else 1})
    with pytest.raises(StcError, match=f"--{option}: expected --engine ray"):
        fill(LengthWork(str(tmp_path)), [], open_store(LOCAL), config)


def test_the_store_is_in_the_home_unless_it_is_named(own_home):
    assert open_store(LOCAL).url == str(own_home / "shards")
