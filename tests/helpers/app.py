"""Visit a page of the app as a person does, without a browser."""

import json
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.testing.v1 import AppTest

from helpers.metrics import whole_metrics
from stc_core.config import DataConfig, RunConfig
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from ui.cache import run_files

# Streamlit reads its settings once, from the folder of that moment: a test that works
# in another folder would take them from all that come later.
st.get_option("server.enableStaticServing")
run_files.PATIENCE_S = 60.0
"""A page is visited once here, not again as by a browser: it waits for a model."""

ROOT = Path(__file__).parents[2]
WORDS = "parcel late refund card login password invoice price broken screen".split()


def visit(
    page: str = "app.py", *, state: dict[str, Any] | None = None, **params: str
) -> AppTest:
    """`page` of the app, run once with these query parameters and widget values."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    if page != "app.py":
        app.switch_page(page)
    for name, value in params.items():
        app.query_params[name] = value
    for name, value in (state or {}).items():
        app.session_state[name] = value
    return app.run()


def fine(app: AppTest) -> AppTest:
    """The same app, once it is sure that nothing failed loudly."""
    assert not app.exception, app.exception[0].message
    return app


def said(app: AppTest) -> str:
    """All words on the page, for a look at what it says."""
    kinds = ("markdown", "caption", "error", "warning", "info", "success", "subheader")
    texts = [one.value for kind in kinds for one in getattr(app, kind)]
    texts += [f"{one.label}: {one.value}" for one in app.metric]
    return "\n".join(texts)


def html(app: AppTest) -> str:
    """All that the page writes as HTML of its own."""
    return "".join(one.proto.body for one in app.get("html"))


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The figures on the page, as Plotly draws them."""
    given = [one.proto.json for one in app.get("bidi_component")]
    drawn = [json.loads(one) for one in given if one]
    return [json.loads(one["figure"]) for one in drawn if "figure" in one]


def at_home(home: Path, monkeypatch, **folders: Path) -> Path:
    """The runs folder of `home`, from now on STC_HOME, where these runs have names."""
    runs = home / "runs"
    runs.mkdir()
    for name, folder in folders.items():
        (runs / name).symlink_to(folder, target_is_directory=True)
    monkeypatch.setenv("STC_HOME", str(home))
    return runs


def small_csv(n: int = 60, *, extra: str = "") -> bytes:
    """A table of `n` distinct texts in three classes."""
    rows = [
        f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} number {i},{'abc'[i % 3]}"
        for i in range(n)
    ]
    return ("text,label\n" + "\n".join(rows) + "\n" + extra).encode()


PLAN = {
    "n_texts": 1234,
    "n_tokens": 9999,
    "n_cut": 617,
    "seconds": 42.0,
    "memory_bytes": 2.5e9,
    "disk_bytes": 3.1e7,
}
METRICS = whole_metrics(
    test={
        "accuracy": 0.874,
        "accuracy_interval": [0.851, 0.893],
        "macro_f1": 0.862,
        "macro_f1_interval": [0.84, 0.89],
        "ece": 0.031,
        "n": 1090,
    },
    neurons={"selected": 412, "unique": 400, "total": 32256},
    layers={"used": 4, "total": 6},
    seconds={"total": 27.4},
    baselines={
        "majority": {
            "accuracy": 0.22,
            "accuracy_interval": [0.2, 0.24],
            "macro_f1": 0.06,
            "detail": "a",
        },
        "tfidf": {
            "accuracy": 0.81,
            "accuracy_interval": [0.78, 0.84],
            "macro_f1": 0.8,
        },
        "last_layer": {
            "accuracy": 0.842,
            "accuracy_interval": [0.82, 0.86],
            "macro_f1": 0.83,
            "detail": "resid.6.mean",
        },
    },
)


def written_run(folder: Path, name: str, *, state: str = "done") -> Run:
    """A run directory as the pages find it, with no training behind it."""
    config = RunConfig(name=name, data=DataConfig(path="a.csv", text="text"))
    writer = RunWriter(folder, config)
    writer.phase("read")
    writer.phase("extract", total=200)
    writer.progress(50, 200)
    if state == "done":
        writer.write_metrics(METRICS)
        return writer.finish()
    if state == "failed":
        writer.fail(RuntimeError("out of <b>memory</b>"))
    if state == "cancelled":
        writer.fail(KeyboardInterrupt())
    return Run(folder)
