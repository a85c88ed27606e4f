"""A run folder that needs nothing else: it has its model, and no path of this machine.

It has the classifier, the part of the backbone that it reads, the tokenizer, scores, a
model card and a note on licences. The texts that it learned from are left out unless
they are asked for.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from stc_core.backbone.changes import root_folder, tuned_identity
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.hierarchical import (
    TREE,
    WHOLE_FLOPS,
    HierarchicalClassifier,
)
from stc_core.classifiers.loading import open_classifier
from stc_core.classifiers.persistence import About
from stc_core.classifiers.pretrained.sequence_classifier import SequenceClassifier
from stc_core.errors import StcError
from stc_core.export.card import bundle_use, model_card
from stc_core.export.cut_backbone import (
    CutError,
    KeptBlocks,
    source_folder,
    write_cut,
    write_whole,
)
from stc_core.export.licence import copy_licence, licence_note, licence_of
from stc_core.files import read_json, write_json
from stc_core.runs.annotations import read_about
from stc_core.runs.environment import without_folders, write_environment
from stc_core.runs.layout import OF_ROWS, RunFile
from stc_core.runs.run import Run
from stc_core.runs.run_summary import backbone_name
from stc_core.runs.status import new_status

CARD, LICENCE = "README.md", "LICENCE.md"
_NUMBERS = (
    RunFile.REPORT,
    RunFile.PROBES,
    RunFile.CLASSES,
    RunFile.CONTROL,
    RunFile.VARIABILITY,
    RunFile.TUNING,
    RunFile.CURVES,
    RunFile.FRONTIER,
    RunFile.NEURONS,
    RunFile.LEVELS,
    RunFile.LEARNING,
    RunFile.STABILITY,
)
"""Files without a text, and without a value for each row of the data."""
_MOST_TRIED = 24
_TRIED = (
    "yes",
    "Where is my parcel?",
    "The plot was thin, but the actors were very good and the music was better.",
    "I was charged twice for one order (no. 4,711) and nobody answers. " * 8,
)
"""Texts on which a shortened backbone is compared with the whole one, if the run has
no texts."""


def write_portable(run: Run, folder: Path, *, texts: bool) -> KeptBlocks:
    """Write the finished `run` to the new folder `folder`, and say what is in it.

    The classifier in `folder` gives the same answers, bit for bit: a backbone that
    changes when it is shortened is kept whole.
    """
    folder.mkdir(parents=True)
    classifier = run.classifier(device="cpu")
    # A row of the run is explained by the head that judged it, which may read deeper.
    judges = [head.layer for head in run.fold_heads] if texts else []
    top = max([classifier.top_layer, *judges])
    portable, why_whole = _write_model(run, classifier, folder, top)
    for name in (*_NUMBERS, *(OF_ROWS if texts else ())):
        if run.has(name):
            shutil.copyfile(run.folder / name, folder / name)
    _write_records(run, folder, texts=texts)
    kept = KeptBlocks(
        portable.backbone_.n_layers, run.metrics["layers"]["total"], why_whole
    )
    root = root_folder(source_folder(classifier.backbone_))
    copy_licence(root, root_folder(folder / "backbone"))
    licence = licence_of(root)
    card = model_card(
        Run(folder),
        classifier,
        kept,
        licence=licence.name,
        texts=texts,
        use=bundle_use(classifier),
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    note = licence_note(Run(folder), licence)
    (folder / LICENCE).write_text(note, encoding="utf-8")
    return kept


def _write_model(
    run: Run, classifier: BaseClassifier, folder: Path, top: int
) -> tuple[BaseClassifier, str]:
    """Write the classifier and its backbone up to layer `top`, and open them again.

    The second value says why the backbone is whole; '' if it was cut. What was written
    must answer as `classifier` does.
    """
    texts = texts_to_try(run)
    expected = classifier.predict_proba(texts)
    shutil.copytree(run.folder / "model", folder / "model")
    backbone = folder / "backbone"
    try:
        if isinstance(classifier, SequenceClassifier):
            raise CutError("its own head reads its last block")
        write_cut(classifier.backbone_, top, backbone)
        _name_backbone(folder, classifier)
        again = open_classifier(folder / "model", device="cpu")
        if np.array_equal(again.predict_proba(texts), expected):
            return again, ""
        reason = "without its upper blocks its values differ"
    except StcError as error:
        reason = str(error)
    if backbone.exists():
        shutil.rmtree(backbone)
    write_whole(source_folder(classifier.backbone_), backbone)
    _name_backbone(folder, classifier)
    again = open_classifier(folder / "model", device="cpu")
    equal = np.array_equal(again.predict_proba(texts), expected)
    assert equal, f"a copy of {classifier.backbone_.name} gives other answers"
    return again, reason


def texts_to_try(run: Run) -> list[str]:
    """Texts of the run from the shortest to the longest, or those of `_TRIED`."""
    if not run.has(RunFile.CORPUS):
        return list(_TRIED)
    texts = sorted(run.corpus["text"].drop_duplicates(), key=len)
    places = np.linspace(0, len(texts) - 1, _MOST_TRIED).round().astype(int)
    return [texts[place] for place in dict.fromkeys(places.tolist())]


def _name_backbone(folder: Path, classifier: BaseClassifier) -> None:
    """Make the classifier in `folder` read the backbone beside it, and no other."""
    identity = tuned_identity(folder / "backbone")
    about = About.of(classifier.backbone_)._replace(
        name="../backbone", identity=identity
    )
    for name in ("classifier.json", TREE):
        path = folder / "model" / name
        record = read_json(path) if path.is_file() else {}
        if "backbone" in record:
            record["backbone"] = about._asdict()
        if name == TREE and isinstance(classifier, HierarchicalClassifier):
            whole = classifier.whole_flops_ or classifier.backbone_.flops_per_token()
            record[WHOLE_FLOPS] = whole
        if record:
            write_json(path, record)


def _write_records(run: Run, folder: Path, *, texts: bool) -> None:
    """Write settings, scores, state, name and tags, without paths of this machine."""
    config = run.config
    data, train = config.data, config.train
    test_path = data.test_path and Path(data.test_path).name
    changed = config.changed(
        data=data.changed(path=Path(data.path).name, test_path=test_path),
        train=train.changed(backbone=backbone_name(train.backbone)),
    )
    if config.shrink is not None:
        parent = Path(config.shrink.parent).name
        changed = changed.changed(shrink=config.shrink.changed(parent=parent))
    write_json(folder / RunFile.CONFIG, changed)
    metrics: dict[str, Any] = {**run.metrics}
    name = backbone_name(metrics["backbone"]["name"])
    metrics["backbone"] = {**metrics["backbone"], "name": name}
    if "parent" in metrics:
        parent = Path(metrics["parent"]["run"]).name
        metrics["parent"] = {**metrics["parent"], "run": parent}
    write_json(folder / RunFile.METRICS, metrics)
    if (environment := run.environment) is not None:
        write_environment(folder, without_folders(environment))
    before = run.status
    times = {"started": before["started"], "heartbeat": before["heartbeat"]}
    write_json(
        folder / RunFile.STATUS, {**new_status("done"), "phase": "report", **times}
    )
    about = read_about(run.folder)
    if not texts:
        about = about._replace(stars=())
    if any(about):
        write_json(folder / "about.json", about._asdict())
