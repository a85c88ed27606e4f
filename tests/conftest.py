"""What every test shares: a home of its own, few threads, one run that is real."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stc_core.config import DataConfig, RunConfig, TrainConfig

SAMPLE = Path(__file__).parents[1] / "samples" / "customer_messages.csv"

# Nothing above imports numpy or torch. Tests are tiny, and several processes of them
# may share the cores: threads that wait for each other cost more than they give.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The STC_HOME of tests that name none: nothing is written to the checkout."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STC_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 of the sample's messages, 24 of each topic, with all columns."""
    from stc_core.table import read_table

    path = tmp_path_factory.mktemp("table") / "messages.csv"
    read_table(SAMPLE).groupby("topic").head(24).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, messages: Path) -> Path:
    """A finished run of `recipes.train` with the embedded backbone. Read-only."""
    from stc_core import recipes
    from stc_core.writer import RunWriter

    config = RunConfig(
        name="messages by topic",
        data=DataConfig(path=str(messages), text="text", labels=("topic",), id="id"),
        train=TrainConfig(device="cpu"),
    )
    writer = RunWriter(tmp_path_factory.mktemp("run") / "topic", config)
    with writer:
        recipes.train(config, writer)
    return writer.folder


@pytest.fixture(scope="session")
def tuned_folder(tmp_path_factory: pytest.TempPathFactory, messages: Path) -> Path:
    """A finished run of the recipe `variability`: LoRA in block 4. Read-only."""
    from stc_core import recipes
    from stc_core.config import TuneConfig
    from stc_core.writer import RunWriter

    tune = TuneConfig(method="lora", blocks=1, layer=4, epochs=2)
    config = RunConfig(
        name="tuned to the topic",
        data=DataConfig(path=str(messages), text="text", labels=("topic",)),
        train=TrainConfig(recipe="variability", device="cpu", tune=tune),
    )
    writer = RunWriter(tmp_path_factory.mktemp("tuned") / "tuned", config)
    with writer:
        recipes.train(config, writer)
    return writer.folder
