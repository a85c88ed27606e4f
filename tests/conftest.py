"""What every test shares: a home of its own, few threads, one run that is real."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from threadpoolctl import threadpool_limits

from helpers import checked
from helpers.command import Said, Stc
from helpers.hermetic import unchanged, unchanged_by_file, watched_folder
from helpers.once import once, shared, trained_once

if TYPE_CHECKING:
    from helpers.browser.browser import ServedApp
    from stc_core.config import RunConfig

checked.install()

assert unchanged and unchanged_by_file  # fixtures that every test uses

SAMPLE = Path(__file__).parents[1] / "samples" / "customer_messages.csv"

LONG = {"activations", "classifiers", "cli", "pages", "probes", "recipes", "serve"}
"""Folders of tests that train or draw whole pages: their files take longest."""

# Tests are tiny, and several processes of them may share the cores: threads that wait
# for each other cost more than they give. Torch comes later and reads the variables;
# numpy is here already, brought by pytest's plugins.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
threadpool_limits(int(os.environ["OPENBLAS_NUM_THREADS"]), "blas")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Test files and what they import stay: nobody looks among them for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, those with a browser before all: none is left at the end.

    A worker that is alone with a long file at the end leaves the other cores idle.
    """

    def rank(item: pytest.Item) -> int:
        if hasattr(getattr(item, "module", None), "browser"):
            return 0
        return 1 if LONG & set(item.path.parts) else 2

    items.sort(key=rank)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: the tests in a browser wait half of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly how many tests found no browser, and what mends it."""
    from helpers.browser.chromium import NONE, REMEDY

    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NONE in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.section("no browser", sep="=", yellow=True, bold=True)
        terminalreporter.write_line(f"{NONE} ({count} of them.) {REMEDY}", yellow=True)


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The STC_HOME of tests that name none: nothing is written to the checkout."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STC_HOME", str(home))
        yield home


@pytest.fixture(scope="module", autouse=True)
def young_garbage() -> Iterator[None]:
    """Every training collects garbage: not among all that is imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 of the sample's messages, 24 of each topic, with all columns."""
    from stc_core.data.table import read_table

    def write(folder: Path) -> None:
        folder.mkdir()
        few = read_table(SAMPLE).groupby("topic").head(24)
        few.to_csv(folder / "messages.csv", index=False)

    return once(tmp_path_factory, "table", write) / "messages.csv"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, messages: Path) -> Path:
    """A finished run of `registry.train` with the embedded backbone. Read-only."""
    from stc_core.config import DataConfig, RunConfig, TrainConfig

    config = RunConfig(
        name="messages by topic",
        data=DataConfig(path=str(messages), text="text", labels=("topic",), id="id"),
        train=TrainConfig(device="cpu"),
    )
    folder = trained_once(tmp_path_factory, "topic", lambda to: _train(config, to))
    return watched_folder("run_folder", folder)


@pytest.fixture(scope="session")
def tuned_folder(tmp_path_factory: pytest.TempPathFactory, messages: Path) -> Path:
    """A finished run of the recipe `variability`: LoRA in block 4. Read-only."""
    from stc_core.config import DataConfig, RunConfig, TrainConfig
    from stc_core.recipe_settings import TuneConfig

    tune = TuneConfig(method="lora", blocks=1, layer=4, epochs=2)
    config = RunConfig(
        name="tuned to the topic",
        data=DataConfig(path=str(messages), text="text", labels=("topic",)),
        train=TrainConfig(
            recipe="variability",
            device="cpu",
            kinds=("resid",),
            poolings=("mean",),
            tune=tune,
        ),
    )
    folder = trained_once(tmp_path_factory, "tuned", lambda to: _train(config, to))
    return watched_folder("tuned_folder", folder)


def _train(config: "RunConfig", folder: Path) -> None:
    from stc_core.recipes import registry
    from stc_core.runs.writer import RunWriter

    with RunWriter(folder, config) as writer:
        registry.train(config, writer)


@pytest.fixture(scope="session")
def served_app(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path
) -> Iterator["ServedApp"]:
    """The app with the run `r` and its twin `w`, for tests that change neither.

    The workers share it. The twin says that it has 40 neurons, and has 4 mistakes
    more.
    """
    from helpers.browser.shared_app import shared_app
    from helpers.runs.copies import copied

    def prepare(home: Path) -> None:
        copied(run_folder, home / "runs" / "r")
        copied(run_folder, home / "runs" / "w", wrong=4, neurons=40)

    with shared_app(shared(tmp_path_factory) / "app", prepare) as app:
        yield app


@pytest.fixture
def stc(monkeypatch, capsys) -> Stc:
    """Runs a command in this process, on a screen that is wide."""
    from stc_core.cli import app

    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["stc", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as end:
                app.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        code = end.value.code
        assert code is None or isinstance(code, int), code
        return Said(code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def quick_survey() -> Iterator[None]:
    """Plans time small batches once: what they foretell is rough, and comes soon."""
    from stc_core.activations import cost
    from stc_core.recipes.planning import machine_speed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "TRIAL_FLOPS", {"cpu": 1e9})
        patch.setattr(cost, "ROUNDS", 1)
        patch.setattr(machine_speed, "ROUNDS", 1)
        patch.setattr(machine_speed, "COLUMNS", 384)
        patch.setattr(machine_speed, "SOLVES", (96, 384))
        yield


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch) -> Path:
    """The STC_HOME of this one test, not there yet."""
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"message {n},{'spam' if n % 3 else 'ham'}" for n in range(60)]
    path = tmp_path / "messages.csv"
    path.write_text("\n".join(["text,kind", *rows]))
    return path


@pytest.fixture
def small_shards(monkeypatch) -> None:
    """A shard of a store has 8 to 32 texts."""
    from stc_core.backbone import batches

    monkeypatch.setattr(batches, "FIRST_SHARD", 8)
    monkeypatch.setattr(batches, "LARGEST_SHARD", 32)


@pytest.fixture
def forwards(monkeypatch) -> list[int]:
    """How many texts each forward had, in the order of the forwards."""
    from stc_core.backbone.backbone import Backbone
    from stc_core.config import DEFAULT_BACKBONE

    sizes: list[int] = []
    pooled = Backbone.pooled

    def counting(self, ids, wanted):
        # A page of an earlier test may still be reading, on a thread of its own.
        if self.name != DEFAULT_BACKBONE:
            sizes.append(len(ids))
        return pooled(self, ids, wanted)

    monkeypatch.setattr(Backbone, "pooled", counting)
    return sizes
