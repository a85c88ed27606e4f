"""Makes the example run anew: `python docs/example_run.py`; it takes a minute.

It trains on the sample with the embedded language model and packs the run into
`samples/example_run.zip`. Run it when the format of runs, or what they hold, changes:
a test then fails until the archive is of today.
"""

import sys
import tempfile
from pathlib import Path

from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.uploads import SAMPLE_PATH
from stc_core.display import percent, size
from stc_core.export.example_run import EXAMPLE_PATH, pack_example
from stc_core.recipes import registry
from stc_core.runs.writer import RunWriter

NAME = "customer messages by topic"
MOST_NEURONS = 512
"""So few do as well as the 4,096 that are kept without a limit, and keep it small."""


def main() -> None:
    """Train, pack, and say what came out."""
    data = DataConfig(path=str(SAMPLE_PATH), text="text", labels=("topic",), id="id")
    train = TrainConfig(device="cpu", max_neurons=MOST_NEURONS, words="off")
    config = RunConfig(name=NAME, example=True, data=data, train=train)
    with tempfile.TemporaryDirectory() as folder:
        with RunWriter(Path(folder) / "run", config) as writer:
            run = registry.train(config, writer)
        pack_example(run, EXAMPLE_PATH)
        accuracy = percent(run.metrics["test"]["accuracy"])
    n_bytes = size(EXAMPLE_PATH.stat().st_size)
    sys.stdout.write(f"{EXAMPLE_PATH}: {n_bytes}, {accuracy} accuracy\n")


if __name__ == "__main__":
    main()
