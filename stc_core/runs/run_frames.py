"""What a run holds, as data frames; `layout.FRAME_COLUMNS` tells their columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Integer

from stc_core.display import OURS, baseline_name
from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.runs.layout import FRAME_COLUMNS, RunFile
from stc_core.runs.metrics import MainScores, RunMetrics, read_metrics


class ProbeGuesses(NamedTuple):
    """The class codes of the validation rows, and those that each probe predicts.

    The probes are in the order of the rows of probes.parquet.
    """

    label: Integer[np.ndarray, " n_val"]
    predicted: Integer[np.ndarray, "n_probe n_val"]

    def only(self, kept: Bool[np.ndarray, " n_probe"]) -> "ProbeGuesses":
        """Those of the probes where `kept` is true."""
        return self._replace(predicted=self.predicted[kept])


def read_guesses(path: Path) -> ProbeGuesses:
    """The guesses in a file that `RunWriter.write_guesses` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return ProbeGuesses(arrays["label"], arrays["predicted"])


def score_frame(metrics: RunMetrics) -> pd.DataFrame:
    """The test scores of the classifier (`ours`) and of each baseline."""
    named: dict[str, tuple[str, MainScores]] = {"ours": (OURS, metrics["test"])}
    for key, scores in metrics["baselines"].items():
        named[key] = (baseline_name(key, metrics), scores)
    rows = []
    for name, (title, scores) in named.items():
        low, high = scores["accuracy_interval"]
        f1_low, f1_high = scores["macro_f1_interval"] or (np.nan, np.nan)
        rows.append(
            {
                "name": name,
                "title": title,
                "accuracy": scores["accuracy"],
                "accuracy_low": low,
                "accuracy_high": high,
                "macro_f1": scores["macro_f1"],
                "macro_f1_low": f1_low,
                "macro_f1_high": f1_high,
            }
        )
    return pd.DataFrame(rows)


def baseline_frame(
    answers: pd.DataFrame, predictions: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """The class that each baseline gives to each test row."""
    test = predictions.loc[predictions["split"] == "test", ["row", "label"]]
    names = np.array(classes, dtype=object)
    labels = {name: names[answers[name].to_numpy()] for name in answers}
    named = pd.DataFrame(labels, index=test.index)
    return pd.concat([test, named], axis=1).reset_index(drop=True)


def variability_frame(
    record: Mapping[str, Any], layer_names: list[str]
) -> pd.DataFrame:
    """The nu of each layer."""
    nu = [np.nan if value is None else value for value in record["nu"]]
    layers = np.arange(len(nu))
    best = layers == record["best_layer"]
    names = layer_names[: len(nu)]  # a run with a limit of layers measures no more
    columns = {"layer": layers, "name": names, "nu": nu, "best": best}
    return pd.DataFrame(columns)


def stability_frame(record: Mapping[str, Any], neurons: pd.DataFrame) -> pd.DataFrame:
    """How often each kept neuron was selected; older runs know it of halves alone."""
    frame = neurons[["neuron", "site", "index", "pooling"]]
    repeats = record.get("repeats", {})
    more = {
        name: repeats[name]["frequency"] if name in repeats else np.nan
        for name in ("bootstrap", "seeds")
    }
    return frame.assign(frequency=record["frequency"], **more)


def usage_frame(record: Mapping[str, Any], neurons: pd.DataFrame) -> pd.DataFrame:
    """What is read and used of each kept neuron; its poolings have one use."""
    used = pd.DataFrame(record["neurons"]).drop(columns="layer")
    frame = neurons[["neuron", "site", "index", "pooling"]]
    return frame.merge(used, on=["site", "index"], how="left", validate="many_to_one")


def learning_frame(record: Mapping[str, Any]) -> pd.DataFrame:
    """The measured accuracies and the forecasts."""
    scores, errors = np.array(record["scores"]), np.array(record["errors"])
    measured = pd.DataFrame(
        {
            "rows": record["sizes"],
            "accuracy": scores,
            "low": scores - 1.96 * errors,
            "high": scores + 1.96 * errors,
            "measured": True,
        }
    )
    ahead = pd.DataFrame(
        {
            "rows": [record["rows"] + point["more"] for point in record["forecasts"]],
            "accuracy": [point["score"] for point in record["forecasts"]],
            "low": [point["low"] for point in record["forecasts"]],
            "high": [point["high"] for point in record["forecasts"]],
            "measured": False,
        }
    )
    return pd.concat([measured, ahead], ignore_index=True)


def epoch_frame(record: Mapping[str, Any]) -> pd.DataFrame:
    """The validation after each epoch of a tuning."""
    frame = pd.DataFrame(record["epochs"], columns=list(FRAME_COLUMNS["epochs"]))
    return frame.astype(dict.fromkeys(frame.columns, float))


class MissingFile(StcError):
    """The run does not have a file, because of its recipe, its size or its age."""


class RunFrames:
    """The data frames of the run in `folder`; each is read again when asked for."""

    folder: Path

    def _written(self, name: str) -> Path:
        """The path of the file `name`; MissingFile if it is not written."""
        raise NotImplementedError

    def has(self, name: str) -> bool:
        """True if the file `name` has been written."""
        return (self.folder / name).is_file()

    @property
    def metrics(self) -> RunMetrics:
        """The scores, costs and times; StcError if the file is damaged."""
        return read_metrics(self._written(RunFile.METRICS))

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every data frame that this run has, by the name of its property."""
        found: dict[str, pd.DataFrame] = {}
        for name in FRAME_COLUMNS:
            try:
                found[name] = getattr(self, name)
            except MissingFile:
                continue
        return found

    @property
    def scores(self) -> pd.DataFrame:
        """The test scores of the classifier (`ours`) and of each baseline."""
        return score_frame(self.metrics)

    @property
    def baselines(self) -> pd.DataFrame:
        """The class that each baseline gives to each test row."""
        answers = pd.read_parquet(self._written(RunFile.BASELINES))
        return baseline_frame(answers, self.predictions, list(self.metrics["classes"]))

    @property
    def layer_variability(self) -> pd.DataFrame:
        """`variability` as a table, with a row for each layer."""
        names = list(self.metrics["backbone"]["layer_names"])
        return variability_frame(self.variability, names)

    @property
    def learning_curve(self) -> pd.DataFrame:
        """`learning` as a table, with a row for each number of rows."""
        return learning_frame(self.learning)

    @property
    def neuron_stability(self) -> pd.DataFrame:
        """How often each kept neuron was selected on other rows."""
        return stability_frame(self.stability, self.neurons)

    @property
    def neuron_usage(self) -> pd.DataFrame:
        """What is read and what the model uses of each kept neuron."""
        return usage_frame(self.usage, self.neurons)

    @property
    def epochs(self) -> pd.DataFrame:
        """`tuning` as a table, with a row for each epoch."""
        return epoch_frame(self.tuning)

    @property
    def probes(self) -> pd.DataFrame:
        """The validation scores of each probe of each site, pooling and C."""
        return pd.read_parquet(self._written(RunFile.PROBES))

    @property
    def guesses(self) -> ProbeGuesses:
        """What each probe says of the validation rows; older runs have no such file."""
        return read_guesses(self._written(RunFile.GUESSES))

    @property
    def by_class(self) -> pd.DataFrame:
        """The scores of the best probe for each (site, pooling, class)."""
        return pd.read_parquet(self._written(RunFile.CLASSES))

    @property
    def control(self) -> pd.DataFrame:
        """A table like `probes` for probes that were fitted on shuffled labels."""
        return pd.read_parquet(self._written(RunFile.CONTROL))

    @property
    def variability(self) -> dict[str, Any]:
        """nu of each layer and the best layer; StcError if they were not measured."""
        return read_json(self._written(RunFile.VARIABILITY))

    @property
    def learning(self) -> dict[str, Any]:
        """The record of a `LearningCurve`; runs with many or few rows have none."""
        return read_json(self._written(RunFile.LEARNING))

    @property
    def stability(self) -> dict[str, Any]:
        """The record of a `Stability`, and the frequency of each neuron.

        Only runs of the preset stc have it, and none with very few rows.
        """
        return read_json(self._written(RunFile.STABILITY))

    @property
    def usage(self) -> dict[str, Any]:
        """The record of a `Usage`; `stc ablate --usage` measures and keeps it."""
        return read_json(self._written(RunFile.USAGE))

    @property
    def faithfulness(self) -> dict[str, Any]:
        """What answers lose without what explanations name; `stc faithfulness`."""
        return read_json(self._written(RunFile.FAITHFULNESS))

    @property
    def tuning(self) -> dict[str, Any]:
        """The progress of the tuning: steps, epochs, peak_bytes."""
        return read_json(self._written(RunFile.TUNING))

    @property
    def neurons(self) -> pd.DataFrame:
        """The kept neurons, with their weights."""
        return pd.read_parquet(self._written(RunFile.NEURONS))

    @property
    def levels(self) -> pd.DataFrame:
        """The scores of the probes of each level by layer; recipe hierarchy only."""
        return pd.read_parquet(self._written(RunFile.LEVELS))

    @property
    def replies(self) -> pd.DataFrame:
        """The written and the true replies of test rows."""
        return pd.read_parquet(self._written(RunFile.REPLIES))

    @property
    def curves(self) -> pd.DataFrame:
        """The scores by number of neurons and by depth."""
        return pd.read_parquet(self._written(RunFile.CURVES))

    @property
    def frontier(self) -> pd.DataFrame:
        """The scores and the cost of each depth and number of neurons."""
        return pd.read_parquet(self._written(RunFile.FRONTIER))

    @property
    def predictions(self) -> pd.DataFrame:
        """The answer for every row; without heads of folds `fold` is -1 everywhere."""
        frame = pd.read_parquet(self._written(RunFile.PREDICTIONS))
        if "fold" in frame and not self.has(RunFile.FOLD_HEADS):
            frame["fold"] = -1
        return frame

    @property
    def corpus(self) -> pd.DataFrame:
        """The rows that are used, with their splits."""
        return pd.read_parquet(self._written(RunFile.CORPUS))
