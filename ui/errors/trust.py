"""How far the probabilities can be trusted, and answers left out below a threshold."""

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.calibration import (
    answered,
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
    "Expected calibration error: the mean distance between how sure an answer is and "
    "how often such answers are right, over 15 bins."
)
ANY_ANSWER = (
    ":material/info: Of all labels and answers of these texts: to choose by either "
    "would say beforehand how right they are."
)


def show_trust(run: Run, part: pd.DataFrame, shares: np.ndarray) -> None:
    """How sure it is against how right it is, and what abstaining brings."""
    metrics = read(run, "metrics")
    codes = codes_of(part, metrics["classes"])
    temperature = temperature_of(metrics)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Is it as right as it is sure?**")
        after = expected_calibration_error(codes, shares)
        before, said = None, f"ECE {percent(after)}. "
        if temperature is None:
            said += "This recipe keeps no temperature to compare with."
        elif temperature == 1:
            said += "The preset of this run has no temperature."
        else:
            raw = untempered(shares, temperature)
            before = calibration_bins(codes, raw)
            error = expected_calibration_error(codes, raw)
            said = (
                f"ECE {percent(after)}, before the temperature {percent(error)}. "
                f"Logits are divided by {temperature:.2f}, the best value on "
                "validation; undone here from the probabilities."
            )
            if after > error:
                said += " On these texts it made the answers less honest, not more."
        figure = calibration_curve(calibration_bins(codes, shares), before)
        chart(figure, "calibration", alt="Accuracy by confidence")
        st.caption(f"{said} Bars: 95 %, by bin.")
    with right:
        abstain(part)


def abstain(part: pd.DataFrame) -> None:
    st.markdown("**What if it may abstain?**")
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
    kept = answered(sure, correct, threshold)
    figure = coverage_figure(coverage_curve(sure, correct), kept)
    figure.layout.height = 280
    chart(figure, "coverage", alt="Accuracy by share of texts answered")
    if not kept.n:
        st.caption("Nothing is that sure: every text would be left to people.")
        return
    st.caption(
        f"**{percent(kept.coverage)}** answered ({kept.n:,} of {kept.of:,}), "
        f"**{percent(kept.accuracy)}** of these right "
        f"({interval((kept.low, kept.high))}); {kept.of - kept.n:,} left to people."
    )


def codes_of(part: pd.DataFrame, classes: list[str]) -> np.ndarray:
    return pd.Index(classes).get_indexer_for(part["label"].to_numpy()).astype(np.int64)
