"""Compare: runs on the same data, and two of them text by text."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.comparison import (
    Which,
    differing,
    divided,
    largest_first,
    verdict,
)
from stc_core.analysis.run_cards import (
    Card,
    card_table,
    same_table,
    side_by_side,
    titles_of,
)
from stc_core.display import count, percent
from stc_core.figures.compare import (
    MOST_CLASSES,
    PRICE_NAMES,
    PRICES,
    class_difference_bars,
    overlap_bars,
    runs_scatter,
)
from stc_core.frames import records
from stc_core.interpret.neuron_overlap import agreement, comparable, total
from stc_core.metrics.paired import compare_paired
from stc_core.paths import runs_folder
from stc_core.runs.run import Run
from ui.cache import comparison
from ui.cache.comparison import class_gaps, widths
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.charts.chart import chart
from ui.shell.frame import empty_state, pick_run
from ui.shell.messages import escape
from ui.shell.page_list import EXAMPLES, TRAIN
from ui.shell.report_button import report_button
from ui.shell.widgets import FIELD, PERCENT, PIN, in_percent, place_columns
from ui.state.clicks import click_example, click_run
from ui.state.navigation import clicked, context, link, pick

_RUNS = (
    "{n} finished runs on **{table}**, label **{label}**. Accuracy on each run's own "
    "test texts, with 95 % intervals. The best of many is a little flattered by its "
    "own luck. Click a point to compare with it."
)
MATCHED = (
    "Matched by text and label: **{n:,} test texts are in both** (this run has {a:,}, "
    "the other {b:,}). Neither run learned from them."
)
CLASSES = (
    "Full colour: the 95 % interval leaves 0 out, as of **{sure} of {of:,} classes**; "
    "were both alike, about {by_luck:.1f} would do so by luck. No bar: no difference."
    "{cut}"
)
_NEURONS = (
    "A neuron is a site and an index, however it is pooled. Chance: both runs draw as "
    "many at random from each site. Together **{both:,} of {union:,}** neurons are in "
    "both (Jaccard {jaccard:.2f}){times}. Neurons that say the same are many, so low "
    "agreement does not mean that one choice is wrong."
)
TOLD = ["text", "label", "predicted_a", "a", "predicted_b", "b"]
UNSELECTED = ("variability", "hierarchy", "attention")
WHICH: dict[Which, str] = {
    "differ": "All that differ",
    "a": "This run right",
    "b": "The other right",
    "neither": "Both wrong, differently",
}


def scatter(cards: list[Card], mine: Card) -> None:
    """All runs of the same data, and the choice of the one to compare with."""
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    price: Any = row.segmented_control(
        "Accuracy against",
        PRICES,
        default=PRICES[0],
        required=True,
        format_func=lambda name: PRICE_NAMES[name].capitalize(),
        key="price",
    )
    with row.container(width=420, height=FIELD, border=False):
        titles = titles_of([one for one in cards if one.run != mine.run])
        pick(
            "other",
            "Compare with",
            list(titles),
            optional=True,
            format_func=lambda name: titles[name],
            placeholder="Choose a run, or click its point",
        )
    held = context().other
    other = held if held != mine.run else None
    figure = runs_scatter(card_table(cards), price, run=mine.run, other=other)
    alt = f"Test accuracy of the runs against their {PRICE_NAMES[price]}"
    chart(figure, "runs_chart", alt=alt, turn=click_run)
    table, *_, label = mine.table
    said = {"table": escape(table), "label": escape(label)}
    st.caption(_RUNS.format(n=len(cards), **said))


def other_of(cards: list[Card], mine: Card) -> Card:
    """The card of the run to compare with; without one the page stops here."""
    held = context().other
    found = next((one for one in cards if one.run == held), None)
    if found is not None and found.run != mine.run:
        return found
    if held is None:
        text = "Click a point above, or choose a run, to see where the two differ."
    elif held == mine.run:
        text = "A run cannot be compared with itself. Choose another one above."
    else:
        text = f"**{escape(held)}** is not a finished run on this data. "
        text += "Choose one of those above."
    st.info(text, icon=":material/compare_arrows:")
    st.stop()
    raise AssertionError("st.stop ends the page")


def sides(mine: Card, other: Card) -> None:
    st.subheader("Side by side", anchor=False)
    st.dataframe(
        side_by_side(mine, other),
        hide_index=True,
        height="content",
        column_config={
            "fact": st.column_config.TextColumn("", width=110),
            "a": st.column_config.TextColumn(f"This run: {mine.name}", width=150),
            "b": st.column_config.TextColumn(f"The other: {other.name}", width=150),
        },
        alt="Facts of the two runs",
    )


def outcome(both: pd.DataFrame, mine: Card, other: Card) -> None:
    """Who is right more often on the texts that both have scored."""
    found = compare_paired(
        both["right_a"].to_numpy(bool), both["right_b"].to_numpy(bool)
    )
    with st.container(border=True):
        st.markdown(MATCHED.format(n=found.n, a=mine.n, b=other.n))
        st.markdown(verdict(found))
        counts = {
            "Both right": found.both,
            "This alone": found.only_a,
            "Other alone": found.only_b,
            "Both wrong": found.neither,
        }
        for column, (name, count) in zip(
            st.columns(4, gap="small"), counts.items(), strict=True
        ):
            column.metric(name, f"{count:,}")


def _classes(found: pd.DataFrame) -> None:
    st.subheader("Class by class", anchor=False)
    alt = "Difference of F1 between the two runs by class, with intervals"
    chart(class_difference_bars(found), "class_differences", alt=alt)
    cut = ""
    if len(found) > MOST_CLASSES:
        cut = f" Drawn: the {MOST_CLASSES} that differ most; *The numbers* has all."
    sure, of = len(differing(found)), len(found)
    st.caption(CLASSES.format(sure=sure, of=of, by_luck=of / 20, cut=cut))
    with st.expander("The numbers", icon=":material/table:"):
        class_numbers(found)


def class_numbers(found: pd.DataFrame) -> None:
    """Every class, the largest difference first, in percent and points."""
    shares = ("f1_a", "f1_b", "difference", "low", "high")
    titles = ("F1, this run", "F1, the other", "Other − this", "95 % from", "to")
    forms = (PERCENT, PERCENT, "%+.1f", "%+.1f", "%+.1f")
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(title, format=form)
        for name, title, form in zip(shares, titles, forms, strict=True)
    }
    columns["label"] = st.column_config.TextColumn("Class")
    columns["n"] = st.column_config.NumberColumn("Texts", width=60)
    st.dataframe(
        in_percent(largest_first(found), *shares),
        hide_index=True,
        column_config=columns,
        alt="F1 of each class in both runs, the largest difference first",
    )


def _neurons(run: Run, other: Run) -> None:
    """Whether the two chose the same neurons; only on one and the same model."""
    st.subheader("The same neurons?", anchor=False)
    found = [read(one, "metrics") for one in (run, other)]
    if any(one.config.train.recipe in UNSELECTED for one in (run, other)):
        st.info("One of the two selects no neurons: it reads whole layers.")
        return
    models = [one["backbone"] for one in found]
    if not comparable(models[0], models[1]):
        st.info(
            "The two read different language models, or one that was tuned: neurons "
            "of the same number have nothing to do with each other."
        )
        return
    chosen = [read(one, "neurons") for one in (run, other)]
    layers = agreement(chosen[0], chosen[1], widths(run) | widths(other))
    alt = "Neurons in both runs by layer, and how many chance would give"
    chart(overlap_bars(layers), "overlap", alt=alt)
    found = total(layers)
    many = f", {found['times']:.1f} times what chance gives"
    st.caption(
        _NEURONS.format(
            both=int(found["both"]),
            union=int(found["a"] + found["b"] - found["both"]),
            jaccard=found["jaccard"],
            times=many if found["times"] == found["times"] else "",
        )
    )
    with st.expander("The numbers", icon=":material/table:"):
        shown = layers.drop(columns="variance")
        st.dataframe(shown, hide_index=True, alt="Neurons of both runs by layer")


def _texts(run: Run, both: pd.DataFrame, mine: Card, other: Card) -> None:
    st.subheader("Texts where they differ", anchor=False)
    which: Any = st.segmented_control(
        "Show",
        list(WHICH),
        default="differ",
        required=True,
        format_func=lambda name: WHICH[name],
        key="which",
    )
    found = divided(both, which)
    if found.empty:
        st.info("There is no such text.", icon=":material/filter_alt_off:")
        return
    rows = found["example_a"].tolist()
    places = texts_of(run).places(found["example_a"].to_numpy(int))
    shares = {end: 100 * found[f"probability_{end}"] for end in ("a", "b")}
    st.dataframe(
        found.assign(**places, **shares)[[*places, *TOLD]],
        key="divided_table",
        on_select=clicked(
            "divided_table", lambda now, event: click_example(now, event, rows)
        ),
        selection_mode="single-row",
        hide_index=True,
        height=min(318, 38 + 35 * len(found)),
        column_config={
            **place_columns(run),
            "text": st.column_config.TextColumn("Text", width=330),
            "label": st.column_config.TextColumn("Label", width=115, **PIN),
            "predicted_a": st.column_config.TextColumn(
                "This run says", width=115, **PIN
            ),
            "predicted_b": st.column_config.TextColumn(
                "The other says", width=115, **PIN
            ),
            "a": st.column_config.NumberColumn(
                "sure", format="%.0f %%", width=55, **PIN
            ),
            "b": st.column_config.NumberColumn(
                "sure ", format="%.0f %%", width=55, **PIN
            ),
        },
        alt="Texts with other predictions in the two runs",
    )
    st.caption(f"{count(len(found), 'text')}, the surest first. Pick a row to see why.")
    picked = both.loc[both["example_a"] == context().example]
    if len(picked):
        one(records(picked)[0], mine, other)


def one(row: dict[str, Any], mine: Card, other: Card) -> None:
    """The text that was picked, with the way to its explanation in either run."""
    with st.container(border=True):
        st.markdown(escape(str(row["text"])))
        st.caption(f"Label **{escape(row['label'])}**")
        for column, end, card in zip(
            st.columns(2), ("a", "b"), (mine, other), strict=True
        ):
            right = row[f"right_{end}"]
            colour, said = ("green", "right") if right else ("red", "wrong")
            with column:
                st.markdown(
                    f"{escape(card.name)}: **{escape(row[f'predicted_{end}'])}** "
                    f"({percent(row[f'probability_{end}'])}) :{colour}-badge[{said}]"
                )
                place: dict[str, Any] = {"example": int(row[f"example_{end}"])}
                if end == "b":
                    place |= {"run": other.run, "other": mine.run}
                link(EXAMPLES, "Explain it", icon=":material/chat_bubble:", **place)


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    every = comparison.cards()
    mine = next((one for one in every if one.run == run.folder.name), None)
    alike = same_table(every, mine) if mine else []
    if mine is None or len(alike) < 2:
        empty_state(
            "Nothing to compare yet",
            "This is the only finished run on its data. Train another with other "
            "settings: a model, a depth, a preset, a seed.",
            page=TRAIN,
            label="Train another",
        )
        st.stop()
    scatter(alike, mine)
    second = other_of(alike, mine)
    other = Run.open(runs_folder() / second.run)
    both = comparison.both(run, other)
    left, right = st.columns(2, gap="large")
    with left:
        outcome(both, mine, second)
        _classes(class_gaps(run, other))
    with right:
        sides(mine, second)
        _neurons(run, other)
    _texts(run, both, mine, second)
    with st.container(horizontal=True):
        report_button(run, "Report of this run")
        report_button(other, "Report of the other")
