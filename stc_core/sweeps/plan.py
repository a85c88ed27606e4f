"""What a sweep trains: the product of settings that are given several times."""

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from stc_core.backbone.loading.hub import local_folder
from stc_core.config import RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.files import hash_file
from stc_core.frozen import Frozen, Words
from stc_core.runs.processes.jobs import absolute_paths
from stc_core.runs.run_summary import backbone_name, method_of
from stc_core.setting import option_of
from stc_core.sweeps.axes import MOST_SWEPT_RUNS, SWEEP_AXES, once_each, too_many_runs

SWEEP_FORMAT = 1
_READ_BY = ("backbone", "max_length", "seed")
"""What the activations of a run depend on: runs that share them are neighbours. The
seed splits the table, if the table does not say itself which rows are for the test."""


class Sweep(Frozen):
    """The content of sweep.json: the runs of a sweep, in the order of work.

    `axes` are the settings that have several values. `tables` has the sha256 of each
    table by its path. `runs` has the settings of each run by the name of its folder.
    """

    format: int = SWEEP_FORMAT
    name: Words
    created: Words = ""
    axes: tuple[Words, ...]
    tables: dict[Words, Words]
    runs: dict[Words, RunConfig] = Field(min_length=1)

    @property
    def settings(self) -> dict[str, str]:
        """The setting of each run in words, by its folder; seeds share a setting."""
        paths = {one.train.backbone for one in self.runs.values()}
        whole = len(set(map(backbone_name, paths))) < len(paths)
        return {
            name: setting_words(config, self.axes, whole_path=whole)
            for name, config in self.runs.items()
        }

    def is_same(self, other: "Sweep") -> bool:
        """Whether both train the same runs on the same tables."""
        return self.changed(created="") == other.changed(created="")


def plan_sweep(
    config: RunConfig, values: Mapping[str, Sequence[Any]], *, name: str = ""
) -> Sweep:
    """The sweep of the settings `config`, with each of `values` in the place of its
    own.

    `values` has one or more values for some of SWEEP_AXES; their product is trained.
    The preset has an effect in the recipe stc alone, so other recipes take the first
    one. Without a `name` it is that of the table, and six digits that stand for the
    settings: the same arguments give the same sweep. StcError for a value that is
    given twice, more than MOST_SWEPT_RUNS runs, and a table that cannot be read;
    SettingError for a value that is not allowed.
    """
    given = {
        axis: _several(axis, values[axis]) for axis in SWEEP_AXES if values.get(axis)
    }
    size = 1
    for some in given.values():
        size *= len(some)
    if size > MOST_SWEPT_RUNS:
        raise too_many_runs(size)
    base = absolute_paths(config)
    trained = list(dict.fromkeys(map(tuple, _products(given))))
    configs = [
        absolute_paths(base.changed(train=base.train.changed(**dict(chosen))))
        for chosen in trained
    ]
    tables = {path: _sha256(path) for path in _table_paths(base)}
    axes = tuple(axis for axis, some in given.items() if len(some) > 1)
    name = name or _usual_name(base, configs, tables)
    folder_name(name)  # refuses a name that cannot be that of a folder
    runs: dict[str, RunConfig] = {}
    for one in configs:
        folder = _vacant_name(f"{name} {run_words(one, axes)}", runs)
        runs[folder] = one.changed(name=f"{name}: {run_words(one, axes)}", created="")
    return Sweep(name=name, axes=axes, tables=tables, runs=runs)


def setting_words(
    config: RunConfig, axes: Sequence[str], *, whole_path: bool = False
) -> str:
    """The setting of a run within its sweep: 'all-MiniLM-L6-v2, spin, eta 0.3'.

    Runs that differ in the seed alone have the same one. With `whole_path` a backbone
    is named by its whole path, as two folders may have the same name.
    """
    train, words = config.train, list[str]()
    for axis in axes:
        if axis == "backbone":
            path = train.backbone
            words.append(path if whole_path else backbone_name(path))
        elif axis == "recipe" or (axis == "preset" and "recipe" not in axes):
            words.append(method_of(config))
        elif axis not in ("preset", "seed"):
            option = option_of(axis, TrainConfig.model_fields[axis]).removeprefix("--")
            words.append(f"{option} {getattr(train, axis)}")
    return ", ".join(words) or method_of(config)


def run_words(config: RunConfig, axes: Sequence[str]) -> str:
    """The setting of a run and its seed, in words."""
    return f"{setting_words(config, axes)}, seed {config.train.seed}"


def _several(axis: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values of an axis, each once; two paths of a folder count as one value."""
    if axis == "backbone":
        found = [(value, local_folder(value)) for value in values]
        values = [str(path.absolute()) if path else value for value, path in found]
    return once_each(values, option_of(axis, TrainConfig.model_fields[axis]))


def _products(
    given: Mapping[str, Sequence[Any]],
) -> Iterator[list[tuple[str, Any]]]:
    """The chosen values of each run; those that read the same texts are neighbours."""
    order = [axis for axis in _READ_BY if axis in given]
    order += [axis for axis in given if axis not in _READ_BY]
    for values in itertools.product(*(given[axis] for axis in order)):
        chosen = dict(zip(order, values, strict=True))
        if chosen.get("recipe", "stc") != "stc" and "preset" in chosen:
            chosen["preset"] = given["preset"][0]
        yield list(chosen.items())


def _table_paths(config: RunConfig) -> list[str]:
    paths = (config.data.path, config.data.test_path)
    return [path for path in paths if path is not None]


def _sha256(path: str) -> str:
    """The hash of the content of a table, so that a changed one is noticed."""
    try:
        return hash_file(Path(path)).sha256
    except OSError as error:
        raise StcError(
            f"table {path!r}",
            expected="a file that can be read",
            got=error.strerror or str(error),
            remedy="Check the path.",
        ) from error


def _usual_name(
    base: RunConfig, configs: Sequence[RunConfig], tables: Mapping[str, str]
) -> str:
    """The name of the table, and six digits that stand for settings and content."""
    digest = hashlib.sha256("\n".join(tables.values()).encode())
    for config in configs:
        digest.update(config.changed(created="").model_dump_json().encode())
    stem = Path(base.data.path).name.partition(".")[0]
    return f"{stem}-{digest.hexdigest()[:6]}"


def folder_name(words: str) -> str:
    """`words` as the name of a folder; StcError if no letter or number is in them."""
    slug = re.sub(r"[^\w.]+", "-", words).strip("-.").lower()[:100]
    if not slug:
        raise StcError(
            "option --name", expected="a name with letters or numbers", got=repr(words)
        )
    return slug


def _vacant_name(words: str, taken: Mapping[str, object]) -> str:
    """A folder name that no other run of the sweep has."""
    first = folder_name(words)
    names = itertools.chain([first], (f"{first}-{n}" for n in itertools.count(2)))
    return next(name for name in names if name not in taken)
