"""The pages in a real browser, on a run of 20,000 texts and 5,000 neurons.

Seconds until a page is at rest: the first time, when a run is read; again, when it is
known ("warm"); and after a click. The run is a small real one, its rows and neurons
repeated with some noise. The rival is the goal: 2 s for a page, .5 s for a click.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import Page

from benches.measure import Row, show
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.uploads import find_upload
from stc_core.files import read_json, write_json
from stc_core.recipes import comparisons, registry
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # its browser

N_FIT, N_TEXTS, N_NEURONS, ROUNDS = 400, 20_000, 5_000, 4
PAINT_S, CLICK_S = 2.0, 0.5
PAGES = ("Layers", "Neurons", "Examples", "Errors", "Predict", "Runs")
REST_MS = 300
"""How long nothing may go on for a page to be at rest; not counted as its time."""
WAIT_S = 60.0


def small(folder: Path) -> Run:
    """A run of some of the sample, in `folder`; no baselines."""
    comparisons.baselines_of = lambda *_, **__: {}
    table = folder.parent / "texts.csv"
    sample = pd.read_csv(find_upload("sample").path, nrows=N_FIT)
    sample[["text", "topic"]].to_csv(table, index=False)
    config = RunConfig(
        data=DataConfig(path=str(table), text="text", labels=("topic",)),
        train=TrainConfig(device="cpu"),
    )
    with RunWriter(folder, config) as writer:
        return registry.train(config, writer)


def enlarge(run: Run) -> None:
    """Give the run N_TEXTS texts and N_NEURONS neurons, as if it had been so large."""
    rng = np.random.default_rng(0)
    corpus, predictions, neurons = run.corpus, run.predictions, run.neurons
    rows = np.arange(N_TEXTS) % len(corpus)
    which = np.arange(N_NEURONS) % len(neurons)
    known = np.asarray(run.activations, np.float32)
    large = corpus.iloc[rows].reset_index(drop=True)
    large["text"] += [f" ({place})" for place in range(N_TEXTS)]
    guessed = predictions.iloc[rows].reset_index(drop=True)
    guessed["row"] = np.arange(N_TEXTS)
    kept = neurons.iloc[which].reset_index(drop=True)
    kept["neuron"] = np.arange(N_NEURONS)
    kept["importance"] *= rng.uniform(0.5, 1, N_NEURONS)
    large.to_parquet(run.folder / "corpus.parquet")
    guessed.to_parquet(run.folder / "predictions.parquet")
    kept.to_parquet(run.folder / "neurons.parquet")
    _enlarge_stability(run, which)
    path = run.folder / "activations.npy"
    values = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(N_TEXTS, N_NEURONS)
    )
    for start in range(0, N_TEXTS, 2000):
        block = known[rows[start : start + 2000]][:, which]
        values[start : start + 2000] = block + 0.01 * rng.normal(size=block.shape)
    values.flush()


def _enlarge_stability(run: Run, which: np.ndarray) -> None:
    """How often each neuron was selected, as often as the neuron it is a copy of."""
    path = run.folder / RunFile.STABILITY
    if not path.is_file():
        return
    record = read_json(path)
    for part in (record, *record.get("repeats", {}).values()):
        part["frequency"] = np.asarray(part["frequency"])[which].tolist()
    write_json(path, record)


WATCH = """
(() => {
  const watch = window.benchWatch = {clicked: null, changed: 0, ran: false};
  const now = () => performance.timeOrigin + performance.now();
  addEventListener("click", () => { watch.clicked ??= now(); }, true);
  new MutationObserver((changes) => {
    // What is in a canvas is for screen readers, which a table writes later.
    if (changes.every((one) => one.target.closest?.("canvas"))) return;
    watch.changed = now();
    watch.ran ||= changes.some((one) => one.type === "attributes");
  }).observe(document, {
    subtree: true, childList: true, characterData: true,
    attributeFilter: ["data-test-script-state"],
  });
  watch.forget = () => Object.assign(watch, {clicked: null, ran: false});
  watch.rest = (restMs, waitMs) => new Promise((done, fail) => {
    const since = now();
    const look = () => {
      const app = document.querySelector("[data-testid=stApp]");
      const still = app?.dataset.testScriptState === "notRunning"
        && !document.querySelector("[data-testid=stSkeleton], [aria-busy=true]");
      if (watch.ran && still && now() - watch.changed >= restMs) {
        done({clicked: watch.clicked, changed: watch.changed});
      } else if (now() - since > waitMs) {
        fail(new Error("it does not come to rest"));
      } else {
        setTimeout(look, 50);
      }
    };
    look();
  });
})();
"""
"""Notes in the page itself when it was clicked and when it last changed: to ask from
outside over and over would take a tenth of the time that is measured."""


def until_rest(page: Page, act: Callable[[], object]) -> float:
    """Seconds from `act`, or from the click in it, until nothing is changed any more.

    What is painted in a canvas is no change.

    A page whose script has not begun is not at rest, however quiet a busy machine is.
    """
    page.evaluate("window.benchWatch?.forget()")
    start = time.time()
    act()
    times = page.evaluate(f"benchWatch.rest({REST_MS}, {1000 * WAIT_S:.0f})")
    assert not page.get_by_test_id("stException").count(), page.inner_text("body")
    clicked, changed = times["clicked"], times["changed"]
    return changed / 1000 - (start if clicked is None else clicked / 1000)


def clicks(page: Page) -> dict[str, list[Callable[[], object]]]:
    """What is clicked on each page, in turns, so that each click changes something."""

    def on(text: str) -> Callable[[], object]:
        return lambda: page.get_by_text(text, exact=True).first.click()

    forth = page.get_by_role("button", name="Next")
    return {
        "Layers": [on("Macro-F1"), on("Accuracy")],
        "Neurons": [lambda: forth.first.click()],
        "Examples": [on("Wrong"), on("All")],
        "Errors": [on("validation"), on("test")],
    }


def row(case: str, seconds: float, goal: float) -> Row:
    ratio = goal / max(seconds, 1e-3)
    named = {"bench": "app", "case": case, "ours_s": round(seconds, 3)}
    return {**named, "rival": "goal", "rival_s": goal, "ratio": round(ratio, 3)}


def bench() -> Iterator[Row]:
    from helpers.browser.browser import browser, server
    from ui.neurons.panels import LOADING

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "runs").mkdir()
        enlarge(small(home / "runs" / "large"))
        with browser() as opened, server(home) as address:
            page = opened.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(WAIT_S * 1000)
            page.add_init_script(WATCH)
            until_rest(page, lambda: page.goto(address))
            for name in PAGES:
                link = f"{address}/{name}?run=large"
                go = partial(page.goto, link)
                if name == "Neurons":  # its texts come last, before the model is there
                    start = time.perf_counter()
                    go()
                    page.get_by_role("link", name="explain").first.wait_for()
                    first = time.perf_counter() - start
                    page.get_by_text(LOADING).wait_for(state="detached")
                    shaded = time.perf_counter() - start
                    yield row(f"{name}, the first words shaded", shaded, PAINT_S)
                else:
                    first = until_rest(page, go)
                again = statistics.median(until_rest(page, go) for _ in range(ROUNDS))
                yield row(f"{name}, the first time", first, PAINT_S)
                yield row(f"{name}, warm", again, PAINT_S)
                acts = clicks(page).get(name, [])
                taken = [
                    until_rest(page, acts[turn % len(acts)])
                    for turn in range(ROUNDS + 1 if acts else 0)
                ]
                if taken:  # the first click pays for what is read but once
                    later = statistics.median(taken[1:])
                    yield row(f"{name}, a click", later, CLICK_S)


if __name__ == "__main__":
    show(bench, __doc__ or "")
