"""What is computed of shards: the labels of a classifier, or pooled activations."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from stc_core.activations.extract import extract_features
from stc_core.activations.forward import BatchBudget, run_batches
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.hierarchical import limit_levels
from stc_core.classifiers.labelling.sound_texts import read_sound
from stc_core.classifiers.labelling.text_labels import label_texts
from stc_core.classifiers.loading import open_classifier
from stc_core.engine.results import activations_table, labels_table, values_table
from stc_core.engine.shards import ReadShard
from stc_core.errors import StcError
from stc_core.files import hash_file
from stc_core.types import Feature, PooledSite


class LabellingWork(NamedTuple):
    """Labels texts with the classifier in `folder`, whose files have the hash `digest`.

    `levels` and `least` are those of `limit_levels`.
    """

    folder: str
    digest: str
    device: str
    threads: int
    levels: int | None = None
    least: float | None = None

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        device: str,
        threads: int,
        levels: int | None = None,
        least: float | None = None,
    ) -> "LabellingWork":
        """The work of the classifier in `folder`."""
        where, digest = str(folder.absolute()), folder_digest(folder)
        return cls(where, digest, device, threads, levels, least)

    @property
    def identity(self) -> tuple[object, ...]:
        settings = (self.device, self.threads, self.levels, self.least)
        return ("labels", self.digest, *settings)

    def open(self) -> ReadShard:
        """Open the classifier; StcError if the folder holds another one, or none."""
        folder = Path(self.folder)
        if not folder.is_dir() or folder_digest(folder) != self.digest:
            raise StcError(
                f"classifier {self.folder!r} on a worker",
                expected="the folder of the run that was named",
                got="another one" if folder.is_dir() else "no such folder",
                remedy="Put the run on a storage that all workers see under the same "
                "path.",
            )
        classifier = limit_levels(
            open_classifier(folder, device=self.device), self.levels, self.least
        )
        return lambda texts: labels_table(label_texts(classifier, texts))


def folder_digest(folder: Path) -> str:
    """A hash of the names and the content of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{hash_file(path).sha256}\n".encode())
    return digest.hexdigest()


class ReadingWork(NamedTuple):
    """Reads the pooled activations of texts with the backbone called `name`."""

    name: str
    backbone: str
    dtype: str
    max_length: int
    wanted: tuple[PooledSite, ...]
    device: str
    threads: int

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        wanted: Sequence[PooledSite],
        *,
        device: str,
        threads: int,
    ) -> "ReadingWork":
        """The work of reading these sites with this backbone."""
        return cls(
            backbone.name,
            backbone.identity,
            str(backbone.dtype).removeprefix("torch."),
            backbone.max_length,
            tuple(sorted(set(wanted))),
            device,
            threads,
        )

    @property
    def identity(self) -> tuple[object, ...]:
        sites = ",".join(map(str, self.wanted))
        return ("activations", *self[1:4], sites, self.device, self.threads)

    def open(self) -> ReadShard:
        """Load the backbone; StcError if this name has other weights here."""
        return partial(_read_shard, self.load(), self.wanted)

    def load(self) -> Backbone:
        """The backbone; StcError if this name has other weights here."""
        backbone = Backbone.load(
            self.name, device=self.device, dtype=self.dtype, max_length=self.max_length
        )
        if backbone.identity != self.backbone:
            raise StcError(
                f"backbone {self.name!r} on a worker",
                expected=f"weights of identity {self.backbone[:12]}, as at the start",
                got=f"weights of identity {backbone.identity[:12]}",
                remedy="Give all workers the same model.",
            )
        return backbone


class FeaturesWork(NamedTuple):
    """Reads single neurons of texts, with the backbone of `reading`."""

    reading: ReadingWork
    features: tuple[Feature, ...]

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        features: Sequence[Feature],
        *,
        device: str,
        threads: int,
    ) -> "FeaturesWork":
        """The work of reading these neurons with this backbone."""
        sites = [PooledSite(site, pooling) for site, pooling, _ in features]
        reading = ReadingWork.of(backbone, sites, device=device, threads=threads)
        return cls(reading, tuple(features))

    @property
    def identity(self) -> tuple[object, ...]:
        return ("features", ",".join(map(str, self.features)), *self.reading.identity)

    @property
    def threads(self) -> int:
        return self.reading.threads

    def open(self) -> ReadShard:
        """Load the backbone; StcError if this name has other weights here."""
        return partial(_read_features, self.reading.load(), self.features)


def _read_features(
    backbone: Backbone, features: Sequence[Feature], texts: Sequence[str]
) -> pa.Table:
    read = partial(extract_features, backbone, features=features)
    values, broken = read_sound(read, texts, backbone)
    return values_table(values, broken)


def _read_shard(
    backbone: Backbone, wanted: Sequence[PooledSite], texts: Sequence[str]
) -> pa.Table:
    arrays, broken = read_sound(partial(_pooled, backbone, wanted), texts, backbone)
    return activations_table(arrays, broken)


def _pooled(
    backbone: Backbone, wanted: Sequence[PooledSite], texts: Sequence[str]
) -> dict[PooledSite, Float[np.ndarray, "n _"]]:
    """The float32 activations of texts that are read by themselves."""
    out = {
        site: np.empty((len(texts), backbone.widths[site.site]), np.float32)
        for site in wanted
    }
    budget = BatchBudget(backbone, wanted, None)
    keep = lambda blocks: {site: block.cpu() for site, block in blocks.items()}  # noqa: E731
    for batch in run_batches(backbone, texts, wanted, keep, budget=budget):
        for site, block in batch.value.items():
            out[site][batch.rows] = block.float().numpy()
    return out
