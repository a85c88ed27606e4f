"""A classifier on disk: the same numbers come back, or a message that helps."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stc_core.classifiers import persistence
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES
from stc_core.types import KINDS, Feature, Site

ABOUT = persistence.About("tiny", "a" * 64, "float32", 48)
PARAMS = {"preset": "stc", "kinds": ("resid", "mlp"), "eta": None, "seed": 3}
FEATURES = tuple(
    Feature(Site(layer, kind), pooling, 7 * layer)
    for layer in (0, 12)
    for kind in KINDS
    for pooling in POOLING_RULES
)


def head() -> SparseHead:
    rng = np.random.default_rng(0)
    n = len(FEATURES)
    return SparseHead(
        FEATURES,
        rng.standard_normal(n).astype(np.float32),
        rng.uniform(0.1, 3, n).astype(np.float32),
        rng.standard_normal((n, 3)).astype(np.float32).T,  # not contiguous
        rng.standard_normal(3).astype(np.float32),
        ("a", "b", "ü <c>"),
    )


def written(folder: Path, classes: tuple = ("a", "b", "ü <c>")) -> Path:
    return persistence.save_classifier(
        folder, head(), np.array(classes), about=ABOUT, params=PARAMS
    )


def test_all_comes_back_to_the_bit(tmp_path):
    found, classes, about, params = persistence.load_classifier(
        written(tmp_path / "deep" / "model")
    )
    before = head()
    assert found.features == before.features and found.classes == before.classes
    X = np.random.default_rng(1).standard_normal((9, len(FEATURES))).astype(np.float32)
    np.testing.assert_array_equal(found.probabilities(X), before.probabilities(X))
    assert classes.tolist() == ["a", "b", "ü <c>"]
    assert about == ABOUT and params == PARAMS


def test_the_range_of_a_head_comes_back_and_an_older_head_has_none(tmp_path):
    ranged = head()._replace(low=head().mean - 1, high=head().mean + 2)
    for given in (ranged, head()):
        persistence.save_classifier(
            tmp_path, given, np.array(given.classes), about=ABOUT, params=PARAMS
        )
        found = persistence.load_classifier(tmp_path)[0]
        assert found.range.keys() == given.range.keys()
        X = 9 * np.random.default_rng(1).standard_normal((9, len(FEATURES)))
        np.testing.assert_array_equal(found.logits(X), given.logits(X))


@pytest.mark.parametrize("classes", [(1, 2, 30), (True, False), (0.5, 1.5)])
def test_labels_keep_their_kind(tmp_path, classes):
    _, found, _, _ = persistence.load_classifier(written(tmp_path, classes))
    assert found.tolist() == list(classes)
    assert found.dtype == np.array(classes).dtype


def test_saving_again_replaces(tmp_path):
    written(tmp_path)
    few = head()._replace(features=FEATURES[:1], weight=np.ones((3, 1), np.float32))
    few = few._replace(mean=np.zeros(1, np.float32), sd=np.ones(1, np.float32))
    persistence.save_classifier(
        tmp_path, few, np.array(few.classes), about=ABOUT, params={}
    )
    assert persistence.load_classifier(tmp_path)[0].features == FEATURES[:1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classifier.json",
        "head.safetensors",
    ]


@pytest.mark.parametrize("name", ["classifier.json", "head.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    (written(tmp_path) / name).unlink()
    with pytest.raises(StcError, match=f"a folder with {name}"):
        persistence.load_classifier(tmp_path)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(StcError, match="a folder with"):
        persistence.load_classifier(tmp_path / "none")


def test_another_format_is_refused(tmp_path):
    path = written(tmp_path) / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(
        StcError, match=r"expected a format up to 4; got 99.*Train it again"
    ):
        persistence.load_classifier(tmp_path)


def test_a_classifier_of_format_1_is_still_read(tmp_path):
    """It kept kinds and poolings by their position, and had no names of them."""
    before = head()
    kinds, poolings = ("resid", "mlp"), ("first", "last", "max", "mean")
    positions = [
        (f.site.layer, kinds.index(f.site.kind), poolings.index(f.pooling), f.index)
        for f in before.features
    ]
    written(tmp_path)
    path = tmp_path / "head.safetensors"
    tensors = load_file(path) | {"features": np.array(positions, np.int32)}
    save_file(tensors, path)
    about = tmp_path / "classifier.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "format": 1}))
    found = persistence.load_classifier(tmp_path)[0]
    assert found.features == before.features
    np.testing.assert_array_equal(found.weight, before.weight)


def test_a_cut_file_of_weights_is_refused(tmp_path):
    path = written(tmp_path) / "head.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StcError, match=r"damaged head\.safetensors"):
        persistence.load_classifier(tmp_path)


def test_a_cut_json_is_refused(tmp_path):
    path = written(tmp_path) / "classifier.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(StcError, match=r"classifier\.json.*damaged"):
        persistence.load_classifier(tmp_path)


def test_nothing_is_pickled(tmp_path):
    assert {path.suffix for path in written(tmp_path).iterdir()} == {
        ".json",
        ".safetensors",
    }
