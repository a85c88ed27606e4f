"""Values computed from the head and the activations of a run, cached until it changes.

Streamlit leaves arguments that begin with an underscore out of the cache key, so every
argument that changes a result has no underscore.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.interpret.counterfactuals import (
    MOST_FORWARDS,
    CounterfactualSearch,
    find_flips,
    leading_words,
)
from stc_core.interpret.neuron_overlap import comparable
from stc_core.interpret.neuron_table import alike_ranks, neuron_address, one_of
from stc_core.interpret.related_neurons import (
    correlations,
    other_poolings,
    same_in,
    sample_rows,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run, list_runs
from ui.cache.run_files import (
    classifier_by,
    explain_text,
    neuron_reader,
    read,
)
from ui.cache.texts import run_key, texts_of

MOST_RUNS = 30
"""The most other runs that are searched, newest first."""


def has_neurons(run: Run) -> bool:
    """True if `run` kept single neurons; a run that reads by attention keeps none."""
    return run.has(RunFile.NEURONS) and run.has(RunFile.ACTIVATIONS)


def has_readout(run: Run) -> bool:
    """True if one linear head predicts the label from the neurons of `run`.

    False for a hierarchy from before December 2026, which decides with several heads.
    """
    by_levels = (run.folder / "model" / "levels.safetensors").is_file()
    return has_neurons(run) and not by_levels


def address_of(run: Run, number: int) -> str:
    """The address of a neuron of `run`, as links name it: 'mlp.6.1288.max'."""
    return neuron_address(one_of(read(run, "neurons"), number))


@st.cache_resource(max_entries=4, show_spinner=False)
def _head(folder: str, written: int, _run: Run) -> Any:
    from stc_core.classifiers.persistence import load_classifier

    return load_classifier(_run.folder / "model")[0]


def head_of(run: Run) -> Any:
    """The head of `run`, without its backbone. It is shared: do not change it."""
    return _head(*run_key(run), run)


@st.cache_resource(max_entries=8, show_spinner=False)
def _words(folder: str, written: int, _run: Run) -> Any:
    from stc_core.classifiers.persistence import load_words

    return load_words(_run.folder / "model")


def word_readout_of(run: Run) -> Any:
    """The word head of `run`; None if it reads no words. Do not change it."""
    return _words(*run_key(run), run)


@st.cache_resource(max_entries=4, show_spinner=False)
def _activations(folder: str, written: int, _run: Run) -> np.ndarray:
    return _run.activations


def activations_of(run: Run) -> np.ndarray:
    """The pooled values of `run` (text, neuron), memory-mapped once and then shared.

    One column touches as many pages of memory as there are texts. For 20,000 texts that
    takes 0.04 s right after mapping, and 0.001 s once the pages are in memory.
    """
    return _activations(*run_key(run), run)


def close_activations() -> None:
    """Close the activation files: Windows cannot move a folder with open files."""
    _activations.clear()


@st.cache_data(max_entries=64, show_spinner=False)
def _values(folder: str, written: int, neuron: int, _run: Run) -> np.ndarray:
    return np.asarray(activations_of(_run)[:, neuron], float)


def values_of(run: Run, neuron: int) -> np.ndarray:
    """The pooled values of a neuron on every text of `run`."""
    return _values(*run_key(run), neuron, run)


@st.cache_data(max_entries=8, show_spinner="Ordering the neurons …")
def _alike_ranks(folder: str, written: int, _run: Run) -> np.ndarray:
    return alike_ranks(read(_run, "neurons"))


def alike_ranks_of(run: Run) -> np.ndarray:
    """The rank of each neuron of `run` in its site when ordered by similarity."""
    return _alike_ranks(*run_key(run), run)


class Scored(NamedTuple):
    """The logits of the final head for some rows, and the codes of their labels."""

    rows: np.ndarray
    y: np.ndarray
    logits: np.ndarray


@st.cache_resource(max_entries=8, show_spinner="Reading the activations …")
def _scored(folder: str, written: int, split: str, _run: Run) -> Scored:
    head, texts, values = head_of(_run), texts_of(_run), activations_of(_run)
    rows = np.flatnonzero(texts.splits == split)
    blocks = [
        head.logits(np.asarray(values[rows[start : start + 2048]]))
        for start in range(0, len(rows), 2048)
    ]
    logits = np.concatenate(blocks) if blocks else np.empty((0, len(head.classes)))
    if (words := word_readout_of(_run)) is not None:
        logits = logits + words.logits([texts.texts[row] for row in rows])
    labels = texts.labels[rows]
    return Scored(rows, pd.Categorical(labels, list(head.classes)).codes, logits)


def head_scores(run: Run, split: str) -> Scored:
    """The logits of the head for the rows of `split`. Shared: do not change them."""
    return _scored(*run_key(run), split, run)


@st.cache_resource(max_entries=1, show_spinner="Reading the activations …")
def _sampled(folder: str, written: int, _run: Run) -> np.ndarray:
    activations = activations_of(_run)
    return np.asarray(activations[sample_rows(len(activations))], np.float32)


@st.cache_data(max_entries=64, show_spinner=False)
def _correlations(folder: str, written: int, neuron: int, _run: Run) -> Any:
    sample = _sampled(folder, written, _run)
    return correlations(sample, neuron), len(sample)


def correlations_of(run: Run, neuron: int) -> tuple[np.ndarray, int]:
    """The correlation of a neuron with each neuron, and the number of texts used."""
    return _correlations(*run_key(run), neuron, run)


def find_in_other_runs(
    run: Run, neuron: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """How other runs on the same backbone read this neuron, and the number of others.

    There is a row for each such run: run, title, and the result of `same_in`. If the
    run did not keep this neuron, the row has the poolings with which it reads it.
    """
    backbone, rows = read(run, "metrics").get("backbone", {}), []
    others = [other for other in list_runs() if other.folder.name != run.folder.name]
    for other in [other for other in others if other.done][:MOST_RUNS]:
        other_backbone = read(other, "metrics").get("backbone", {})
        if not has_neurons(other) or not comparable(backbone, other_backbone):
            continue
        neurons = read(other, "neurons")
        row = {"run": other.folder.name, "title": other.name}
        same = same_in(neurons, neuron)
        row |= same or {"poolings": other_poolings(neurons, neuron)}
        rows.append(row)
    return sorted(rows, key=lambda row: "neuron" not in row), len(others)


@st.cache_data(max_entries=4, show_spinner="Measuring usual activations …")
def _usual(folder: str, written: int, _run: Run) -> Any:
    from stc_core.interpret.neuron_search import USUAL_TEXTS, usual_values

    known, model = texts_of(_run), neuron_reader(_run)
    train = np.flatnonzero(known.splits == "train")
    some = [known.texts[row] for row in train[sample_rows(len(train), USUAL_TEXTS)]]
    return usual_values(model.backbone_, model.head_, some)


@st.cache_data(max_entries=32, show_spinner="Reading the text …")
def _firing(folder: str, written: int, text: str, word: Any, _run: Run) -> pd.DataFrame:
    from stc_core.interpret.neuron_search import on_text, on_word, token_values_of

    model = neuron_reader(_run)
    if word is None:
        return on_text(model.head_, model.features([text])[0].astype(float))
    (activity,) = token_values_of(model.backbone_, model.head_, [text])
    start, end = word
    return on_word(activity, start, end, _usual(folder, written, _run))


def firing_table(run: Run, text: str, word: tuple[int, int] | None) -> pd.DataFrame:
    """The columns neuron, value and sds for each neuron of `run`.

    They are measured on `text`, or on the word of it between two positions.
    """
    return _firing(*run_key(run), text, word, run)


@st.cache_data(max_entries=32, show_spinner="Changing words …")
def _flips(
    folder: str, written: int, text: str, fold: int, _run: Run
) -> CounterfactualSearch:
    model = classifier_by(_run, fold)
    return find_flips(
        text,
        leading_words(explain_text(_run, text, fold)),
        model.predict_proba,
        classes=[str(name) for name in model.classes_],
        blank=model.backbone_.tokenizer.mask_token,
        most_forwards=MOST_FORWARDS,
    )


def flips(run: Run, text: str, fold: int) -> CounterfactualSearch:
    """The fewest word changes that give `text` another label by `classifier_by`.

    Each changed text is run through the model.
    """
    return _flips(*run_key(run), text, fold, run)


@st.cache_data(max_entries=64, show_spinner="Leaving out each word …")
def _left_out(
    folder: str, written: int, text: str, fold: int, _run: Run
) -> dict[str, Any]:
    from stc_core.interpret.occlusion import leave_words_out

    return leave_words_out(classifier_by(_run, fold), text)


def left_out_words(run: Run, text: str, fold: int) -> dict[str, Any]:
    """What each logit of `text` loses without each of its words, by `classifier_by`.

    Each shortened text is run through the model. StcError for a text of one word.
    """
    return _left_out(*run_key(run), text, fold, run)


@st.cache_data(max_entries=32, show_spinner="Measuring distances …")
def _apart(folder: str, written: int, text: str, _run: Run) -> Any:
    from stc_core.interpret.nearest_texts import distances

    x = np.array([row["activation"] for row in explain_text(_run, text)["neurons"]])
    train = np.flatnonzero(texts_of(_run).splits == "train")
    return train, distances(head_of(_run), activations_of(_run), train, x)


def distances_of(run: Run, text: str) -> tuple[np.ndarray, np.ndarray]:
    """The training rows of `run`, and the distance of each to `text` for the final
    head."""
    return _apart(*run_key(run), text, run)
