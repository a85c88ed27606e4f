"""Compare: all runs on the same data, and two of them text by text."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.comparison import (
    Which,
    differing_classes,
    differing_texts,
    largest_first,
    standing_of,
    verdict,
)
from stc_core.analysis.run_cards import (
    Card,
    card_table,
    same_table,
    side_by_side,
    titles_of,
)
from stc_core.analysis.verdict import Standing
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
from stc_core.recipe_table import RECIPES
from stc_core.runs.run import Run
from ui.cache import comparison
from ui.cache.comparison import class_gaps, widths
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.charts.chart import chart
from ui.compare.sweep import sweep_group
from ui.shell.downloads import csv_button, report_button
from ui.shell.frame import empty_state, pick_run
from ui.shell.messages import escape
from ui.shell.page_list import ERRORS, EXAMPLES, TRAIN
from ui.shell.widgets import FIELD_LINE, PERCENT, PIN, in_percent, place_columns
from ui.state.clicks import click_example, click_run
from ui.state.navigation import clicked, context, go, link, pick, remember

_RUNS = (
    "{n} finished runs on **{table}**, label **{label}**. Accuracy on the test texts "
    "of each run, with 95 % intervals. The best of many runs is partly lucky, so its "
    "accuracy is a little too high. Click a point to compare with that run."
)
MATCHED = (
    "**{n:,} test texts are in both runs**, matched by text and label (this run has "
    "{a:,} test texts, the other {b:,}). Neither run was trained on them."
)
CLASSES = (
    "Full colour: a difference that is hardly luck, as its 95 % interval leaves out 0 "
    "(**{sure} of {of:,} classes**). Luck alone would give about {by_luck:.1f}. No "
    "bar: no difference.{cut}"
)
_NEURONS = (
    "**{both:,} of {union:,}** kept neurons, each with its pooling, are in both runs "
    "(Jaccard {jaccard:.2f}){times}. Chance: what two random choices of as many "
    "neurons would share. Many neurons carry the same information, so a small overlap "
    "does not mean that one choice is wrong."
)
_TEXT_COLUMNS = ["text", "label", "predicted_a", "a", "predicted_b", "b"]
WHICH: dict[Which, str] = {
    "differ": "All that differ",
    "a": "This run right",
    "b": "The other right",
    "neither": "Both wrong, differently",
}


def show_scatter(cards: list[Card], mine: Card) -> None:
    """Draw all runs on the same data, and the choice of the run to compare with."""
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    price: Any = row.segmented_control(
        "Accuracy against",
        PRICES,
        default=PRICES[0],
        required=True,
        format_func=lambda name: f"By {PRICE_NAMES[name]}",
        key="price",
        label_visibility="collapsed",
    )
    with row.container(width=190, height=FIELD_LINE, border=False):
        titles = titles_of([card for card in cards if card.run != mine.run])
        pick(
            "other",
            "Compare with",
            list(titles),
            optional=True,
            format_func=lambda name: titles[name],
            placeholder="Choose a run, or click its point",
            label_visibility="collapsed",
        )
    chosen = context().other
    other = chosen if chosen != mine.run else None
    figure = runs_scatter(card_table(cards), price, run=mine.run, other=other)
    alt = f"Test accuracy of the runs against their {PRICE_NAMES[price]}"
    chart(figure, "runs_chart", alt=alt, turn=click_run)
    table, *_, label = mine.table
    names = {"table": escape(table), "label": escape(label)}
    st.caption(_RUNS.format(n=len(cards), **names))


def other_of(cards: list[Card], mine: Card) -> Card:
    """The card of the run to compare with; if none is chosen, the page stops here."""
    chosen = context().other
    other = next((card for card in cards if card.run == chosen), None)
    if other is not None and other.run != mine.run:
        return other
    if chosen is None:
        text = "Click a point, or choose a run, to see where the two differ."
    elif chosen == mine.run:
        text = "A run cannot be compared with itself. Choose another run above."
    else:
        text = f"**{escape(chosen)}** is not a finished run among these. "
        text += "Choose one of the runs above."
    st.info(text, icon=":material/compare_arrows:")
    st.stop()
    raise AssertionError("st.stop ends the page")


def show_facts(mine: Card, other: Card) -> None:
    st.subheader("Side by side", anchor=False)
    st.dataframe(
        side_by_side(mine, other),
        hide_index=True,
        height="content",
        column_config={
            "fact": st.column_config.TextColumn("", width=128),
            "a": st.column_config.TextColumn(f"This run: {mine.name}", width=124),
            "b": st.column_config.TextColumn(f"The other: {other.name}", width=124),
        },
        alt="Facts of the two runs",
    )


def show_outcome(both: pd.DataFrame, mine: Card, other: Card) -> None:
    """Show which run is right more often on the texts that both have scored."""
    result = compare_paired(
        both["right_a"].to_numpy(bool), both["right_b"].to_numpy(bool)
    )
    with st.container(border=True):
        st.markdown(verdict(result))
        _next_step(standing_of(result), mine, other)
        st.caption(
            MATCHED.format(n=result.n, a=mine.result.n_test, b=other.result.n_test)
        )
        counts = {
            "Both right": result.both,
            "Only this right": result.only_a,
            "Only other right": result.only_b,
            "Both wrong": result.neither,
        }
        columns = [*st.columns(2, gap="small"), *st.columns(2, gap="small")]
        for column, (name, count) in zip(columns, counts.items(), strict=True):
            column.metric(name, f"{count:,}")


def _next_step(standing: Standing, mine: Card, other: Card) -> None:
    """Draw the button for what to do after the verdict on the two runs."""
    cheaper = other.result.compute_share < mine.result.compute_share
    if standing == "worse" or (standing == "level" and cheaper):
        named = "better" if standing == "worse" else "cheaper"
        st.button(
            f"Open the {named} run",
            icon=":material/swap_horiz:",
            on_click=remember,
            kwargs={"run": other.run, "other": mine.run},
        )
    elif st.button("Look at this run's mistakes", icon=":material/search:"):
        go(ERRORS)


def _classes(differences: pd.DataFrame) -> None:
    st.subheader("Class by class", anchor=False)
    alt = "Difference of F1 between the two runs by class, with intervals"
    chart(class_difference_bars(differences), "class_differences", alt=alt)
    cut = ""
    if len(differences) > MOST_CLASSES:
        cut = f" Drawn: the {MOST_CLASSES} classes that differ most."
        cut += " *The numbers* lists all."
    sure, of = len(differing_classes(differences)), len(differences)
    st.caption(CLASSES.format(sure=sure, of=of, by_luck=of / 20, cut=cut))
    with st.expander("The numbers", icon=":material/table:"):
        class_numbers(differences)


def class_numbers(differences: pd.DataFrame) -> None:
    """Show every class, the largest difference first, in percent and points."""
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
        in_percent(largest_first(differences), *shares),
        hide_index=True,
        column_config=columns,
        alt="F1 of each class in both runs, the largest difference first",
    )


def _neurons(run: Run, other: Run) -> None:
    """Show whether the two runs chose the same neurons, if they read the same model."""
    st.subheader("The same neurons?", anchor=False)
    if any(RECIPES[each.config.train.recipe].tunes for each in (run, other)):
        st.info(
            "One of the two runs reads whole layers, so it has no neurons to compare."
        )
        return
    models = [read(each, "metrics")["backbone"] for each in (run, other)]
    if not comparable(models[0], models[1]):
        st.info(
            "The two runs read different language models, or one model was tuned. A "
            "number means another neuron in each of them."
        )
        return
    chosen = [read(each, "neurons") for each in (run, other)]
    layers = agreement(chosen[0], chosen[1], widths(run) | widths(other))
    alt = "Neurons in both runs by layer, and how many chance would give"
    chart(overlap_bars(layers), "overlap", alt=alt)
    overlap = total(layers)
    times = f", {overlap['times']:.1f} times what chance gives"
    st.caption(
        _NEURONS.format(
            both=int(overlap["both"]),
            union=int(overlap["a"] + overlap["b"] - overlap["both"]),
            jaccard=overlap["jaccard"],
            times=times if overlap["times"] == overlap["times"] else "",
        )
    )
    with st.expander("The numbers", icon=":material/table:"):
        counts = layers.drop(columns="variance")
        st.dataframe(counts, hide_index=True, alt="Neurons of both runs by layer")


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
    table = differing_texts(both, which)
    if table.empty:
        st.info("There is no such text.", icon=":material/filter_alt_off:")
        return
    _differing_table(run, table)
    st.caption(f"{count(len(table), 'text')}, the surest first. Pick a row to see why.")
    picked = both.loc[both["example_a"] == context().example]
    if len(picked):
        show_text(records(picked)[0], mine, other)


def _differing_table(run: Run, table: pd.DataFrame) -> None:
    """Draw the texts of `table` with the predictions of both runs."""
    rows = table["example_a"].tolist()
    places = texts_of(run).places(table["example_a"].to_numpy(int))
    shares = {end: 100 * table[f"probability_{end}"] for end in ("a", "b")}
    predicted: dict[str, Any] = {"width": 115, **PIN}
    sure: dict[str, Any] = {"format": "%.0f %%", "width": 55, **PIN}
    shown = table.assign(**places, **shares).loc[:, [*places, *_TEXT_COLUMNS]]
    st.dataframe(
        shown,
        key="divided_table",
        on_select=clicked(
            "divided_table", lambda now, event: click_example(now, event, rows)
        ),
        selection_mode="single-row",
        hide_index=True,
        height=min(318, 38 + 35 * len(table)),
        column_config={
            **place_columns(run),
            "text": st.column_config.TextColumn("Text", width=330),
            "label": st.column_config.TextColumn("Label", **predicted),
            "predicted_a": st.column_config.TextColumn("This run says", **predicted),
            "predicted_b": st.column_config.TextColumn("The other says", **predicted),
            "a": st.column_config.NumberColumn("sure", **sure),
            "b": st.column_config.NumberColumn("sure ", **sure),
        },
        alt="Texts that the two runs label differently",
    )
    csv_button(shown, f"{run.folder.name}_texts.csv", key="divided")


def show_text(row: dict[str, Any], mine: Card, other: Card) -> None:
    """Show the picked text, with links to its explanation in both runs."""
    with st.container(border=True):
        st.markdown(escape(str(row["text"])))
        st.caption(f"Label **{escape(row['label'])}**")
        for column, end, card in zip(
            st.columns(2), ("a", "b"), (mine, other), strict=True
        ):
            right = row[f"right_{end}"]
            colour, badge = ("green", "right") if right else ("red", "wrong")
            with column:
                st.markdown(
                    f"{escape(card.name)}: **{escape(row[f'predicted_{end}'])}** "
                    f"({percent(row[f'probability_{end}'])}) :{colour}-badge[{badge}]"
                )
                target: dict[str, Any] = {"example": int(row[f"example_{end}"])}
                if end == "b":
                    target |= {"run": other.run, "other": mine.run}
                link(EXAMPLES, "Explain it", icon=":material/chat_bubble:", **target)


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run(texts=True)
    cards = comparison.cards()
    mine = next((card for card in cards if card.run == run.folder.name), None)
    same_data = same_table(cards, mine) if mine else []
    if mine is None or len(same_data) < 2:
        empty_state(
            "Nothing to compare yet",
            "This is the only finished run on its data. Train another run with other "
            "settings: a model, a depth, a preset or a seed.",
            page=TRAIN,
            label="Train another",
        )
        st.stop()
    group = sweep_group(same_data, mine)
    left, right = st.columns([5, 4], gap="medium")
    with left:
        show_scatter(group, mine)
    with right:
        second = other_of(group, mine)
        other = Run.open(runs_folder() / second.run)
        both = comparison.both(run, other)
        show_outcome(both, mine, second)
    left, right = st.columns(2, gap="large")
    with left:
        _classes(class_gaps(run, other))
        _neurons(run, other)
    with right:
        show_facts(mine, second)
    _texts(run, both, mine, second)
    with st.container(horizontal=True):
        report_button(run, "Report of this run")
        report_button(other, "Report of the other")
