"""What is computed from a run's head and activations, kept until it is written anew.

Only the arguments without an underscore are in a key, so all that changes a result is.
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
from stc_core.interpret.neuron_table import alike_ranks
from stc_core.interpret.related_neurons import (
    correlations,
    other_poolings,
    same_in,
    sample_rows,
)
from stc_core.runs.run import Run, list_runs
from ui.cache.run_files import classifier, explained, neuron_reader, read, spells
from ui.cache.texts import run_key, texts_of

MOST_RUNS = 30
"""Other runs that are looked through, the newest first."""


def has_neurons(run: Run) -> bool:
    """True if single neurons were kept: a run that reads by attention keeps none."""
    return run.has("neurons.parquet") and run.has("activations.npy")


def has_readout(run: Run) -> bool:
    """True if one linear head reads the neurons to say the label.

    A hierarchy decides by several heads.
    """
    by_levels = (run.folder / "model" / "tree.json").is_file() and not spells(run)
    return has_neurons(run) and not by_levels


@st.cache_resource(max_entries=4, show_spinner=False)
def _head(folder: str, written: int, _run: Run) -> Any:
    from stc_core.classifiers.persistence import load_classifier

    return load_classifier(_run.folder / "model")[0]


def head_of(run: Run) -> Any:
    """The head of `run`, without its backbone; shared, so leave it as it is."""
    return _head(*run_key(run), run)


@st.cache_resource(max_entries=4, show_spinner=False)
def _activations(folder: str, written: int, _run: Run) -> np.ndarray:
    return _run.activations


def activations_of(run: Run) -> np.ndarray:
    """The pooled values of `run` (text, neuron), mapped, and mapped only once.

    A column is in as many pages as there are texts: mapped anew, 20,000 of them took
    .04 s, where those that are there already take .001 s.
    """
    return _activations(*run_key(run), run)


def let_go() -> None:
    """Close the files that are held open: Windows moves no folder of such a file."""
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
    """The place of each neuron of `run` in its site by likeness."""
    return _alike_ranks(*run_key(run), run)


class Scored(NamedTuple):
    """The logits of some rows by the final head, and the codes of their labels."""

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
    labels = texts.labels[rows]
    return Scored(rows, pd.Categorical(labels, list(head.classes)).codes, logits)


def head_scores(run: Run, split: str) -> Scored:
    """What the head says of the rows of `split`; shared, so leave it as it is."""
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
    """r of a neuron with each other one, and on how many texts."""
    return _correlations(*run_key(run), neuron, run)


def elsewhere(run: Run, neuron: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Where other runs on the same backbone read this neuron, and how many there are.

    A row for each such run: run, title, and what `same_in` gives, or the poolings by
    which it is read instead.
    """
    here, found = read(run, "metrics").get("backbone", {}), []
    others = [one for one in list_runs() if one.folder.name != run.folder.name]
    for other in [one for one in others if one.done][:MOST_RUNS]:
        there = read(other, "metrics").get("backbone", {})
        if not has_neurons(other) or not comparable(here, there):
            continue
        neurons = read(other, "neurons")
        row = {"run": other.folder.name, "title": other.name}
        same = same_in(neurons, neuron)
        row |= same or {"poolings": other_poolings(neurons, neuron)}
        found.append(row)
    return sorted(found, key=lambda row: "neuron" not in row), len(others)


@st.cache_data(max_entries=4, show_spinner="Seeing what is usual …")
def _usual(folder: str, written: int, _run: Run) -> Any:
    from stc_core.interpret.neuron_search import USUAL_TEXTS, usual

    known, model = texts_of(_run), neuron_reader(_run)
    train = np.flatnonzero(known.splits == "train")
    some = [known.texts[row] for row in train[sample_rows(len(train), USUAL_TEXTS)]]
    return usual(model.backbone_, model.head_, some)


@st.cache_data(max_entries=32, show_spinner="Reading the text …")
def _firing(folder: str, written: int, text: str, word: Any, _run: Run) -> pd.DataFrame:
    from stc_core.interpret.neuron_search import fired, on_text, on_word

    model = neuron_reader(_run)
    if word is None:
        return on_text(model.head_, model.features([text])[0].astype(float))
    (one,) = fired(model.backbone_, model.head_, [text])
    start, end = word
    return on_word(one, start, end, _usual(folder, written, _run))


def firing(run: Run, text: str, word: tuple[int, int] | None) -> pd.DataFrame:
    """neuron, value and sds of every neuron of `run` on a text or on a word of it."""
    return _firing(*run_key(run), text, word, run)


@st.cache_data(max_entries=32, show_spinner="Changing words …")
def _flips(folder: str, written: int, text: str, _run: Run) -> CounterfactualSearch:
    model = classifier(_run)
    return find_flips(
        text,
        leading_words(explained(_run, text)),
        model.predict_proba,
        classes=[str(name) for name in model.classes_],
        blank=model.backbone_.tokenizer.mask_token,
        most_forwards=MOST_FORWARDS,
    )


def flips(run: Run, text: str) -> CounterfactualSearch:
    """The fewest word changes that give `text` another label, by real forwards."""
    return _flips(*run_key(run), text, run)


@st.cache_data(max_entries=32, show_spinner="Measuring distances …")
def _apart(folder: str, written: int, text: str, _run: Run) -> Any:
    from stc_core.interpret.nearest_texts import distances

    x = np.array([row["activation"] for row in explained(_run, text)["neurons"]])
    train = np.flatnonzero(texts_of(_run).splits == "train")
    return train, distances(head_of(_run), activations_of(_run), train, x)


def distances_of(run: Run, text: str) -> tuple[np.ndarray, np.ndarray]:
    """The training rows of `run`, and how far each is from `text` for its head."""
    return _apart(*run_key(run), text, run)
