"""A run as an ONNX graph with its tokenizer, for programs without torch.

The graph is made by torch.onnx's exporter on torch.export (dynamo): the older one, on
TorchScript, is deprecated and cannot trace the masks of today's transformers.
"""

import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from stc_core.backbone.changes import root_folder
from stc_core.backbone.loading.checkpoint import quiet
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.loading import open_classifier
from stc_core.errors import StcError
from stc_core.export.card import model_card
from stc_core.export.cut_backbone import KeptBlocks
from stc_core.export.graph import graph_of
from stc_core.export.licence import licence_of
from stc_core.export.portable import CARD, LICENCE, texts_to_try, write_portable
from stc_core.files import write_error, write_json
from stc_core.heads import ngrams
from stc_core.installation.extras import require_extra
from stc_core.runs.layout import RunFile
from stc_core.runs.processes.jobs import check_vacant
from stc_core.runs.run import Run

GRAPH, INT8_GRAPH, ABOUT_GRAPH = "model.onnx", "model.int8.onnx", "about.json"
SCRIPT = Path(__file__).with_name("predict_onnx.py")
WORD_SCRIPT = Path(__file__).with_name("word_logits.py")
MOST_APART = 1e-4
"""The most by which a probability of the graph may differ from that of torch."""
_OUTPUTS = ("logits", "probabilities", "label")
_MOST_JUDGED = 1000
_USE = """`predict.py` needs numpy, onnxruntime and tokenizers, nothing else:

```sh
python predict.py . < texts.txt
```

The graph takes `input_ids` and `attention_mask`, padded on the right, of any batch and
length; of a classifier that reads words also `word_logits`, which `predict.py`
computes. It gives `logits`, `probabilities` and `label`, the place of the label in
`classes` of `about.json`."""


class Int8Loss(NamedTuple):
    """What int8 weights cost on `n` texts.

    `same` is the share of equal labels. The accuracies are None without true labels.
    `most` is the largest difference of a probability.
    """

    n: int
    same: float
    accuracy: float | None
    accuracy_float: float | None
    most: float


class OnnxFacts(NamedTuple):
    """What was written: the bytes of the graph, and how far it is from torch.

    `most` is the largest difference of a probability on `n` texts, alone and in a
    batch.
    """

    n_bytes: int
    n: int
    most: float
    int8: Int8Loss | None
    kept: KeptBlocks


def write_onnx(run: Run, folder: str | Path, *, int8: bool = False) -> OnnxFacts:
    """Write the finished `run` as a graph to the new folder `folder`.

    The graph computes in float32 and has equal answers to torch within MOST_APART. With
    `int8` its weights are then stored in 8 bits. Raises StcError without the extra
    `onnx`, for a classifier that is more than one forward, for a family that the
    exporter cannot trace, and if the answers differ.
    """
    require_extra("onnx")
    folder = check_vacant(folder)
    if not run.done:
        raise StcError(
            f"run {run.name!r}",
            expected="a finished run",
            got=f"one that is {run.status['state']}",
            remedy="Wait until it is done, or resume it.",
        )
    above = folder.absolute().parent
    try:
        above.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=above, prefix=".") as temporary:
            portable, made = Path(temporary) / "run", Path(temporary) / "onnx"
            kept = write_portable(run, portable, texts=False)
            classifier = open_classifier(portable / "model", device="cpu")
            made.mkdir()
            facts = _write_files(run, classifier, made, kept, int8=int8)
            _write_notes(portable, classifier, made, kept)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    return facts


def _write_files(
    run: Run,
    classifier: BaseClassifier,
    folder: Path,
    kept: KeptBlocks,
    *,
    int8: bool,
) -> OnnxFacts:
    """Write graph, tokenizer, script and about.json, and compare them with torch."""
    from stc_core.export.predict_onnx import OnnxClassifier

    classifier.backbone_.model.float()
    texts = texts_to_try(run)
    write_graph(classifier, folder / GRAPH)
    write_graph_notes(classifier, folder, texts)
    shutil.copyfile(SCRIPT, folder / "predict.py")
    most = largest_difference(classifier, OnnxClassifier(folder), texts)
    if not most <= MOST_APART:  # also if it is not a number
        raise StcError(
            f"ONNX graph of {classifier.backbone_.name!r}",
            expected=f"probabilities equal to torch within {MOST_APART}",
            got=f"a difference of {most:.2g}",
            remedy="Pack the run as a bundle.",
        )
    loss, graph = None, folder / GRAPH
    if int8:
        loss = store_int8(run, classifier, folder, texts)
        graph = folder / INT8_GRAPH
    return OnnxFacts(graph.stat().st_size, len(texts), most, loss, kept)


def write_graph(classifier: BaseClassifier, path: Path) -> None:
    """Write the graph of the classifier to `path`, for any batch and length."""
    graph = graph_of(classifier).eval()
    length = min(11, classifier.backbone_.max_length)
    ids = torch.ones(3, length, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    anything = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    shapes: dict[str, Any] = {"input_ids": anything, "attention_mask": anything}
    inputs = [ids, mask]
    if classifier.words_ is not None:
        inputs.append(torch.ones(len(ids), len(classifier.classes_)))
        shapes["word_logits"] = {0: torch.export.Dim.DYNAMIC}
    with _silent(), _explained(classifier.backbone_.name), torch.enable_grad():
        program = torch.onnx.export(
            graph,
            tuple(inputs),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(shapes),
            output_names=list(_OUTPUTS),
            verbose=False,
        )
        assert program is not None
        program.save(path)


@contextmanager
def _silent():
    """The libraries show nothing of their own code, and leave the path as it is."""
    before, path = logging.root.manager.disable, list(sys.path)
    logging.disable(logging.WARNING)
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        sys.path[:] = path


@contextmanager
def _explained(name: str):
    """Turn the exporter's error into a StcError."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = str(cause).strip().splitlines() or [""]
        raise StcError(
            f"ONNX graph of {name!r}",
            expected="a family that torch's exporter can trace",
            got=f"{type(cause).__name__}: {lines[0]}"[:200],
            remedy="Pack the run as a bundle.",
        ) from error


def write_graph_notes(
    classifier: BaseClassifier, folder: Path, texts: Sequence[str]
) -> None:
    """Write tokenizer.json and about.json, which a program needs beside the graph.

    For a classifier that reads words also words.npz, ngrams.py and word_logits.py.
    """
    write_tokenizer(classifier, folder / "tokenizer.json", texts)
    if (words := classifier.words_) is not None:
        np.savez(folder / "words.npz", words=np.array(words.words), weight=words.weight)
        shutil.copyfile(ngrams.__file__, folder / "ngrams.py")
        shutil.copyfile(WORD_SCRIPT, folder / "word_logits.py")
    _write_about(classifier, folder, GRAPH)


def write_tokenizer(
    classifier: BaseClassifier, path: Path, texts: Sequence[str]
) -> None:
    """Write the tokenizer with its cut and its padding; StcError if it is in Python."""
    from tokenizers import Tokenizer

    backbone = classifier.backbone_
    fast = getattr(backbone.tokenizer, "backend_tokenizer", None)
    if fast is not None:
        rules = Tokenizer.from_str(fast.to_str())
        side = backbone.tokenizer.truncation_side
        rules.enable_truncation(backbone.max_length, direction=side)
        pad = backbone.tokenizer.pad_token
        pad_id = rules.token_to_id(pad) if pad is not None else None
        rules.enable_padding(
            direction="right", pad_id=pad_id or 0, pad_token=pad or "[PAD]"
        )
        rules.save(str(path))
        ids = [
            [i for i, real in zip(row.ids, row.attention_mask, strict=True) if real]
            for row in rules.encode_batch(list(texts))
        ]
        if ids == [row.tolist() for row in backbone.tokenize(texts).ids]:
            return
    raise StcError(
        f"ONNX graph of {backbone.name!r}",
        expected="a tokenizer that a tokenizer.json describes whole",
        got=type(backbone.tokenizer).__name__,
        remedy="Pack the run as a bundle.",
    )


def _write_about(classifier: BaseClassifier, folder: Path, graph: str) -> None:
    backbone = classifier.backbone_
    apart = backbone.sees_padding or backbone.constant_up_to is not None
    about = {
        "format": "stc-onnx",
        "version": 1,
        "graph": graph,
        "classes": [str(name) for name in classifier.classes_],
        "words": classifier.words_ is not None,
        "max_length": backbone.max_length,
        "one_length_at_a_time": apart,
    }
    write_json(folder / ABOUT_GRAPH, about)


def largest_difference(
    classifier: BaseClassifier, graph: Any, texts: Sequence[str]
) -> float:
    """The largest difference of a probability, of texts alone and in one batch."""
    expected = classifier.predict_proba(texts)
    batches = [[row] for row in range(len(texts))]
    if not graph.apart:
        batches.append(list(range(len(texts))))
    found = [
        graph.run([texts[row] for row in rows])["probabilities"] - expected[rows]
        for rows in batches
    ]
    return float(np.max([np.abs(part).max() for part in found]))  # NaN if one is NaN


def store_int8(
    run: Run, classifier: BaseClassifier, folder: Path, texts: Sequence[str]
) -> Int8Loss:
    """Replace the graph by one with int8 weights; say what that costs."""
    from stc_core.export.predict_onnx import OnnxClassifier

    labels = None
    if run.has(RunFile.CORPUS):
        corpus = run.corpus
        rows = corpus.loc[corpus["split"] == "test"].iloc[:_MOST_JUDGED]
        texts, labels = rows["text"].tolist(), rows["label"].astype(str).tolist()
    before = _answers(OnnxClassifier(folder), texts)
    with _silent():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # A scale for each row of a matrix costs few bytes and spares most of the loss.
        quantize_dynamic(
            folder / GRAPH,
            folder / INT8_GRAPH,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    for path in folder.glob(f"{GRAPH}*"):
        path.unlink()
    _write_about(classifier, folder, INT8_GRAPH)
    after = _answers(OnnxClassifier(folder), texts)
    return Int8Loss(
        len(texts),
        float((before.argmax(1) == after.argmax(1)).mean()),
        None if labels is None else _accuracy(classifier, after, labels),
        None if labels is None else _accuracy(classifier, before, labels),
        float(np.abs(after - before).max()),
    )


def _answers(graph: Any, texts: Sequence[str]) -> np.ndarray:
    return np.concatenate([graph.run([text])["probabilities"] for text in texts])


def _accuracy(
    classifier: BaseClassifier, probabilities: np.ndarray, labels: Sequence[str]
) -> float:
    names = np.array([str(name) for name in classifier.classes_])
    return float((names[probabilities.argmax(1)] == np.array(labels)).mean())


def _write_notes(
    portable: Path, classifier: BaseClassifier, folder: Path, kept: KeptBlocks
) -> None:
    """Write the model card and the note on licences."""
    licence = licence_of(root_folder(portable / "backbone"))
    card = model_card(
        Run(portable), classifier, kept, licence=licence.name, texts=False, use=_USE
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    shutil.copyfile(portable / LICENCE, folder / LICENCE)
