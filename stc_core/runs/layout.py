"""The names of files in a run folder."""

from enum import StrEnum


class RunFile(StrEnum):
    """The files of a run, by what they hold."""

    CONFIG = "config.json"  # the settings
    STATUS = "status.json"  # how far the run is
    WORKER = "worker.json"  # the process that works on it
    EXPECTED = "expected.json"  # the seconds that each phase was foretold
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
    STABILITY = "stability.json"  # how often halves of the rows keep each neuron
    FRONTIER = "frontier.parquet"  # cheaper classifiers and their cost
    SALIENCE = "salience.safetensors"  # importances of all features
    NEURONS = "neurons.parquet"  # the kept neurons
    FOLD_HEADS = "fold_heads.safetensors"  # the heads that judged the held rows
    ACTIVATIONS = "activations.npy"  # their values for every row
    PREDICTIONS = "predictions.parquet"  # the answer for every row
    BASELINES = "baselines.parquet"  # answers of the baselines for the test rows
    LEVELS = "levels.parquet"  # probes of each level of labels
    REPLIES = "replies.parquet"  # replies written for test rows
    METRICS = "metrics.json"  # scores, baselines, costs, times


SPARSE = (
    RunFile.SALIENCE,
    RunFile.FRONTIER,
    RunFile.FOLD_HEADS,
    RunFile.LEARNING,
    RunFile.STABILITY,
)
"""Files about the sparse classifier alone, from which cheaper ones are made. A run with
a tuned model has none of them."""
