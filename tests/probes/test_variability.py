"""nu of a backbone's layers against Hugging Face's hidden states and the definition."""

import numpy as np
import pytest
import torch

from helpers.models.tiny import ENCODERS, TEXTS, tiny_backbone
from helpers.problems import dense
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.probes.variability import (
    mean_state_sites,
    measure_variability,
    variability_from_features,
)
from stc_core.types import PooledSite, Site

FAMILIES = ("bert", "roberta", "albert", "gpt2", "llama", "t5", "bart")
CODES = np.arange(len(TEXTS)) % 3


def own_means(backbone: Backbone, text: str) -> list[np.ndarray]:
    """Mean states of a text's own tokens by Hugging Face, one text at a time."""
    ids = torch.tensor(backbone.tokenize([text]).ids[0][None].astype(np.int64))
    out = backbone.model(ids, output_hidden_states=True)
    own = slice(1, -1) if backbone.family in ENCODERS else slice(None)
    return [states[0, own].mean(0).numpy() for states in out.hidden_states]


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "albert"])
def test_it_is_the_definition_on_the_states_of_hugging_face(family: str):
    backbone = tiny_backbone(family)
    states = [own_means(backbone, text) for text in TEXTS]
    found = measure_variability(backbone, TEXTS, CODES)
    assert len(found.nu) == backbone.n_layers + 1
    for layer, nu in enumerate(found.nu):
        X = np.stack([text[layer] for text in states])
        assert nu == pytest.approx(dense(X, CODES), rel=1e-3)
    assert found.best_layer == int(np.argmin(found.nu))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_is_the_mean_of_its_own_tokens(family: str):
    """From the activations of single tokens, of the decoder's shifted ones too."""
    backbone = tiny_backbone(family)
    ids = backbone.tokenize(TEXTS).ids
    sites = [wish.site for wish in mean_state_sites(backbone)]
    each = backbone.token_activations(ids, sites)
    pooled = backbone.content_means(ids, sites)
    ends = 1 if family in ENCODERS else 0
    for site, values in pooled.items():
        first = 1 if backbone.reads_shifted(site) else ends
        for text, row in zip(each, values, strict=True):
            tokens = text[site]
            own = tokens[first : len(tokens) - ends]
            own = own if len(own) else tokens
            assert torch.allclose(own.mean(0), row, atol=1e-5)


def test_the_features_of_a_run_give_the_same_where_no_token_is_special():
    backbone = tiny_backbone("gpt2")
    ids = backbone.tokenize(TEXTS).ids
    read = lambda wish: backbone.pooled(ids, [wish])[wish].numpy()  # noqa: E731
    rows = np.arange(len(TEXTS))
    task = Task(CODES, ("a", "b", "c"), rows, rows[:0])
    stored = variability_from_features(read, task, backbone, mean_state_sites(backbone))
    assert stored is not None
    assert stored.nu == pytest.approx(
        measure_variability(backbone, TEXTS, CODES).nu, rel=1e-4
    )


def test_only_training_rows_count():
    backbone = tiny_backbone("gpt2")
    ids = backbone.tokenize(TEXTS).ids
    read = lambda wish: backbone.pooled(ids, [wish])[wish].numpy()  # noqa: E731
    train = np.arange(30)
    task = Task(CODES, ("a", "b", "c"), train, np.arange(30, 64))
    few = measure_variability(backbone, TEXTS[:30], CODES[:30])
    stored = variability_from_features(read, task, backbone, mean_state_sites(backbone))
    assert stored is not None
    assert stored.nu == pytest.approx(few.nu, rel=1e-4)


def test_a_layer_that_tells_nothing_is_null_and_never_the_best():
    backbone = tiny_backbone("bert")
    texts = ["good film", "good film", "bad", "good film", "good film", "bad"]
    found = measure_variability(backbone, texts, np.array([0, 0, 0, 1, 1, 1]))
    record = found.record()
    assert record.keys() == {"nu", "best_layer"}
    assert record["nu"][0] is None or record["nu"][0] > 1e6


def test_the_embedded_model_places_sentiment_above_the_embeddings():
    texts = [
        f"{lead} {word}"
        for lead in ("this film is", "the plot was", "i found it", "what a")
        for word in ("wonderful", "great fun", "awful", "terribly boring")
    ]
    codes = np.tile([0, 0, 1, 1], 4)
    backbone = Backbone.load(device="cpu")
    found = measure_variability(backbone, texts, codes)
    assert len(found.nu) == 7
    assert found.best_layer > 0
    assert found.nu[found.best_layer] < 0.9 * found.nu[0]


def test_what_the_tokenizer_adds_is_what_it_calls_special():
    backbone = Backbone.load(device="cpu")
    texts = ["one", "two words and more [SEP] even", "☃"]
    said = backbone.tokenizer(texts, return_special_tokens_mask=True)
    site = Site(0, "resid")
    ids = backbone.tokenize(texts).ids
    each = backbone.token_activations(ids, [site])
    rows = backbone.content_means(ids, [site])[site]
    for mask, tokens, row in zip(
        said["special_tokens_mask"][::2], each[::2], rows[::2], strict=True
    ):
        own = tokens[site][~torch.tensor(mask, dtype=torch.bool)]
        assert torch.allclose(own.mean(0), row, atol=1e-6)


def test_without_means_among_the_features_there_is_none():
    backbone = tiny_backbone("gpt2")
    task = Task(CODES, ("a", "b", "c"), np.arange(64), np.arange(0))
    wanted = [PooledSite(Site(1, "resid"), "max")]
    assert (
        variability_from_features(
            lambda wish: np.zeros((64, 1)), task, backbone, wanted
        )
        is None
    )
