"""A table labelled shard by shard is the table labelled at once, to the byte."""

import pytest

from helpers.models.classifiers import TWO, make
from helpers.models.tiny import saved_tiny
from stc_core.classifiers.labelling import table_chunks
from stc_core.classifiers.loading import open_classifier
from stc_core.classifiers.predict_table import predict_file
from stc_core.engine.settings import EngineConfig
from stc_core.engine.sharded_labels import label_in_shards
from stc_core.engine.works import LabellingWork
from stc_core.errors import StcError

LOCAL = EngineConfig(engine="local")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = saved_tiny(folder / "m")
    fitted = make(backbone=str(model), device="cpu", budget=2)
    return fitted.fit(*TWO).save(folder / "c")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A folder of two tables; three rows are a shard."""
    monkeypatch.setattr(table_chunks, "SHARD_ROWS", 3)
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = [f'{{"text": "{text}"}}' for text in (*TWO[0][:4], "")]
    (folder / "a.jsonl").write_text("\n".join(rows))
    (folder / "b.csv").write_text("\n".join(["text", *TWO[0][4:6]]))
    return folder


def test_the_same_bytes_as_at_once(saved, table, tmp_path, own_home):
    classifier = open_classifier(saved, device="cpu")
    at_once, in_shards = tmp_path / "one.csv", tmp_path / "two.csv"
    known = predict_file(classifier, table, at_once, trained="text")
    work = LabellingWork.of(saved, device="cpu", threads=1)
    found = label_in_shards(work, table, in_shards, LOCAL, trained="text")
    assert in_shards.read_bytes() == at_once.read_bytes()
    assert found == known and found[:2] == (7, 1)
    assert not list((own_home / "shards").glob("*.shard"))


def test_shards_in_a_named_store_are_kept(saved, table, tmp_path):
    config = LOCAL.changed(shard_store=str(tmp_path / "store"))
    work = LabellingWork.of(saved, device="cpu", threads=1)
    label_in_shards(work, table, tmp_path / "out.csv", config, trained="text")
    assert len(list((tmp_path / "store").glob("*.shard"))) == 3


def test_a_pipe_is_refused(saved, tmp_path):
    work = LabellingWork.of(saved, device="cpu", threads=1)
    with pytest.raises(StcError, match="read twice; got a pipe"):
        label_in_shards(work, "-", tmp_path / "out.csv", LOCAL, trained="text")
