"""The classifier as a scikit-learn estimator: it is fitted on texts and labels."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped
from pandas.api.types import is_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from stc_core.activations.groups import extract_groups
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.archive import classifier_folder
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.classifiers.loading import check_is_sparse
from stc_core.config import (
    DEFAULT_BACKBONE,
    SPIN_CS,
    SPIN_ETAS,
    SPIN_POOLINGS,
    TrainConfig,
)
from stc_core.data.goal import choose_goal
from stc_core.data.split import TRAIN, VALIDATION, split_rows
from stc_core.data.task import Read, Task
from stc_core.data.texts import Texts
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.probes.fit import ProbeResult, fit_probes
from stc_core.probes.penalties import PenaltyName
from stc_core.selection.repeats.stability import keep_stable
from stc_core.selection.sample import draw_sample, refit_on_all_rows
from stc_core.selection.spin import fit_spin
from stc_core.selection.stc import NO_ROWS, Finish, Fitted, as_it_is, fit_stc
from stc_core.selection.use.attribution import ModelUse
from stc_core.selection.use.beside import beside_default
from stc_core.selection.words.choose import add_words
from stc_core.types import KINDS, Kind, PooledSite, Pooling, Progress, silent

_LIMITS = ("eta", "budget", "max_neurons", "tolerance")


class SparsifyThenClassify(BaseClassifier, ClassifierMixin, BaseEstimator):
    """A text classifier on a few salient neurons of a pretrained backbone.

    `backbone` is a name for Backbone.load, or a Backbone. Fitting extracts the
    activations of every site, fits probes on each, keeps neurons by the preset, and
    fits a head on all of them. Activations are cached on disk by content, so a second
    fit on the same texts extracts nothing. If there are more than sample.LARGE texts,
    only a sample is extracted. Up to 5,000 texts are held out in turn to make
    the choices; of more a stratified `validation_share` makes them.

    With `words` "auto" it also reads words where they clearly help, with "on" always.
    Fitted are `classes_`, `head_`, `words_` (None: it reads none), `backbone_`,
    `probes_` and `fitted_`. Prediction runs the backbone up to `head_.layer` only.
    Everything is chosen by the score `criterion`; `class_weight` weighs classes; "auto"
    follows the table (see
    `choose_goal`). Rows cannot have weights. A pickle holds the name of the backbone,
    not its weights. Source: Sparsify-then-Classify, arXiv 2311.15983.
    """

    penalty: PenaltyName

    def __init__(
        self,
        backbone: str | Backbone = DEFAULT_BACKBONE,
        preset: str = "stc",
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        kinds: Sequence[Kind] = KINDS,
        poolings: Sequence[Pooling] | None = None,
        penalty: PenaltyName = "l1",
        criterion: str = "auto",
        class_weight: str | None = "auto",
        eta: float | None = None,
        budget: int | None = None,
        max_layer: int | None = None,
        max_neurons: int | None = None,
        tolerance: float | None = None,
        words: str = "auto",
        stable: float | None = None,
        use_weight: float = 0.0,
        store_dtype: str = "float16",
        validation_share: float = 0.15,
        seed: int = 0,
    ) -> None:
        self.backbone = backbone
        self.preset = preset
        self.device = device
        self.dtype = dtype
        self.max_length = max_length
        self.kinds = kinds
        self.poolings = poolings
        self.penalty = penalty
        self.criterion = criterion
        self.class_weight = class_weight
        self.eta = eta
        self.budget = budget
        self.max_layer = max_layer
        self.max_neurons = max_neurons
        self.tolerance = tolerance
        self.words = words
        self.stable = stable
        self.use_weight = use_weight
        self.store_dtype = store_dtype
        self.validation_share = validation_share
        self.seed = seed

    def fit(
        self, texts: Strings, labels: Any, *, progress: Progress = silent
    ) -> "SparsifyThenClassify":
        """Fit and return the classifier; `progress` follows its stages in turn."""
        settings = self._settings()
        texts = check_texts(texts)
        classes, task = self._task(texts, _check_labels(labels))
        backbone = self.load_backbone()
        wanted, device = self.wanted(backbone), str(backbone.device)
        keep = partial(
            extract_groups, backbone, wanted=wanted, store_dtype=settings.store_dtype
        )
        all_texts = Texts(texts)
        sample = draw_sample(
            all_texts,
            task,
            NO_ROWS,
            extract=partial(keep, progress=progress),
            seed=settings.seed,
        )
        read = sample.resolved(backbone.dtype)
        probes = self.fit_probes(
            read, sample.task, wanted, device=device, progress=progress
        )
        fitted = self.select(
            read,
            sample.task,
            probes,
            texts=(of_sample := all_texts.at(sample.rows)),
            use=self.model_use(backbone, of_sample, sample.task),
            progress=progress,
        )
        if not sample.has_all_learned:
            with TemporaryDirectory() as folder:
                _, fitted = refit_on_all_rows(
                    sample,
                    fitted,
                    backbone=backbone,
                    texts=all_texts,
                    task=task,
                    path=Path(folder) / "activations.npy",
                    progress=progress,
                )
        return self.adopt(backbone, classes, probes, fitted)

    def _task(
        self, texts: Sequence[str], y: Shaped[np.ndarray, " n"]
    ) -> tuple[Shaped[np.ndarray, " n_class"], Task]:
        """The classes, and the task: label codes, training rows, validation rows."""
        settings = self._settings()
        if len(y) != len(texts):
            raise StcError(
                "fit", expected=f"{len(texts)} labels", got=f"{len(y)} labels"
            )
        try:
            classes, codes = np.unique(y, return_inverse=True)
        except TypeError as error:
            raise StcError(
                "labels",
                expected="labels that can be sorted",
                got=str(error),
                remedy="Make all of them strings, or all numbers.",
            ) from error
        if len(classes) < 2:
            raise StcError("labels", expected="at least 2 classes", got="1")
        _, groups = np.unique(np.array(texts, dtype=object), return_inverse=True)
        split = split_rows(
            groups,
            codes,
            validation_share=settings.validation_share,
            test_share=0.0,
            seed=settings.seed,
        )
        train = np.flatnonzero(split == TRAIN)
        validation = np.flatnonzero(split == VALIDATION)
        if not len(validation):
            raise StcError(
                "fit",
                expected="enough rows to set some aside for validation",
                got=f"{len(texts)} rows of {len(classes)} classes",
                remedy="Give at least 3 different texts of one class.",
            )
        names = tuple(str(name) for name in classes)
        goal = choose_goal(
            codes,
            len(classes),
            criterion=settings.criterion,
            class_weight=settings.class_weight,
        )
        return classes, Task(codes, names, train, validation, goal)

    def load_backbone(self, progress: Progress = silent) -> Backbone:
        """The backbone that the parameters name, loaded if necessary."""
        if isinstance(self.backbone, Backbone):
            return self.backbone
        return Backbone.load(
            self.backbone,
            device=self.device,
            dtype=self.dtype,
            max_length=self.max_length,
            progress=progress,
        )

    def wanted(self, backbone: Backbone) -> list[PooledSite]:
        """The pooled sites that the parameters select, in the order of computation."""
        settings = self._settings()
        limit = settings.max_layer
        deepest = backbone.n_layers if limit is None else limit
        if deepest > backbone.n_layers:
            raise StcError(
                "max_layer",
                expected=f"0 to {backbone.n_layers} for {backbone.name}",
                got=str(self.max_layer),
            )
        sites = [site for site in backbone.sites if site.kind in settings.kinds]
        default = SPIN_POOLINGS if self.preset == "spin" else backbone.default_poolings
        wanted = [
            PooledSite(site, pooling)
            for site in sites
            if site.layer <= deepest
            for pooling in (settings.poolings or default)
        ]
        if not wanted:
            kinds = ", ".join(settings.kinds)
            raise StcError(
                f"backbone {backbone.name!r}",
                expected=f"sites of kind {kinds} up to layer {deepest}",
                got="none",
                remedy=" ".join(backbone.notes) or "Choose the kind resid.",
            )
        return wanted

    def _settings(self) -> TrainConfig:
        """The parameters as a TrainConfig; StcError names one that is not valid."""
        params: dict[str, Any] = {
            name: value.tolist() if hasattr(value, "tolist") else value
            for name, value in self.get_params(deep=False).items()
            if name != "backbone"
        }
        settings = TrainConfig(**{**params, "device": str(self.device)})
        for name in ("budget", "max_neurons", "tolerance", "stable", "use_weight"):
            value = getattr(self, name)
            if self.preset == "spin" and value:
                raise StcError(
                    name,
                    expected="none with the preset spin, which keeps neurons by eta",
                    got=str(value),
                    remedy=f"Leave {name} out, or give a smaller eta or a max_layer.",
                )
        return settings

    def fit_probes(
        self,
        read: Read,
        task: Task,
        wanted: Sequence[PooledSite],
        **how: Any,
    ) -> list[ProbeResult]:
        """The sparse probes of each pooled site, fitted over a path of penalties.

        `how` are patience, device, progress and on_result of `probes.fit.fit_probes`.
        """
        return fit_probes(
            read,
            task.codes,
            task.train,
            task.validation,
            pooled_sites=wanted,
            penalty=self.penalty,
            goal=task.goal,
            Cs=np.array(SPIN_CS) if self.preset == "spin" else None,
            **how,
        )

    def select(
        self,
        read: Read,
        task: Task,
        probes: Sequence[Any],
        *,
        texts: Sequence[str],
        reported: Int[np.ndarray, " n_reported"] = NO_ROWS,
        use: ModelUse | None = None,
        progress: Progress = silent,
    ) -> Fitted:
        """The head of the preset, chosen by rows held out.

        `texts` are those of all rows of the task. With the preset `stc`, every option
        also predicts the classes of the rows `reported`; its `probes` may be those that
        a run has kept. `use` is that of `model_use`.
        """
        settings = self._settings()
        if settings.preset == "spin":
            etas = SPIN_ETAS if settings.eta is None else (settings.eta,)
            return fit_spin(read, task, probes, etas=etas, progress=progress)
        how: dict[str, Any] = {"reported": reported, "progress": progress, "use": use}
        limits = {name: getattr(settings, name) for name in _LIMITS}
        finish, share = self.finish(texts), settings.stable
        first = finish if share is None else as_it_is
        fitted = fit_stc(read, task, probes, **limits, finish=first, **how)
        if use is not None:
            fitted = beside_default(
                read,
                task,
                probes,
                fitted,
                weight=use.weight,
                progress=progress,
                **limits,
            )
        if share is None:
            return fitted
        return keep_stable(
            read, task, probes, fitted, share=share, finish=finish, **how
        )

    def model_use(
        self, backbone: Backbone, texts: Sequence[str], task: Task
    ) -> ModelUse | None:
        """What measures the use of neurons for the ranking; None if it has no weight.

        `texts` are those of all rows of the task.
        """
        weight = self._settings().use_weight
        return ModelUse(backbone, texts, task, weight=weight) if weight else None

    def finish(self, texts: Sequence[str]) -> Finish:
        """What adds words to a chosen classifier, if `words` says so."""
        return partial(add_words, texts=texts, how=self._settings().words)

    def _parts(self) -> tuple[Backbone, SparseHead]:
        check_is_fitted(self, "head_")
        return super()._parts()

    def adopt(
        self,
        backbone: Backbone,
        classes: Shaped[np.ndarray, " n_class"],
        probes: Sequence[ProbeResult],
        fitted: Fitted,
    ) -> "SparsifyThenClassify":
        """This classifier with the results of a fit that was made elsewhere."""
        self.backbone_ = backbone
        self.classes_ = classes
        self.probes_ = list(probes)
        self.fitted_ = fitted
        self.head_ = fitted.head
        self.words_ = fitted.words
        return self

    def save(self, folder: str | Path) -> Path:
        """Write head.safetensors and classifier.json to `folder`; no pickle."""
        check_is_fitted(self, "head_")
        params = {k: v for k, v in self.get_params().items() if k != "backbone"}
        return persistence.save_classifier(
            Path(folder),
            self.head_,
            self.classes_,
            about=persistence.About.of(self.backbone_),
            params=params,
            words=self.words_,
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        backbone: Backbone | None = None,
        device: str = "auto",
        progress: Progress = silent,
    ) -> "SparsifyThenClassify":
        """The classifier saved in `folder`, on the backbone it was fitted on.

        `folder` may also be the file of a bundle, which has its own backbone. Raises
        StcError if the format is another one, or if the backbone has other weights than
        in the fit.
        """
        folder = classifier_folder(folder)
        check_is_sparse(folder)
        head, classes, about, params = persistence.load_classifier(Path(folder))
        model = about.open(folder, backbone=backbone, device=device, progress=progress)
        params = {"words": "off", **params}  # saved before December 2026
        if "criterion" not in params:
            by_f1 = params.get("class_weight") is not None
            params = {**params, "criterion": "macro_f1" if by_f1 else "accuracy"}
        loaded = cls(**{**params, "backbone": backbone or model.name})
        loaded.backbone_, loaded.head_, loaded.classes_ = model, head, classes
        loaded.words_ = persistence.load_words(Path(folder))
        return loaded


def _check_labels(labels: Any) -> np.ndarray:
    """The labels as an array.

    Raises StcError for the first label that is missing or is not a single value.
    """
    if hasattr(labels, "to_pylist"):  # a pyarrow array, whose items are not scalars
        labels = labels.to_pylist()
    flat = "Give the labels as a flat list."
    for row, label in enumerate(labels):
        is_single = is_scalar(label)
        if not is_single or pd.isna(label):  # an array of strings turns NaN into 'nan'
            raise StcError(
                f"label {row}",
                expected="one label for every text",
                got=repr(label)[:60],
                remedy="Leave such rows out." if is_single else flat,
            )
    y = _array(labels)
    if y.ndim != 1:
        raise StcError(
            "labels",
            expected="one label for every text",
            got=f"an array of shape {y.shape}",
            remedy=flat,
        )
    return y


def _array(labels: Any) -> np.ndarray:
    """The labels as an array that keeps their types: numbers do not become strings."""
    y = np.asarray(labels)
    if y.ndim != 1 or not (isinstance(labels, list | tuple) or y.dtype == object):
        return y
    values = y.tolist() if y.dtype == object else list(labels)
    if len({isinstance(value, str) for value in values}) > 1:
        return np.array(values, dtype=object)
    narrow = np.array(values)
    return narrow if narrow.ndim == 1 else y
