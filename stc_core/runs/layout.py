"""The names of files in a run folder, and the columns of its data frames."""

from enum import StrEnum


class RunFile(StrEnum):
    """The files of a run, by what they hold."""

    CONFIG = "config.json"  # the settings
    ENVIRONMENT = "environment.json"  # versions, machine, hash of the table
    STATUS = "status.json"  # how far the run is
    WORKER = "worker.json"  # the process that works on it
    EXPECTED = "expected.json"  # the seconds that each phase was foretold
    ENGINE = "engine.json"  # the workers that its forward passes are run by
    LOG = "log.txt"  # what the worker printed
    STAGES = "stages.json"  # what a resumed run need not do again
    REPORT = "report.json"  # the findings in the table
    CORPUS = "corpus.parquet"  # the rows, with their splits
    PROBES = "probes.parquet"  # scores of the probes
    GUESSES = "probe_guesses.npz"  # their answers for the validation rows
    CLASSES = "classes.parquet"  # scores of the best probes for each class
    CONTROL = "control.parquet"  # scores of probes of shuffled labels
    VARIABILITY = "variability.json"  # nu of every layer
    TUNING = "tuning.json"  # the course of a tuning
    CURVES = "curves.parquet"  # classifiers that were considered
    LEARNING = "learning_curve.json"  # accuracy by number of rows, and its forecast
    STABILITY = "stability.json"  # how often other rows keep each neuron
    USAGE = "usage.json"  # what the model uses of each kept neuron
    FAITHFULNESS = "faithfulness.json"  # what answers lose without what is named
    FRONTIER = "frontier.parquet"  # cheaper classifiers and their cost
    SALIENCE = "salience.safetensors"  # importances of all features
    PROBE_WEIGHTS = "probe_weights.safetensors"  # the best probe of each site
    NEURONS = "neurons.parquet"  # the kept neurons
    FOLD_HEADS = "fold_heads.safetensors"  # the heads that judged the held rows
    FOLD_WORDS = "fold_words.safetensors"  # the words that these read, too
    ACTIVATIONS = "activations.npy"  # their values for every row
    PREDICTIONS = "predictions.parquet"  # the answer for every row
    BASELINES = "baselines.parquet"  # answers of the baselines for the test rows
    LEVELS = "levels.parquet"  # probes of each level of labels
    REPLIES = "replies.parquet"  # replies written for test rows
    METRICS = "metrics.json"  # scores, baselines, costs, times


OF_ROWS = (
    RunFile.CORPUS,
    RunFile.GUESSES,
    RunFile.SALIENCE,
    RunFile.PROBE_WEIGHTS,
    RunFile.ACTIVATIONS,
    RunFile.PREDICTIONS,
    RunFile.FOLD_HEADS,
    RunFile.FOLD_WORDS,
    RunFile.BASELINES,
    RunFile.REPLIES,
)
"""Files with texts or rows, and those that are useful only beside them.

A run that came without its texts has none of them.
"""
SPARSE = (
    RunFile.SALIENCE,
    RunFile.PROBE_WEIGHTS,
    RunFile.FRONTIER,
    RunFile.FOLD_HEADS,
    RunFile.FOLD_WORDS,
    RunFile.LEARNING,
    RunFile.STABILITY,
)
"""Files about the sparse classifier alone, from which cheaper ones are made. A run with
a tuned model has none of them."""

_SITE = {
    "site": "where it is read, such as resid.4",
    "kind": "resid or mlp",
    "layer": "the layer of the site, from 0",
}
_SCORES = {
    "accuracy": "share of rows that are right",
    "macro_f1": "mean F1 of the classes",
    "accuracy_low": "lower end of the 95 % interval of the accuracy",
    "accuracy_high": "upper end",
    "n": "number of rows that were scored",
}
_PROBES = {
    **_SITE,
    "pooling": "how tokens were pooled",
    "C": "inverse strength of the penalty",
    **_SCORES,
    "nonzeros": "weights that are not 0",
    "gap": "duality gap relative to the objective",
    "kkt": "largest violation of optimality, times C",
    "best": "whether it is the best C of its site and pooling",
}
_SHARES = {
    "parameters_share": "share of the parameters that are used, 0 to 1",
    "flops_share": "share of the FLOPs of a token that are used, 0 to 1",
    "chosen": "whether the run took it",
}
FRAME_COLUMNS: dict[str, dict[str, str]] = {
    "scores": {
        "name": "the classifier of the run (`ours`) or the key of a baseline",
        "title": "what people call it",
        "accuracy": "share of test rows that are right",
        "accuracy_low": "lower end of its 95 % interval",
        "accuracy_high": "upper end",
        "macro_f1": "mean F1 of the classes on the test rows",
        "macro_f1_low": "lower end of its 95 % interval; NaN if there is none",
        "macro_f1_high": "upper end; NaN if there is none",
    },
    "predictions": {
        "row": "place in `corpus`, from 0",
        "split": "train, validation or test",
        "label": "the true class",
        "predicted": "the most probable class",
        "probability": "its probability",
        "correct": "whether both are equal",
        "p:CLASS": "the probability of each class",
        "held": "whether the answering classifier was made without the row",
        "fold": "which of `fold_heads` answered, or -1",
    },
    "baselines": {
        "row": "place in `corpus`, from 0; only test rows",
        "label": "the true class",
        "BASELINE": "the class that each baseline of `scores` predicts",
    },
    "corpus": {
        "row": "number of the row in the file, from 1",
        "file": "data, or test for the test file",
        "id": "the id in the table, else the number of the row",
        "text": "the text",
        "label": "the class (the finest, with several levels)",
        "split": "train, validation or test",
    },
    "neurons": {
        "neuron": "place in `activations`, from 0",
        **_SITE,
        "index": "which neuron of the site",
        "pooling": "how its values are pooled",
        "importance": "sum of squared weights over the classes",
        "mean": "mean of its raw values",
        "sd": "their standard deviation",
        "low": "least raw value that the head was fitted on",
        "high": "largest raw value",
        "weight:CLASS": "change of the logit of the class for one sd",
    },
    "neuron_stability": {
        "neuron": "place in `neurons`",
        "site": "where it is read",
        "index": "which neuron of the site",
        "pooling": "how its values are pooled",
        "frequency": "share of the selections on half of the rows that keep it",
        "bootstrap": "the same on bootstrap samples of the rows",
        "seeds": "the same on the rows that other seeds would learn",
    },
    "neuron_usage": {
        "neuron": "place in `neurons`",
        "site": "where it is read",
        "index": "which neuron of the site",
        "pooling": "how its values are pooled",
        "readout": "what the head reads of it, all poolings together, in logits",
        "effect": "what the classifier loses if it gets its mean in the model",
        "effect_last_layer": "what a head on the last layer loses",
    },
    "probes": _PROBES,
    "control": {**_PROBES, "best": "as in `probes`, for shuffled labels"},
    "by_class": {
        "label": "the class",
        "n": "its validation rows",
        "accuracy": "share of them that are right (recall)",
        "accuracy_low": "lower end of its 95 % interval",
        "accuracy_high": "upper end",
        "macro_f1": "F1 of the class",
        "auc": "area under the ROC curve of the class",
        **_SITE,
        "pooling": "how tokens were pooled",
    },
    "layer_variability": {
        "layer": "the layer, from 0 (embeddings)",
        "name": "what people call it",
        "nu": "spread within classes over that between them; less is better",
        "best": "whether it is the layer with the least nu",
    },
    "curves": {
        "curve": "neurons or depth: what grows",
        "x": "the number of neurons, or the layer",
        "neurons": "neurons that are kept",
        "layer": "highest layer that is read",
        **_SCORES,
        **_SHARES,
    },
    "frontier": {
        "layer": "highest layer that may be read",
        "deepest": "highest layer that is read",
        "neurons": "neurons that are kept",
        "ridge": "strength of the ridge penalty of the head",
        "accuracy": "share of held rows that are right",
        "macro_f1": "mean F1 of the classes on them",
        "score": "the score that chose",
        "accuracy_low": "lower end of the 95 % interval of the accuracy",
        "accuracy_high": "upper end",
        "n": "number of held rows",
        "test_accuracy": "share of test rows that are right; it chose nothing",
        "test_accuracy_low": "lower end of its 95 % interval",
        "test_accuracy_high": "upper end",
        "test_macro_f1": "mean F1 of the classes on test rows",
        "n_test": "number of test rows",
        "parameters": "parameters that are used",
        "flops_per_token": "FLOPs of one token",
        "ms_per_text": "milliseconds of a text, measured",
        **_SHARES,
    },
    "learning_curve": {
        "rows": "number of rows that are learned",
        "accuracy": "share of held rows that are right",
        "low": "lower end of its 95 % band",
        "high": "upper end",
        "measured": "true for a measurement, false for a forecast",
    },
    "epochs": {
        "epoch": "epochs that are done; 0 is before any step",
        "loss": "loss on the validation rows",
        "accuracy": "share of them that are right",
        "macro_f1": "mean F1 of the classes; NaN for a language model",
        "seconds": "time since the start",
        "goal_score": "the score that chooses; NaN for a language model",
    },
}
"""The frames that a `Run` has, each a property of it, and the meaning of each column.

CLASS and BASELINE stand for names, so that there are as many columns. With several
levels of labels the corpus also has label_1, label_2 and so on.
"""
