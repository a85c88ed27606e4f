"""One neuron from several sides: its texts, your own text, its like, its absence."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.ablation import ablated, changed, toll
from stc_core.exemplars import pick_texts, pooled_value, shading, standing
from stc_core.explanation import words
from stc_core.figures_activity import MOST_CLASSES
from stc_core.head import softmax
from stc_core.markup import TextRow, coloured, legend, text_list
from stc_core.neurons import names_of, strongest_weight
from stc_core.relatives import correlated
from stc_core.run import Run
from stc_core.wording import percent
from ui.panels import places_table
from ui.place import context
from ui.readers import read, token_values
from ui.readouts import (
    correlations_of,
    elsewhere,
    has_readout,
    head_of,
    scored,
    texts_of,
    values_of,
)
from ui.said import escape

POOLED = {
    "mean": "The number on the left is the average over all tokens.",
    "max": "The number on the left is that of the most active token; only it counts.",
    "first": "The number on the left is that of the first token; only it counts.",
    "last": "The number on the left is that of the last token; only it counts.",
}
ABLATED = (
    "**Mean ablation of the readout, not of the model**: where the head reads this "
    "neuron, it gets its training mean instead. All other neurons stay as they were, "
    "those in the layers above as well. Exact, from the activations that the run keeps."
)


def panels(run: Run, neuron: dict[str, Any]) -> None:
    """The side that is chosen; the others cost nothing."""
    sides: dict[str, Callable[[Run, dict[str, Any]], None]] = {
        "Texts": texts,
        "Your own text": own_text,
        "Correlated": like_it,
        "Other runs": other_runs,
        "Ablate it": without,
    }
    name = st.segmented_control(
        "Look at",
        list(sides),
        default="Texts",
        required=True,
        key="side",
        label_visibility="collapsed",
    )
    sides[name](run, neuron)


def texts(run: Run, neuron: dict[str, Any]) -> None:
    """Highest, quantile, lowest and random texts with the activation on each word."""
    every, labels, _ = texts_of(run)
    found = pick_texts(values_of(run, neuron["neuron"]), every)
    group = st.segmented_control(
        "Texts",
        list(dict.fromkeys(found["group"])),
        default=found["group"].iloc[0],
        required=True,
        key="text_group",
        help="Look at random texts too: the highest alone make any neuron look tidy.",
    )
    some = found.loc[found["group"] == group]
    shown = [every[row] for row in some["row"]]
    tokens = token_values(run, neuron["site"], neuron["index"], shown)
    floor, scale = shading(tokens)
    st.html(legend("sequential", scale=scale, floor=floor, high="activation"))
    rows = [
        TextRow(
            value=value,
            label=labels[row],
            html=coloured(text, parts, palette="sequential", scale=scale, floor=floor),
            href="Examples?" + urlencode(context().moved(example=row).params()),
            alike=tuple(every[row] for row in alike),
        )
        for row, value, alike, text, parts in zip(
            some["row"], some["value"], some["alike"], shown, tokens, strict=True
        )
    ]
    st.html(text_list(rows))
    st.caption(f"{POOLED[neuron['pooling']]} Texts of nearly the same words are one.")


def own_text(run: Run, neuron: dict[str, Any]) -> None:
    """How active it is on each word of a text that is typed, and where that stands."""
    text = st.text_area(
        "Your text",
        key="neuron_text",
        placeholder="Type a text to see how active this neuron is on each word.",
    ).strip()
    if not text:
        st.caption("Nothing is typed yet.")
        return
    values = values_of(run, neuron["neuron"])
    (tokens,) = token_values(run, neuron["site"], neuron["index"], [text])
    value = pooled_value(tokens, neuron["pooling"])
    # The colours are those of its highest texts, so that a weak text looks weak.
    top = np.argsort(-values, kind="stable")[:8]
    best = [texts_of(run).texts[row] for row in top]
    known = token_values(run, neuron["site"], neuron["index"], best)
    floor, scale = shading([*known, tokens])
    st.html(coloured(text, tokens, palette="sequential", scale=scale, floor=floor))
    st.html(legend("sequential", scale=scale, floor=floor, high="activation"))
    head_z = (value - neuron["mean"]) / neuron["sd"]
    st.markdown(
        f"Pooled ({neuron['pooling']}) **{value:.3g}**: {standing(value, values)} of "
        f"this run, {head_z:+.1f} standard deviations from the training mean."
    )
    parts = [token for token in words(text, tokens) if not token.special]
    if parts:
        top = max(tokens, key=lambda token: token.value)
        st.caption(f"Most active on “{escape(top.text.strip())}” ({top.value:.3g}).")


def like_it(run: Run, neuron: dict[str, Any]) -> None:
    """The neurons whose pooled values go with its own, or against them."""
    neurons = read(run, "neurons")
    if len(neurons) < 2:
        st.info("It is the only neuron that was kept.")
        return
    r, n = correlations_of(run, neuron["neuron"])
    found = correlated(neurons, r, neuron["neuron"])
    best = [strongest_weight(row) for row in found.to_dict("records")]
    names = names_of(found)
    table = pd.DataFrame(
        {
            "neuron": [names[one] for one in found["neuron"]],
            "r": found["r"],
            "strongest for": [name for name, _ in best],
            "weight": [weight for _, weight in best],
        }
    )
    places = [{"neuron": int(one)} for one in found["neuron"]]
    places_table(table, places, key=f"like_{neuron['neuron']}", most=12)
    st.caption(
        f"Pearson's r of the pooled values on n = {n:,} texts, with all "
        f"{len(neurons):,} neurons that were kept; by chance alone the largest of so "
        f"many is about {chance(n, len(neurons)):.2f}. Pick a row to see that neuron."
    )


def chance(n: int, many: int) -> float:
    """About the largest |r| of `many` independent neurons on n texts."""
    return min(1.0, float(np.sqrt(2 * np.log(max(many, 2)) / max(n, 1))))


def other_runs(run: Run, neuron: dict[str, Any]) -> None:
    """What other runs on the same backbone make of this very neuron."""
    rows, total = elsewhere(run, neuron)
    if not rows:
        st.info(
            f"None of the {total:,} other runs reads single neurons of the same "
            "language model. Train another one, with other labels or another seed."
            if total
            else "There is no other run yet. Train one with other labels or seed."
        )
        return
    table = pd.DataFrame(
        {
            "run": [row["title"] for row in rows],
            "kept": ["yes" if "neuron" in row else said(row) for row in rows],
            "rank": [
                f"{row['rank']:,} of {row['of']:,}" if "rank" in row else "–"
                for row in rows
            ],
            "strongest for": [row.get("class", "–") for row in rows],
            "weight": [row.get("weight") for row in rows],
        }
    )
    places = [
        {"run": row["run"], **({"neuron": row["neuron"]} if "neuron" in row else {})}
        for row in rows
    ]
    places_table(table, places, key=f"runs_{neuron['neuron']}", most=10)
    st.caption(
        "The same site, index and pooling of the same weights. Rank by importance. "
        "Pick a row to go to that run."
    )


def said(row: dict[str, Any]) -> str:
    """Of a run that did not keep it: by what it reads the neuron instead."""
    return f"by {', '.join(row['poolings'])}" if row["poolings"] else "no"


def without(run: Run, neuron: dict[str, Any]) -> None:
    """The classifier with this neuron at its mean: accuracy, changes, one text."""
    if not has_readout(run):
        st.info(
            "This run decides level by level, by several heads, so that one neuron has "
            "no accuracy of its own to take away."
        )
        return
    number, head = neuron["neuron"], head_of(run)
    values = values_of(run, number)
    tables = []
    columns = st.columns(2, gap="large")
    for column, split in zip(columns, ("test", "validation"), strict=True):
        rows, y, logits = scored(run, split)
        after = ablated(head, logits, values[rows], number)
        cost = toll(y, logits, after)
        with column:
            tally(split, cost)
        found = changed(head, logits, after)
        tables.append(found.assign(split=split, example=rows[found["place"]]))
    changes(run, pd.concat(tables, ignore_index=True))
    st.caption(ABLATED)
    one_text(run, neuron, values)


def tally(split: str, cost: Any) -> None:
    """Accuracy before and after, and the changed predictions each way."""
    if not cost.n:
        st.metric(f"Accuracy on {split}", "–")
        st.caption("The run has no such texts.")
        return
    points = 100 * (cost.after - cost.before)
    st.metric(
        f"Accuracy on {split}, without it",
        percent(cost.after),
        f"{points:+.1f} points" if cost.lost != cost.gained else "no change",
        delta_color="normal" if cost.lost != cost.gained else "off",
        delta_arrow="auto" if cost.lost != cost.gained else "off",
    )
    seen = " The head was fitted on them, too." if split == "validation" else ""
    change = "prediction changes" if cost.changed == 1 else "predictions change"
    st.caption(
        f"{percent(cost.before)} with it, n = {cost.n:,}. {cost.changed:,} {change}: "
        f"{cost.lost:,} from right to wrong, {cost.gained:,} from wrong to right.{seen}"
    )


def changes(run: Run, found: pd.DataFrame) -> None:
    """The texts whose prediction changes, each a way to its explanation."""
    if found.empty:
        st.info("No prediction changes: others say the same, or it is rarely active.")
        return
    every, labels, _ = texts_of(run)
    at = found["example"].to_numpy()
    table = pd.DataFrame(
        {
            "#": at,
            "text": [every[row] for row in at],
            "label": labels[at],
            "with it": found["before"],
            "without it": found["after"],
            "split": found["split"],
        }
    )
    places_table(
        table,
        [{"example": int(one)} for one in at],
        key=f"changes_{context().neuron}",
        text=st.column_config.TextColumn(width="large"),
    )


def one_text(run: Run, neuron: dict[str, Any], values: np.ndarray) -> None:
    """The probabilities of the example of the context, with the neuron and without."""
    held, head = context().example, head_of(run)
    if held is None or held >= len(values):
        st.caption("Pick a text here or on *Examples* to see its probabilities change.")
        return
    before = head.logits(np.asarray(run.activations[[held]], float))
    after = ablated(head, before, values[[held]], neuron["neuron"])
    shares = pd.DataFrame(
        {
            "class": head.classes,
            "with it": softmax(before)[0],
            "without it": softmax(after)[0],
        }
    )
    shares["change"] = shares["without it"] - shares["with it"]
    order = shares["change"].abs().to_numpy().argsort(kind="stable")[::-1]
    text = texts_of(run).texts[held]
    st.markdown(f"**Text {held}**: {escape(text[:160])}")
    st.dataframe(
        shares.iloc[order[:MOST_CLASSES]],
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("with it", "without it", "change")
        },
        alt="Class probabilities with the neuron and without it",
    )
