"""How reliable the probabilities are, and what leaving out unsure answers brings."""

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.calibration import (
    LEAST,
    answer_above,
    calibration_bins,
    coverage_curve,
    temperature_of,
    untempered,
)
from stc_core.display import interval, percent
from stc_core.figures.errors import calibration_curve, coverage_figure
from stc_core.metrics.scores import expected_calibration_error
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.chart import chart

ECE = (
    "ECE (expected calibration error): how far the confidence is from the share of "
    "answers that are right, on average. 0 % is perfect."
)
BINNED = (
    "Bars: 95 % intervals. A bin with fewer than {least} texts is joined with the next."
)


def show_trust(run: Run, part: pd.DataFrame, shares: np.ndarray) -> None:
    """Show confidence against accuracy, and the effect of dropping unsure answers."""
    metrics = read(run, "metrics")
    codes = codes_of(part, metrics["classes"])
    temperature = temperature_of(metrics)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Does the confidence match the accuracy?**")
        after = expected_calibration_error(codes, shares)
        before, caption = None, f"ECE {percent(after)}. "
        if temperature is None:
            caption += "This method does not adjust its confidence by a temperature."
        elif temperature == 1:
            caption += "This run does not adjust its confidence by a temperature."
        else:
            raw = untempered(shares, temperature)
            before = calibration_bins(codes, raw, least=LEAST)
            error = expected_calibration_error(codes, raw)
            caption = (
                f"ECE {percent(after)}; before the temperature {percent(error)}. A "
                f"temperature of {temperature:.2f} adjusts the confidence; it is the "
                "best value on held-out texts."
            )
            if after > error:
                caption += " On these texts it made the ECE worse."
        figure = calibration_curve(calibration_bins(codes, shares, least=LEAST), before)
        chart(figure, "calibration", alt="Accuracy by confidence")
        st.caption(f"{caption} {BINNED.format(least=LEAST)}")
    with right:
        show_coverage(part)


def show_coverage(part: pd.DataFrame) -> None:
    """Show how many texts are answered above a confidence, and how many are right."""
    st.markdown("**What if unsure answers are left out?**")
    sure, correct = part["probability"].to_numpy(float), part["correct"].to_numpy(bool)
    threshold = st.slider(
        "Answer only with a confidence of at least",
        0.0,
        1.0,
        0.5,
        0.01,
        key="sure",
        persist_state="page",
    )
    kept = answer_above(sure, correct, threshold)
    figure = coverage_figure(coverage_curve(sure, correct), kept)
    figure.layout.height = 280
    chart(figure, "coverage", alt="Accuracy by share of texts answered")
    if not kept.n:
        st.caption(
            "No answer is that confident: people would have to label every text."
        )
        return
    st.caption(
        f"**{percent(kept.coverage)}** answered ({kept.n:,} of {kept.of:,}), "
        f"**{percent(kept.accuracy)}** of these right "
        f"({interval((kept.low, kept.high))}). {kept.of - kept.n:,} left to people."
    )


def codes_of(part: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """The index of the label of each text in `classes`."""
    return pd.Index(classes).get_indexer_for(part["label"].to_numpy()).astype(np.int64)
