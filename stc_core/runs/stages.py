"""The stages of a run that are done: one file says what a resumed run need not do.

A stage is done when its line is in the file, never because some files exist. Whatever
follows is computed from the facts that the line keeps.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.files import read_json, sync_tree, write_json
from stc_core.runs.layout import RunFile

_FORMAT = 1


class RunStage(StrEnum):
    """A part of a training that is never repeated once it is done."""

    SPARSE = "sparse"  # the sparse classifier and its baselines
    RESULT = "result"  # all files of the result


class RunStages:
    """The stages of the run in `folder` with the settings `config` that are done.

    A file of other settings, or one that cannot be read, counts as empty.
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self._key = folder, _key(config)
        self._done = self._read()

    def __contains__(self, stage: RunStage) -> bool:
        return stage in self._done

    def __len__(self) -> int:
        return len(self._done)

    def facts(self, stage: RunStage) -> Mapping[str, Any]:
        """What was kept of a stage that is done."""
        return self._done[stage]

    def finish(self, stage: RunStage, **facts: Any) -> None:
        """Bring all files of the run to the disk, then say that `stage` is done."""
        sync_tree(self.folder)
        done = {**self._done, stage: facts}
        record = {"format": _FORMAT, "settings": self._key, "done": done}
        write_json(self.folder / RunFile.STAGES, record, durable=True)
        self._done = self._read()

    def remove(self) -> None:
        """Remove the file: the run is done and will never be resumed."""
        (self.folder / RunFile.STAGES).unlink(missing_ok=True)

    def _read(self) -> dict[str, Mapping[str, Any]]:
        path = self.folder / RunFile.STAGES
        try:
            record = read_json(path) if path.is_file() else {}
        except StcError:  # the run then begins again
            return {}
        is_ours = (record.get("format"), record.get("settings")) == (_FORMAT, self._key)
        return record["done"] if is_ours else {}


def _key(config: RunConfig) -> str:
    """The hash of all settings that a result depends on."""
    settings = config.model_dump_json(exclude={"name", "created"})
    return hashlib.sha256(settings.encode()).hexdigest()
