"""A run as one file: the same answers to the bit, from nothing but the file."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from helpers.models.tiny import TEXTS, one_thread
from helpers.runs.serving import RECIPES, TUNE, config_of, trained
from stc_core.analysis.row_explanation import explain_row
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.archive import opened_folder
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.loading import open_classifier
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.export.bundle import BundleFacts, write_bundle
from stc_core.export.imported import import_bundle
from stc_core.export.portable import CARD, LICENCE
from stc_core.paths import runs_folder
from stc_core.recipes import registry
from stc_core.runs.annotations import rename, star, tag
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run, list_runs
from stc_core.runs.writer import RunWriter, create_run

assert one_thread

TUNED: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora", "layer": 2},
    "bottleneck": {"method": "bottleneck", "layer": 2},
}
"""Ways to tune that leave more than changed weights behind."""
KINDS = (*RECIPES, *TUNED)
SPARSE = ("stc", "spin", "variability", "contrastive", *TUNED)


def tuned(folder: Path, name: str) -> Run:
    """A run of the recipe variability that tunes in this way."""
    config = config_of(folder, "variability")
    tune = TUNE.changed(**TUNED[name])
    config = config.changed(train=config.train.changed(tune=tune))
    with RunWriter(folder / name, config) as writer:
        return registry.train(config, writer)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(folder, name) for name in RECIPES} | {
        name: tuned(folder, name) for name in TUNED
    }


class Packed(dict[str, Path]):
    """The bundle of each run, and what was said of it."""

    facts: dict[str, BundleFacts]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, runs: dict[str, Run]) -> Packed:
    folder = tmp_path_factory.mktemp("bundles")
    packed = Packed({name: folder / f"{name}.zip" for name in runs})
    packed.facts = {name: write_bundle(runs[name], packed[name]) for name in runs}
    return packed


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch, runs: dict[str, Run]) -> Iterator[Path]:
    """Another machine: another home, and no folder of a run or a model of this one."""
    monkeypatch.setenv("STC_HOME", str(tmp_path / "elsewhere"))
    here = runs["stc"].folder.parent
    away = here.rename(here.with_name("away"))
    try:
        yield tmp_path
    finally:
        away.rename(here)


def answers_of(classifier: BaseClassifier) -> dict[str, Any]:
    """Everything that the classifier says of a few texts."""
    said: dict[str, Any] = {"p": classifier.predict_proba(TEXTS).tolist()}
    if "explain" in classifier.abilities:
        said["why"] = [classifier.explain(text) for text in TEXTS[:4]]
    if isinstance(classifier, HierarchicalClassifier):
        said["steps"] = classifier.steps(TEXTS[3], classifier.answer(TEXTS[3:4]))
    if isinstance(classifier, ReplyingClassifier):
        said["replies"] = classifier.write(TEXTS[:3]).parts
    return said


@pytest.fixture(scope="module")
def told(runs: dict[str, Run]) -> dict[str, Any]:
    """The answers of each run itself, as JSON: it keeps every bit of a number."""
    return {
        name: json.dumps(answers_of(run.classifier(device="cpu")))
        for name, run in runs.items()
    }


@pytest.mark.parametrize("name", KINDS)
def test_the_answers_are_the_same_to_the_bit(
    name: str, bundles: Packed, told: dict[str, Any], elsewhere: Path
):
    run = Run.open(bundles[name])
    classifier = run.classifier(device="cpu")
    assert json.dumps(answers_of(classifier)) == told[name]
    opened = open_classifier(bundles[name], device="cpu")
    assert type(opened) is type(classifier)
    assert run.folder.name == name


@pytest.mark.parametrize("name", SPARSE)
def test_an_estimator_is_loaded_from_it(name: str, bundles: Packed, elsewhere: Path):
    model = SparsifyThenClassify.load(bundles[name], device="cpu")
    ours = Run.open(bundles[name]).classifier(device="cpu").predict_proba(TEXTS)
    np.testing.assert_array_equal(model.predict_proba(TEXTS), ours)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(SPARSE)))
def test_another_kind_of_classifier_is_no_estimator(name: str, bundles: Packed):
    with pytest.raises(StcError, match=r"got another kind, .* Run\.open"):
        SparsifyThenClassify.load(bundles[name])


@pytest.mark.parametrize("name", KINDS)
def test_only_the_blocks_that_are_used_are_in_it(
    name: str, bundles: Packed, runs: dict[str, Run]
):
    facts = bundles.facts[name]
    is_whole = name == "existing"
    assert ("own head" in facts.whole_because) == is_whole
    assert is_whole or facts.whole_because == ""
    classifier = runs[name].classifier(device="cpu")
    top = max(classifier.top_layer, 1)
    is_adapted = name == "bottleneck"  # cut where the tuning ended
    assert facts.blocks == (classifier.backbone_.n_layers if is_adapted else top)
    assert facts.n_bytes == bundles[name].stat().st_size


def test_a_shallow_classifier_needs_less(runs: dict[str, Run], tmp_path: Path):
    """The weights of the blocks above it are not in the file."""
    config = config_of(runs["stc"].folder.parent, "stc")
    config = config.changed(train=config.train.changed(max_layer=1))
    with RunWriter(tmp_path / "shallow", config) as writer:
        shallow = registry.train(config, writer)
    facts = write_bundle(shallow, tmp_path / "shallow.zip")
    assert (facts.blocks, facts.blocks_total) == (1, 3)
    names = Backbone.load(
        str(opened_folder(tmp_path / "shallow.zip") / "backbone"), device="cpu"
    ).model.state_dict()
    assert any("layer.0." in n for n in names)
    assert not any("layer.1." in n for n in names)


def test_the_same_run_gives_the_same_bytes(
    bundles: Packed, runs: dict[str, Run], tmp_path: Path
):
    for name in ("stc", "bottleneck", "replies"):
        write_bundle(runs[name], tmp_path / "again.zip")
        assert (tmp_path / "again.zip").read_bytes() == bundles[name].read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_another_backbone_is_refused(name: str, bundles: Packed, elsewhere: Path):
    """Also the whole one that was trained on: this classifier reads its own part."""
    import_bundle(bundles[name])
    weights = sorted((runs_folder() / name / "backbone").rglob("*.safetensors"))[-1]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(StcError, match=r"identity|with weights"):
        Run(runs_folder() / name).classifier(device="cpu")


def test_a_backbone_of_the_run_itself_is_refused(bundles: Packed, runs: dict[str, Run]):
    whole = runs["variability"].classifier(device="cpu").backbone_
    with pytest.raises(StcError, match=r"expected the backbone \.\./backbone"):
        open_classifier(bundles["variability"], backbone=whole)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_tells_of_this_machine_or_its_texts(
    name: str, bundles: Packed, runs: dict[str, Run]
):
    here = str(runs[name].folder.parent)
    texts = runs[name].corpus["text"]
    with ZipFile(bundles[name]) as archive:
        for member in archive.namelist():
            content = archive.read(member)
            assert here.encode() not in content, member
            if member.endswith((".json", ".md")):
                assert not any(text in content.decode() for text in texts), member
        assert not {RunFile.CORPUS, RunFile.LOG, RunFile.ACTIVATIONS} & {
            *archive.namelist()
        }
    packed = Run.open(bundles[name]).environment
    kept = runs[name].environment
    assert packed is not None and kept is not None
    assert packed.machines == kept.machines
    assert list(packed.tables.values()) == list(kept.tables.values())


def test_texts_are_packed_if_asked_for(runs: dict[str, Run], tmp_path: Path):
    star(runs["stc"].folder, 3, on=True)
    try:
        write_bundle(runs["stc"], tmp_path / "texts.zip", texts=True)
    finally:
        (runs["stc"].folder / "about.json").unlink()
        (runs["stc"].folder / ".about.lock").unlink(missing_ok=True)
    run = Run.open(tmp_path / "texts.zip")
    for frame in ("corpus", "predictions", "probes", "neurons"):
        assert getattr(run, frame).equals(getattr(runs["stc"], frame))
    np.testing.assert_array_equal(run.activations, runs["stc"].activations)
    assert "The texts are in this bundle" in (run.folder / CARD).read_text("utf-8")


LEFT_BEHIND = {RunFile.LOG, RunFile.WORKER, RunFile.STAGES}
"""Files that no bundle has: they tell of the work on this machine."""


def test_a_bundle_with_texts_has_all_files(runs: dict[str, Run], tmp_path: Path):
    """A new file of a run is in the bundle, too, or is named here."""
    run = runs["stc"]
    write_bundle(run, tmp_path / "texts.zip", texts=True)
    packed = Run.open(tmp_path / "texts.zip")
    known = {file for file in RunFile if run.has(file)}
    whole, cut = run.probe_directions(), packed.probe_directions()
    depth = packed.classifier().backbone_.n_layers
    assert cut.keys() == {one for one in whole if one.site.layer <= depth}
    assert {file for file in known if not packed.has(file)} <= LEFT_BEHIND


def test_a_learned_row_is_explained_by_the_head_that_judged_it(
    runs: dict[str, Run], tmp_path: Path
):
    run = runs["stc"]
    row = int((run.predictions["fold"] >= 0).to_numpy().argmax())
    write_bundle(run, tmp_path / "texts.zip", texts=True)
    packed = Run.open(tmp_path / "texts.zip")
    expected = explain_row(run, row, classifier=run.classifier(device="cpu"))
    found = explain_row(packed, row, classifier=packed.classifier(device="cpu"))
    assert expected["fold"] >= 0
    assert json.dumps(found) == json.dumps(expected)


def test_without_heads_of_folds_the_final_head_explains(
    runs: dict[str, Run], tmp_path: Path
):
    """As in a run that an older version made, or one that was copied in part."""
    copy = Path(shutil.copytree(runs["stc"].folder, tmp_path / "copy"))
    (copy / RunFile.FOLD_HEADS).unlink()
    run = Run.open(copy)
    row = int((runs["stc"].predictions["fold"] >= 0).to_numpy().argmax())
    assert set(run.predictions["fold"].tolist()) == {-1}
    explained = explain_row(run, row, classifier=run.classifier(device="cpu"))
    assert explained["fold"] == -1


@pytest.mark.parametrize("name", ["stc", "classes", "bottleneck"])
def test_a_run_is_made_of_it_again(
    name: str, bundles: Packed, told: dict[str, Any], elsewhere: Path
):
    imported = import_bundle(bundles[name])
    assert imported.done and imported.folder == runs_folder() / name
    assert json.dumps(answers_of(imported.classifier(device="cpu"))) == told[name]
    second = import_bundle(bundles[name])
    assert second.folder.name == f"{name}-2"
    assert {run.folder.name for run in list_runs()} == {name, f"{name}-2"}
    assert {line.name[0] for line in runs_folder().iterdir()} == {name[0]}


def test_a_bundle_of_an_imported_run_is_the_same(
    bundles: Packed, elsewhere: Path, tmp_path: Path
):
    for name in ("stc", "bottleneck", "words"):
        write_bundle(import_bundle(bundles[name]), tmp_path / "again.zip")
        assert (tmp_path / "again.zip").read_bytes() == bundles[name].read_bytes()


def test_name_and_tags_go_along_and_stars_stay(
    bundles: Packed, elsewhere: Path, tmp_path: Path
):
    run = import_bundle(bundles["stc"])
    rename(run.folder, "Messages, final")
    tag(run.folder, ["paper"])
    star(run.folder, 3, on=True)
    write_bundle(run, tmp_path / "named.zip")
    again = Run.open(tmp_path / "named.zip").summary()
    assert (again.name, again.tags) == ("Messages, final", ("paper",))
    about = json.loads((again.folder / "about.json").read_text("utf-8"))
    assert about["stars"] == []


def test_the_card_has_the_scores_and_the_note_the_licence(
    bundles: Packed, runs: dict[str, Run], elsewhere: Path
):
    folder = opened_folder(bundles["stc"])
    card = (folder / CARD).read_text("utf-8")
    accuracy = Run(folder).metrics["test"]["accuracy"]
    assert f"| This classifier | {100 * accuracy:.1f} % |" in card
    assert "name no licence" in (folder / LICENCE).read_text("utf-8")
    assert "stc explain" not in (opened_folder(bundles["words"]) / CARD).read_text()


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path):
    create_run(tmp_path / "run", RunConfig(data=DataConfig(path="x.csv")))
    with pytest.raises(StcError, match="expected a finished run"):
        write_bundle(Run(tmp_path / "run"), tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_file_that_cannot_be_written_is_told(runs: dict[str, Run], tmp_path: Path):
    for path in (tmp_path, tmp_path / "none" / "x.zip"):
        with pytest.raises(StcError, match="a file name in a folder that exists"):
            write_bundle(runs["stc"], path)
    assert not [*tmp_path.iterdir()]


def test_a_model_that_changes_when_it_is_cut_is_kept_whole(
    runs: dict[str, Run], tmp_path: Path, monkeypatch
):
    """It is told, and the answers are the same."""
    from stc_core.export import portable

    def spoiled(backbone: Backbone, layer: int, folder: Path) -> None:
        portable.write_whole(portable.source_folder(backbone), folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config["layer_norm_eps"] = 0.1
        (folder / "config.json").write_text(json.dumps(config), "utf-8")

    monkeypatch.setattr(portable, "write_cut", spoiled)
    facts = write_bundle(runs["stc"], tmp_path / "whole.zip")
    assert facts.whole_because == "without its upper blocks its values differ"
    shutil.rmtree(opened_folder(tmp_path / "whole.zip").parent)
    classifier = Run.open(tmp_path / "whole.zip").classifier(device="cpu")
    ours = runs["stc"].classifier(device="cpu")
    assert classifier.backbone_.n_layers == 3
    np.testing.assert_array_equal(
        classifier.predict_proba(TEXTS), ours.predict_proba(TEXTS)
    )


def test_an_import_that_fails_leaves_nothing(
    bundles: Packed, elsewhere: Path, tmp_path: Path
):
    bad = tmp_path / "bad.zip"
    data = bytearray(bundles["stc"].read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    with pytest.raises(StcError, match=r"bad\.zip"):
        import_bundle(bad)
    assert not [*runs_folder().iterdir()]
    with pytest.raises(StcError, match="got no such file"):
        import_bundle(tmp_path / "none.zip")
