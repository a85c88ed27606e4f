"""A model with its own head gives the logits of transformers, and splits them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from helpers.models.saved import saved_base
from helpers.models.sequence import saved_classifier
from helpers.models.tiny import TEXTS
from stc_core.backbone.tokenization.own_tokens import blank_ids
from stc_core.classifiers.pretrained.sequence_model import SequenceModel, has_own_head
from stc_core.errors import StcError
from stc_core.files import read_json, write_json
from stc_core.types import Site

FAMILIES = (
    "bert distilbert roberta albert electra mpnet deberta-v2 modernbert xlm-roberta "
    "gpt2 gpt_neo gpt_neox opt bloom falcon llama mistral qwen3 gemma2 phi3 t5 bart"
).split()
LABELS = ("bad", "so so", "good")


@pytest.mark.parametrize("family", FAMILIES)
def test_its_logits_are_those_of_transformers(family: str, tmp_path: Path):
    folder = saved_classifier(tmp_path, family, LABELS)
    model = SequenceModel.load(str(folder), device="cpu")
    assert model.labels == LABELS
    texts = list(TEXTS[:24])
    ids = model.backbone.tokenize(texts).ids
    plain = hf.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        alone = [
            plain(
                input_ids=torch.from_numpy(row.astype(np.int64))[None],
                attention_mask=torch.ones(1, len(row), dtype=torch.int64),
            ).logits[0]
            for row in ids
        ]
    # float32 in other batches: a few units of rounding over some ten layers.
    np.testing.assert_allclose(model.logits(ids), torch.stack(alone), atol=2e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "bart"])
def test_gradients_along_a_path_sum_to_the_logits(family: str, tmp_path: Path):
    model = SequenceModel.load(
        str(saved_classifier(tmp_path, family, LABELS)), device="cpu"
    )
    backbone = model.backbone
    (ids,) = backbone.tokenize(["good film never boring plot"]).ids
    blank = blank_ids(backbone.tokenizer, ids)
    names = enumerate(backbone.layer_names)
    words = [Site(layer, "resid") for layer, name in names if "embeddings" in name]
    assert len(words) == (2 if family == "bart" else 1)
    for sites in ([Site(backbone.n_layers, "resid")], words):
        found = model.path_gradients(
            ids, blank, sites, n_steps=64, read=lambda logits: logits
        )
        np.testing.assert_allclose(found.logits, model.logits([ids])[0], atol=2e-5)
        np.testing.assert_allclose(found.start, model.logits([blank])[0], atol=2e-5)
        assert np.abs(found.logits - found.start).max() > 0.1
        np.testing.assert_allclose(found.error, 0, atol=1e-3)


def test_a_linear_head_is_split_exactly(tmp_path: Path):
    model = SequenceModel.load(str(saved_classifier(tmp_path, "gpt2")), device="cpu")
    (ids,) = model.backbone.tokenize(["never very good"]).ids
    site = Site(model.backbone.n_layers, "resid")
    found = model.path_gradients(
        ids, ids[::-1].copy(), [site], n_steps=4, read=lambda logits: logits
    )
    parts = found.parts[site]
    assert not parts[:, :-1].any()  # the head reads the last token alone
    assert parts[:, -1].any()


def test_what_is_no_classifier_is_refused_with_the_reason(tmp_path: Path):
    base = str(saved_base(tmp_path / "base", "bert"))
    assert not has_own_head(base)
    with pytest.raises(StcError, match=r"classification head.*got BertModel"):
        SequenceModel.load(base)
    for name, config, said in (
        ("several", {"problem_type": "multi_label_classification"}, "one label"),
        ("number", {"problem_type": "regression"}, "gives a number"),
        ("twice", {"id2label": {0: "a", 1: "a"}}, "'a' twice"),
    ):
        folder = saved_classifier(tmp_path / name)
        record = read_json(folder / "config.json")
        write_json(folder / "config.json", {**record, **config})
        with pytest.raises(StcError, match=said):
            SequenceModel.load(str(folder))


def test_a_head_without_weights_is_refused(tmp_path: Path):
    folder = saved_classifier(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StcError, match=r"every part of the model.*classifier\.weight"):
        SequenceModel.load(str(folder))
