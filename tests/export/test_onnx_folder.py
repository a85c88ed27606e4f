"""A graph has the answers of torch, alone and in a batch, and needs no torch."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import onnxruntime
import pytest
import torch

from helpers.models import classifiers
from helpers.models.tiny import TEXTS, fresh_backbone, one_thread
from stc_core.classifiers.base import BaseClassifier
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.export import onnx_folder
from stc_core.export.onnx_folder import (
    GRAPH,
    INT8_GRAPH,
    MOST_APART,
    SCRIPT,
    largest_difference,
    store_int8,
    write_graph,
    write_graph_notes,
    write_onnx,
    write_tokenizer,
)
from stc_core.export.predict_onnx import OnnxClassifier
from stc_core.heads.head import SparseHead
from stc_core.heads.word_readout import WordReadout
from stc_core.installation import extras
from stc_core.runs.run import Run
from stc_core.runs.writer import create_run
from stc_core.types import Feature

assert one_thread

FAMILIES = ("llama", "t5")
"""Of each kind one; `python -m benches onnx` tries all families."""


def sparse(family: str) -> BaseClassifier:
    """A random head with a range, on every pooling of two kinds of sites."""
    backbone = fresh_backbone(family)
    rng = np.random.default_rng(0)
    sites = [site for site in backbone.sites if site.layer <= 2]
    poolings = ("mean", "max", "first", "last")
    features = tuple(
        Feature(site, pooling, n % 8)
        for n, site in enumerate(sites)
        for pooling in poolings
    )
    names, zero = ("a", "b", "c"), np.zeros(len(features), np.float32)
    weight = rng.standard_normal((3, len(features))).astype(np.float32)
    made = BaseClassifier()
    made.backbone_, made.classes_ = backbone, np.array(names)
    bias = np.zeros(3, np.float32)
    made.head_ = SparseHead(features, zero, zero + 1, weight, bias, names)
    X = made.features(TEXTS[:20])
    low, high = X.min(axis=0), X.max(axis=0)
    made.head_ = made.head_._replace(
        mean=X.mean(axis=0), sd=X.std(axis=0) + 0.1, low=low, high=high
    )
    return made


def exported(classifier: BaseClassifier, folder: Path) -> OnnxClassifier:
    write_graph(classifier, folder / GRAPH)
    write_graph_notes(classifier, folder, TEXTS)
    return OnnxClassifier(folder)


def check_equal(classifier: BaseClassifier, graph: OnnxClassifier) -> None:
    """On texts of 1 to 12 words, most of them beyond those of the range."""
    assert largest_difference(classifier, graph, TEXTS) < MOST_APART
    labels = [label for label, _ in graph.predict(list(TEXTS))]
    assert labels == [str(label) for label in classifier.predict(TEXTS)]


@pytest.mark.parametrize("broken", TEXTS[:3])
def test_an_answer_of_nan_is_a_difference(broken: str):
    def run(texts: list[str]) -> dict[str, np.ndarray]:
        rows = [[np.nan if text == broken else 0.5] * 2 for text in texts]
        return {"probabilities": np.array(rows)}

    classifier = Mock(spec=BaseClassifier)
    classifier.predict_proba.return_value = np.full((3, 2), 0.5)
    graph = SimpleNamespace(apart=True, run=run)
    assert np.isnan(largest_difference(classifier, graph, TEXTS[:3]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_is_equal_to_torch(family: str, tmp_path: Path):
    classifier = sparse(family)
    check_equal(classifier, exported(classifier, tmp_path))


def test_a_graph_takes_what_words_add_as_an_input(tmp_path: Path):
    """The words of the folder give it, so a program needs no part of the package."""
    classifier = sparse("llama")
    plain = classifier.predict_proba(TEXTS)
    names = tuple(dict.fromkeys(word for text in TEXTS for word in text.split()))[:5]
    weight = np.random.default_rng(1).standard_normal((3, len(names)))
    classifier.words_ = WordReadout(names, 5 * weight.astype(np.float32))
    assert np.abs(classifier.predict_proba(TEXTS) - plain).max() > 0.1
    check_equal(classifier, exported(classifier, tmp_path))


KINDS: dict[str, Callable[[int], BaseClassifier]] = {
    "attention": classifiers.attention_classifier,
    "hierarchy": classifiers.hierarchical,
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_methods_have_a_graph_too(kind: str, tmp_path: Path):
    classifier = KINDS[kind](5 if kind == "hierarchy" else 3)
    graph = exported(classifier, tmp_path)
    check_equal(classifier, graph)
    logits = graph.run(list(TEXTS))["logits"]
    if kind == "attention":
        np.testing.assert_allclose(logits, classifier.logits(TEXTS), atol=1e-4)


def test_a_decoder_that_spells_its_labels_has_none():
    with pytest.raises(StcError, match="got a decoder that spells its labels"):
        write_graph(classifiers.spelled(3), Path("never.onnx"))


def test_a_family_that_cannot_be_traced_is_said(tmp_path: Path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        try:
            raise NotImplementedError("no rule\nand more")
        except NotImplementedError as error:
            raise torch.onnx.OnnxExporterError("step 1/3") from error

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(StcError, match=r"got NotImplementedError: no rule\. Pack"):
        write_graph(classifiers.classifier(2), tmp_path / GRAPH)


def test_a_tokenizer_in_python_is_refused(tmp_path: Path, monkeypatch):
    classifier = classifiers.classifier(2)
    slow = SimpleNamespace(tokenizer=object(), name="slow")
    monkeypatch.setattr(classifier, "backbone_", slow)
    with pytest.raises(StcError, match=r"a tokenizer that a tokenizer\.json describes"):
        write_tokenizer(classifier, tmp_path / "tokenizer.json", TEXTS)


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return Run(run_folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The run with the embedded model as a graph in float32. Read-only."""
    made = tmp_path_factory.mktemp("onnx") / "made"
    facts = write_onnx(run, made)
    assert facts.most < MOST_APART and facts.int8 is None
    assert facts.n_bytes == (made / GRAPH).stat().st_size
    return made


def test_the_embedded_model_is_equal_to_torch(folder: Path, run: Run):
    """In batches of 1 and of 32, of texts that nobody chose for it."""
    texts = run.corpus["text"].tolist()[:64]
    expected = run.classifier(device="cpu").predict_proba(texts)
    graph = OnnxClassifier(folder)
    for size in (1, 32):
        parts = [texts[start : start + size] for start in range(0, 64, size)]
        found = np.concatenate([graph.run(part)["probabilities"] for part in parts])
        np.testing.assert_allclose(found, expected, atol=MOST_APART)


def test_texts_are_cut_as_in_torch(folder: Path, run: Run):
    long = ["where is my parcel? " * 400]
    expected = run.classifier(device="cpu").predict_proba(long)
    found = OnnxClassifier(folder).run(long)["probabilities"]
    np.testing.assert_allclose(found, expected, atol=MOST_APART)


def test_the_folder_has_all_that_a_program_needs(folder: Path):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        GRAPH,
        "about.json",
        "tokenizer.json",
        "predict.py",
        "README.md",
        "LICENCE.md",
    }
    assert "python predict.py ." in (folder / "README.md").read_text("utf-8")
    session = onnxruntime.InferenceSession(str(folder / GRAPH))
    assert [one.name for one in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert all(isinstance(size, str) for size in session.get_inputs()[0].shape)


def test_the_script_runs_without_torch(folder: Path, run: Run):
    """Neither torch, nor transformers, nor this package can be imported."""
    code = (
        "import runpy, sys\n"
        "for name in ('torch', 'transformers', 'stc_core', 'sklearn', 'pandas'):\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = ['predict.py', {str(folder)!r}]\n"
        f"runpy.run_path({str(folder / 'predict.py')!r}, run_name='__main__')"
    )
    texts = run.corpus["text"].tolist()[:5]
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join([*texts, "", "  "]),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PATH": "", "PYTHONUTF8": "1"},
    )
    lines = [line.split("\t") for line in ended.stdout.splitlines()]
    classifier = run.classifier(device="cpu")
    assert [label for label, _ in lines] == classifier.predict(texts).tolist()
    best = classifier.predict_proba(texts).max(axis=1)
    assert [float(p) for _, p in lines] == pytest.approx(best, abs=2e-4)


@pytest.mark.parametrize("given", [[], ["nowhere"], ["."], [".", "."]])
def test_the_script_says_in_a_sentence_what_folder_it_needs(
    given: list[str], tmp_path: Path
):
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *given],
        input="a text",
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ended.returncode == 1 and not ended.stdout
    (said,) = ended.stderr.splitlines()
    assert (
        said.startswith("Give the folder that `stc export --onnx` wrote")
        and str(given) in said
    )


def test_the_script_is_short():
    """40 lines, without those that are empty, comments or docstrings."""
    lines = SCRIPT.read_text("utf-8").splitlines()
    code = {n for n, line in enumerate(lines, start=1) if line.split("#")[0].strip()}
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code -= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    assert len(code) <= 40


def test_the_loss_of_int8_is_that_of_the_test_rows(
    folder: Path, run: Run, tmp_path: Path
):
    classifier, copy = run.classifier(device="cpu"), tmp_path / "int8"
    shutil.copytree(folder, copy)
    loss = store_int8(run, classifier, copy, TEXTS)
    test = run.corpus.query("split == 'test'")
    graph, texts = OnnxClassifier(copy), test["text"].tolist()
    labels = np.array([graph.predict([text])[0][0] for text in texts])
    assert loss.n == len(test)
    assert loss.accuracy == pytest.approx((labels == test["label"]).mean())
    ours = classifier.predict(texts)
    assert loss.accuracy_float == pytest.approx((ours == test["label"]).mean())
    assert loss.same == pytest.approx((labels == ours).mean())
    assert 0.9 < loss.same and loss.most > MOST_APART
    assert not (copy / GRAPH).exists()
    n_bytes = (copy / INT8_GRAPH).stat().st_size
    assert n_bytes < 0.3 * (folder / GRAPH).stat().st_size


def test_a_graph_with_other_answers_is_not_written(
    tmp_path: Path, run: Run, monkeypatch
):
    monkeypatch.setattr(onnx_folder, "MOST_APART", 1e-12)
    monkeypatch.setattr(onnx_folder, "largest_difference", lambda *_: 0.5)
    with pytest.raises(StcError, match=r"within 1e-12; got a difference of 0\.5"):
        write_onnx(run, tmp_path / "onnx")
    assert not [*tmp_path.iterdir()]


def test_without_the_packages_it_says_which(run: Run, tmp_path: Path, monkeypatch):
    def without(name: str) -> Any:
        return None if name == "onnxscript" else object()

    monkeypatch.setattr(extras, "find_spec", without)
    with pytest.raises(StcError, match=r"no onnxscript.*stc-studio\[onnx\]"):
        write_onnx(run, tmp_path / "onnx")


def test_only_a_finished_run_goes_into_an_empty_folder(
    run: Run, folder: Path, tmp_path: Path
):
    with pytest.raises(StcError, match="expected a new or empty folder"):
        write_onnx(run, folder)
    create_run(tmp_path / "run", RunConfig(data=DataConfig(path="x.csv")))
    with pytest.raises(StcError, match="expected a finished run"):
        write_onnx(Run(tmp_path / "run"), tmp_path / "onnx")
