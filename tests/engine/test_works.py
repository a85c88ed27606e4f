"""A shard is read as its texts alone are, by the model that was named and no other."""

import numpy as np
import pytest

from helpers.models.classifiers import THREE, make
from helpers.models.pooled import assert_equal
from helpers.models.tiny import TEXTS, saved_tiny
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.labelling.text_labels import label_texts
from stc_core.classifiers.loading import open_classifier
from stc_core.engine.results import shard_activations, shard_labels
from stc_core.engine.shards import broken_of, shard_key
from stc_core.engine.works import LabellingWork, ReadingWork, folder_digest
from stc_core.errors import StcError
from stc_core.types import PooledSite

WANTED = tuple(map(PooledSite.parse, ("resid.1.mean", "mlp.1.max")))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_tiny(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, model):
    """A small classifier on the saved model, in a folder."""
    folder = tmp_path_factory.mktemp("saved") / "c"
    fitted = make(backbone=str(model), device="cpu", budget=2).fit(*THREE)
    fitted.save(folder)
    return folder


def reading(model, **changes):
    backbone = Backbone.load(str(model), device="cpu")
    work = ReadingWork.of(backbone, WANTED, device="cpu", threads=1)
    return work._replace(**changes)


def test_a_shard_is_read_as_its_texts_are(model):
    result = reading(model).open()([TEXTS[0], "half \ud800", TEXTS[1]])
    assert list(broken_of(result)) == [1]
    found = shard_activations(result, WANTED)
    backbone = Backbone.load(str(model), device="cpu")
    known = backbone.pooled(backbone.tokenize(TEXTS[:2]).ids, list(WANTED))
    for one in WANTED:
        assert_equal(found[one], known[one].numpy())


def test_what_changes_activations_is_in_the_key(model):
    work = reading(model)
    others = [
        work._replace(backbone="another"),
        work._replace(dtype="bfloat16"),
        work._replace(max_length=9),
        work._replace(wanted=WANTED[:1]),
        work._replace(device="cuda"),
        work._replace(threads=2),
    ]
    assert len({shard_key(one, TEXTS) for one in (work, *others)}) == 7
    moved = work._replace(name="elsewhere")
    assert shard_key(moved, TEXTS) == shard_key(work, TEXTS)


def test_a_shard_of_another_backbone_is_refused(model):
    with pytest.raises(StcError, match="on a worker: expected weights of identity"):
        reading(model, backbone="another").open()


def test_a_shard_is_labelled_as_its_texts_are(saved):
    work = LabellingWork.of(saved, device="cpu", threads=1)
    found = shard_labels(work.open()(TEXTS))
    known = label_texts(open_classifier(saved, device="cpu"), TEXTS)
    np.testing.assert_array_equal(found.columns.iloc[:, 1:], known.columns.iloc[:, 1:])
    assert found.columns.iloc[:, 0].tolist() == known.columns.iloc[:, 0].tolist()


def test_a_folder_that_is_another_one_or_not_there_is_refused(saved, tmp_path):
    work = LabellingWork.of(saved, device="cpu", threads=1)
    for other, got in ((tmp_path, "another one"), (tmp_path / "x", "no such folder")):
        with pytest.raises(StcError, match=f"got {got}.*storage that all workers see"):
            work._replace(folder=str(other)).open()


def test_the_digest_depends_on_names_and_contents(tmp_path):
    digests = set()
    for name, content in (("a", "1"), ("a", "2"), ("b", "2")):
        folder = tmp_path / name / content
        folder.mkdir(parents=True)
        (folder / name).write_text(content)
        digests.add(folder_digest(folder))
    assert len(digests) == 3
