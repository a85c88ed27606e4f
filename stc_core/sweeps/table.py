"""The results of a sweep: a row for each run, and one for each setting over its seeds.

Only scores on held-out rows rank settings. Those on test rows are told beside them.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from stc_core.config import RunConfig
from stc_core.display import count
from stc_core.errors import StcError
from stc_core.frames import records
from stc_core.metrics.intervals import LEVEL
from stc_core.metrics.scores import Metric
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.sweeps.plan import Sweep

RUN_NUMBERS = (
    *("held_accuracy", "held_macro_f1", "test_accuracy", "test_macro_f1"),
    *("n_test", "neurons", "layers", "layers_total", "seconds", "texts", "cached"),
)
"""The columns of numbers of a run; NaN until it is done."""
MEANS = ("held_accuracy", "held_macro_f1", "test_accuracy", "test_macro_f1")


def runs_frame(sweep: Sweep) -> pd.DataFrame:
    """A row for each run of the sweep, in the order of work.

    Its columns are run (the folder), setting, seed, state, reason (why it failed),
    criterion (the score that chose within the run) and RUN_NUMBERS: the scores on
    held-out and on test rows, blocks read (`layers` of `layers_total`), and the texts
    whose activations were on disk before (`cached` of `texts`). A run that was not
    started is "waiting".
    """
    settings = sweep.settings
    return pd.DataFrame(
        [_row(name, config, settings[name]) for name, config in sweep.runs.items()]
    )


def settings_frame(sweep: Sweep, runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each setting of `runs_frame`, the best on held-out rows first.

    The columns are setting, runs, done, for each score of MEANS its mean and, with _sd,
    its standard deviation over the seeds (NaN for one seed), layers and seconds (means)
    and best. `best` is true for the setting with the best mean of the criterion on
    held-out rows, among those with all runs done; on a tie for the first. Settings that
    lack a run come last.
    """
    settings = dict.fromkeys(sweep.settings.values())
    rows = [_setting_row(setting, runs) for setting in settings]
    key = f"held_{criterion_of(runs)}"
    order = sorted(
        range(len(rows)),
        key=lambda at: (
            rows[at]["done"] < rows[at]["runs"],
            -np.nan_to_num(rows[at][key], nan=-1.0),
        ),
    )
    frame = pd.DataFrame([rows[at] for at in order])
    frame["best"] = _is_best(frame, key)
    return frame


def criterion_of(runs: pd.DataFrame) -> Metric:
    """The score by which settings are ranked: what chose within the runs.

    Average precision of held-out rows is not kept by runs; accuracy takes its place.
    """
    known = set(runs["criterion"]) - {""}
    return "macro_f1" if known == {"macro_f1"} else "accuracy"


def result_sentence(settings: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Which setting is the best on held-out rows, and how it is on test rows.

    It also says how far the next one is behind: see `lead_over_next`.
    """
    best = settings.loc[settings["best"]]
    if best.empty:
        return "No setting has all of its runs done, so none is called the best."
    metric, row = criterion_of(runs), records(best)[0]
    name = {"accuracy": "accuracy", "macro_f1": "macro-F1"}[metric]
    first = (
        f"Best on held-out rows: {row['setting']}, {name} "
        f"{100 * row[f'held_{metric}']:.1f} %; "
        f"on test rows {100 * row[f'test_{metric}']:.1f} %"
    )
    first += f" (means of {row['done']} seeds)." if row["done"] > 1 else "."
    lead = lead_over_next(settings, runs)
    if lead is None:
        return first
    said = f"{first} It leads {lead.over} by {100 * lead.mean:.1f} points"
    if lead.low is None or lead.high is None:
        return f"{said}; with one seed it is not known whether that is luck."
    ends = f"95 %: {100 * lead.low:+.1f} to {100 * lead.high:+.1f}".replace("-", "−")
    tail = "that may be luck" if lead.low <= 0 else "that is hardly luck"
    return f"{said} ({ends}): {tail}."


def cached_sentence(runs: pd.DataFrame) -> str:
    """In how many runs no text was read, as its activations were on disk before."""
    known = runs.dropna(subset=["cached"])
    cached, texts = (known[name].to_numpy(float) for name in ("cached", "texts"))
    n_whole, n_texts = int((cached == texts).sum()), int(cached.sum())
    return (
        f"{n_whole} of {count(len(known), 'run')} found all activations in the cache; "
        f"{n_texts:,} of {int(texts.sum()):,} texts were not read again."
    )


class SettingLead(NamedTuple):
    """The lead of the best setting over the second one, in shares of held-out rows.

    `low` and `high` are its 95 % interval over seeds (Student's t); None with one seed.
    """

    over: str
    mean: float
    low: float | None
    high: float | None


def lead_over_next(settings: pd.DataFrame, runs: pd.DataFrame) -> SettingLead | None:
    """The lead of the best setting over the second one; runs of a seed are paired.

    None if no two settings have all of their runs done.
    """
    whole = settings.loc[settings["done"] == settings["runs"]]
    if len(whole) < 2:
        return None
    key = f"held_{criterion_of(runs)}"
    first, second = whole["setting"].tolist()[:2]
    scores = runs.pivot(index="seed", columns="setting", values=key)
    gaps = (scores[first] - scores[second]).dropna().to_numpy(float)
    mean, n = float(gaps.mean()), len(gaps)
    if n < 2:
        return SettingLead(second, mean, None, None)
    half = float(t.ppf(0.5 + LEVEL / 2, n - 1) * gaps.std(ddof=1) / n**0.5)
    return SettingLead(second, mean, mean - half, mean + half)


def _row(name: str, config: RunConfig, setting: str) -> dict[str, Any]:
    run = Run(runs_folder() / name)
    row = _named(name, config, setting) | dict.fromkeys(RUN_NUMBERS, np.nan)
    if not run.has(RunFile.CONFIG):
        return row
    status = run.status
    row["state"] = str(status["state"])
    if status["error"] is not None:
        row["reason"] = status["error"]["message"]
    if status["state"] != "done":
        return row
    try:
        return row | {"criterion": run.goal.criterion} | _measured(run.metrics)
    except StcError as error:  # damaged later: its row says so, the others stay
        return row | {"state": "failed", "reason": str(error)}


def _named(name: str, config: RunConfig, setting: str) -> dict[str, Any]:
    return {
        "run": name,
        "setting": setting,
        "seed": config.train.seed,
        "state": "waiting",
        "reason": "",
        "criterion": "",
    }


def _measured(metrics: RunMetrics) -> dict[str, float]:
    test, held, layers = metrics["test"], metrics["validation"], metrics["layers"]
    tokens = metrics["tokens"]
    return {
        "held_accuracy": held["accuracy"],
        "held_macro_f1": held["macro_f1"],
        "test_accuracy": test["accuracy"],
        "test_macro_f1": test["macro_f1"],
        "n_test": test["n"],
        "neurons": metrics["neurons"]["selected"],
        "layers": layers["used"],
        "layers_total": layers["total"],
        "seconds": metrics["seconds"]["total"],
        "texts": tokens.get("texts", np.nan),
        "cached": tokens.get("cached", np.nan),
    }


def _setting_row(setting: str, runs: pd.DataFrame) -> dict[str, Any]:
    own = runs.loc[runs["setting"] == setting]
    done = own.loc[own["state"] == "done"]
    row: dict[str, Any] = {"setting": setting, "runs": len(own), "done": len(done)}
    for name in MEANS:
        row[name] = done[name].mean()
        row[f"{name}_sd"] = done[name].std(ddof=1)
    return row | {name: done[name].mean() for name in ("layers", "seconds")}


def _is_best(settings: pd.DataFrame, key: str) -> list[bool]:
    whole = (settings["done"] == settings["runs"]).tolist()
    place = 0 if whole and whole[0] and settings[key].notna().tolist()[0] else None
    return [at == place for at in range(len(settings))]
