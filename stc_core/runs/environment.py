"""What a run was computed with, so that it can be repeated: versions, machine, table.

`stc train --config RUN` repeats the run. With the same table, on the same machine and
with the same versions, it gives the same files.
"""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from stc_core.config import RunConfig
from stc_core.data.reading.hub_table import is_hub_table
from stc_core.data.reading.pipes import is_stream
from stc_core.errors import StcError
from stc_core.files import FileHash, hash_file, read_json, write_json
from stc_core.runs.layout import RunFile

_FORMAT = 1
_CPUINFO = Path("/proc/cpuinfo")
COMPUTING = ("stc-studio", "torch", "transformers", "tokenizers", "numpy")
"""Another version of these may give other numbers."""
_FITTING = ("scipy", "scikit-learn", "pandas")


class Machine(NamedTuple):
    """Where a process of a run computed; `threads` are those of torch, if it knew."""

    versions: Mapping[str, str]
    system: str
    processor: str
    cores: int
    threads: int | None


class RunEnvironment(NamedTuple):
    """What is not in the settings of a run, but may change its numbers.

    `tables` has the hash of each table on disk, by its path in the settings. A resumed
    run has more than one of `machines` if something had changed meanwhile.
    """

    tables: Mapping[str, FileHash]
    machines: tuple[Machine, ...]


def versions_of(packages: tuple[str, ...] = COMPUTING) -> dict[str, str]:
    """The versions of Python and of these packages."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a folder, without an installation
            found[name] = "not installed"
    return found


def this_machine() -> Machine:
    """The machine and the packages of this process."""
    torch: Any = sys.modules.get("torch")
    return Machine(
        versions=versions_of((*COMPUTING, *_FITTING)),
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=None if torch is None else torch.get_num_threads(),
    )


def record_environment(folder: Path, config: RunConfig) -> list[str]:
    """Write with what the run in `folder` is computed from now on.

    Gives sentences on what has changed since the run began; none if it begins now.
    """
    kept, now = read_environment(folder), this_machine()
    if kept is None:
        write_environment(folder, RunEnvironment(_hashes(config), (now,)))
        return []
    changes = changed_versions(kept)
    if now != kept.machines[-1]:
        write_environment(folder, kept._replace(machines=(*kept.machines, now)))
    return changes


def read_environment(folder: Path) -> RunEnvironment | None:
    """What the run in `folder` was computed with; None if it does not say.

    Runs before December 2026 do not. A damaged file, or one of another format, counts
    as none.
    """
    try:
        record = read_json(folder / RunFile.ENVIRONMENT)
        if record["format"] != _FORMAT:
            return None
        tables = {path: FileHash(**facts) for path, facts in record["tables"].items()}
        machines = tuple(Machine(**facts) for facts in record["machines"])
    except (StcError, KeyError, TypeError, AttributeError):
        return None
    return RunEnvironment(tables, machines) if machines else None


def write_environment(folder: Path, environment: RunEnvironment) -> None:
    """Write what the run in `folder` was computed with."""
    tables = {path: facts._asdict() for path, facts in environment.tables.items()}
    machines = [machine._asdict() for machine in environment.machines]
    record = {"format": _FORMAT, "tables": tables, "machines": machines}
    write_json(folder / RunFile.ENVIRONMENT, record)


def without_folders(environment: RunEnvironment) -> RunEnvironment:
    """The same with the names of the tables alone, for a run that goes elsewhere."""
    tables = {Path(path).name: facts for path, facts in environment.tables.items()}
    return environment._replace(tables=tables)


def changed_versions(kept: RunEnvironment) -> list[str]:
    """A sentence for each package that was another when the run was computed."""
    before, now = kept.machines[-1].versions, versions_of((*COMPUTING, *_FITTING))
    return [
        f"The run was computed with {name} {known}, and here is {now[name]}: numbers "
        "may differ a little."
        for name, known in before.items()
        if name in now and now[name] != known
    ]


def changed_tables(kept: RunEnvironment) -> list[str]:
    """A sentence for each table that is not as the run read it."""
    found = []
    for path, known in kept.tables.items():
        try:
            is_same = hash_file(Path(path)) == known
        except OSError:
            continue  # whoever reads it says that it is missing
        if not is_same:
            found.append(f"{path} has changed since the run read it.")
    return found


def _hashes(config: RunConfig) -> dict[str, FileHash]:
    """The hash of each table that is a file; a pipe can be read only once."""
    found = {}
    for path in (config.data.path, config.data.test_path):
        if path and not is_hub_table(path) and not is_stream(path):
            try:
                found[path] = hash_file(Path(path))
            except OSError:
                continue  # whoever reads it says what is wrong
    return found


def _processor() -> str:
    """The name of the processor, as its maker calls it."""
    lines = _CPUINFO.read_text("utf-8").splitlines() if _CPUINFO.exists() else []
    named = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next(named, "").strip() or platform.processor() or platform.machine()
