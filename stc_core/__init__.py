"""Look inside language models for your own task.

Importing this package is light: torch and transformers load on first use.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# NumPy and SciPy each have their own OpenBLAS. Its threads keep spinning for 20 ms
# after a product and slow down those of the other (a solve after a product took twice
# as long). With this setting they spin for 20 us. It is read when the libraries load,
# in this process and in every process started from it.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")
# Torch's threads (libgomp) keep spinning for milliseconds. If another process computes
# on the same cores, this costs seconds: beside a training, a forward pass of eight
# texts took 1.2 s instead of .1, and an extraction five times as long.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from stc_core.activations.saving import ActivationFile, save_pooled, save_tokens
    from stc_core.backbone.backbone import Backbone
    from stc_core.classifiers.estimator import SparsifyThenClassify
    from stc_core.classifiers.pretrained.sequence_classifier import SequenceClassifier
    from stc_core.config import DataConfig, RunConfig, TrainConfig
    from stc_core.data.corpus import Corpus, read_corpus
    from stc_core.display import ProgressBar
    from stc_core.errors import StcError
    from stc_core.probes.sparse_probe import SparseProbe
    from stc_core.runs.run import Run
    from stc_core.types import Feature, PooledSite, Site

_HOME = {
    "ActivationFile": "activations.saving",
    "Backbone": "backbone.backbone",
    "Corpus": "data.corpus",
    "DataConfig": "config",
    "Feature": "types",
    "PooledSite": "types",
    "ProgressBar": "display",
    "Run": "runs.run",
    "RunConfig": "config",
    "SequenceClassifier": "classifiers.pretrained.sequence_classifier",
    "Site": "types",
    "SparseProbe": "probes.sparse_probe",
    "SparsifyThenClassify": "classifiers.estimator",
    "StcError": "errors",
    "TrainConfig": "config",
    "read_corpus": "data.corpus",
    "save_pooled": "activations.saving",
    "save_tokens": "activations.saving",
}
__all__ = [
    "ActivationFile",
    "Backbone",
    "Corpus",
    "DataConfig",
    "Feature",
    "PooledSite",
    "ProgressBar",
    "Run",
    "RunConfig",
    "SequenceClassifier",
    "Site",
    "SparseProbe",
    "SparsifyThenClassify",
    "StcError",
    "TrainConfig",
    "read_corpus",
    "save_pooled",
    "save_tokens",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"stc_core.{_HOME[name]}"), name)
    raise AttributeError(f"module 'stc_core' has no attribute {name!r}")
