"""The app with many people in it, many runs and many jobs.

    python -m benches load

SESSIONS sessions speak with the app as browsers do, over its websocket, while a
training runs on the same machine: each opens page after page of the run of bench_app
(20,000 texts, 5,000 neurons), clicks, and waits a second in between. No browser draws,
so the times are those of the app: from a request to the end of its script. A row has
the median `ours_s` and `p95_s` of all sessions beside the same for a session that is
alone; an exception on a page ends the bench. Then ROUNDS times as many sessions come
and go: `memory_mb` is the memory of the app after each, once it has forgotten them.

The last rows: a folder of 5,000 runs, JOBS runs that wait for each other, and a table
of a million rows. What belongs to one act of a user has no rival but its goal.
"""

import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pandas as pd
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Button_pb2 import Button
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

from benches.measure import Row, show
from benches.speed.bench_app import enlarge, small
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.uploads import find_upload
from stc_core.runs.writer import RunWriter

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # it serves the app

SESSIONS, ROUNDS, THINK_S = 25, 4, 1.0
RUNS, JOBS, ROWS = 5_000, 20, 1_000_000
PAGES = ("Layers", "Neurons", "Examples", "Errors", "Compare", "Runs")
CLICKED = "Next"
"""The button that is clicked wherever a page has it: the next neuron, the next text."""
FORGET_S = 150.0
"""After so long without its browser a session is forgotten; Streamlit says 120 s."""
PAGE_S, CLICK_S = 2.0, 0.5
LONGEST_S = 120.0
STC = (sys.executable, "-m", "stc_core")


class Found(NamedTuple):
    """What a script left on a page: its buttons by their words, and their fragments."""

    buttons: Mapping[str, tuple[Button, str]]
    seconds: float


class Session:
    """One person at the app, without the picture."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self.pages: list[float] = []
        self.clicks: list[float] = []

    async def visit(self, page: str) -> Found:
        """Open a page of the run."""
        back = BackMsg()
        back.rerun_script.query_string = urlencode({"run": "large"})
        back.rerun_script.page_name = page
        found = await self._run(back)
        self.pages.append(found.seconds)
        return found

    async def click(self, button: Button, page: str, fragment: str) -> None:
        """Click a button of the page that is open."""
        back = BackMsg()
        back.rerun_script.query_string = urlencode({"run": "large"})
        back.rerun_script.page_name = page
        back.rerun_script.fragment_id = fragment
        pressed = WidgetState(id=button.id, trigger_value=True)
        back.rerun_script.widget_states.widgets.append(pressed)
        self.clicks.append((await self._run(back)).seconds)

    async def _run(self, back: BackMsg) -> Found:
        start = time.perf_counter()
        await self._line.send(back.SerializeToString())
        buttons: dict[str, tuple[Button, str]] = {}
        while True:
            message = ForwardMsg()
            message.ParseFromString(await self._next())
            kind = message.WhichOneof("type")
            if kind == "script_finished":
                return Found(buttons, time.perf_counter() - start)
            if kind == "delta" and message.delta.HasField("new_element"):
                element = message.delta.new_element
                assert not element.HasField("exception"), element.exception
                if element.HasField("button"):
                    found = element.button, message.delta.fragment_id
                    buttons[element.button.label] = found

    async def _next(self) -> bytes:
        message = await asyncio.wait_for(self._line.recv(), LONGEST_S)
        assert isinstance(message, bytes)
        return message


async def _sit(address: str, seed: int, *, rounds: int) -> Session:
    """One person opens the pages `rounds` times, each time in another order."""
    order = random.Random(seed)
    where = address.replace("http", "ws") + "/_stcore/stream"
    options: dict[str, Any] = {"subprotocols": ["streamlit"], "max_size": None}
    async with connect(where, origin=address, **options) as line:  # pyright: ignore[reportArgumentType]
        session = Session(line)
        for page in order.sample(PAGES * rounds, len(PAGES) * rounds):
            found = await session.visit(page)
            await asyncio.sleep(THINK_S)
            button, fragment = found.buttons.get(CLICKED, (None, ""))
            if button is not None and not button.disabled:
                await session.click(button, page, fragment)
                await asyncio.sleep(THINK_S)
        return session


async def _all_sit(address: str, n: int, *, rounds: int = 1) -> list[Session]:
    sitting = (_sit(address, seed, rounds=rounds) for seed in range(n))
    return list(await asyncio.gather(*sitting))


@contextmanager
def _training(home: Path, sample: Path) -> Iterator[None]:
    """Inside, one training after another runs in the home."""
    again = f"while true; do {' '.join(STC)} train {sample} --label topic; done"
    with (home / "trainings.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", again],
            env=_env(home),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        assert process.poll() is None, "no training was running"
        os.killpg(process.pid, 15)
        process.wait()


def _env(home: Path) -> dict[str, str]:
    return {**os.environ, "STC_HOME": str(home), "OMP_NUM_THREADS": "1"}


def _memory_mb(address: str) -> int:
    """The resident memory of the process that listens at the address."""
    port = int(address.rpartition(":")[2])
    listening = [
        process
        for process in psutil.process_iter()
        if f"--server.port {port}" in " ".join(process.cmdline())
    ]
    assert len(listening) == 1
    return listening[0].memory_info().rss // 1_000_000


def _row(case: str, seconds: Sequence[float], rival: str, rival_s: float) -> Row:
    middle = statistics.median(seconds)
    row: Row = {"bench": "load", "case": case, "ours_s": round(middle, 3)}
    if len(seconds) > 1:
        row["p95_s"] = round(statistics.quantiles(seconds, n=20)[-1], 3)
        row["n"] = len(seconds)
    row |= {"rival": rival, "rival_s": round(rival_s, 3)}
    return row | {"ratio": round(rival_s / max(middle, 1e-3), 3)}


def _sessions(folder: Path) -> Iterator[Row]:
    """One session alone, many beside a training, and many that come and go."""
    from helpers.browser.browser import server

    home = folder / "crowd"
    (home / "runs").mkdir(parents=True)
    enlarge(small(home / "runs" / "large"))
    with server(home) as address:
        asyncio.run(_all_sit(address, 1))  # what is read once for all
        one = asyncio.run(_all_sit(address, 1, rounds=3))[0]
        yield _row("one session, a page", one.pages, "goal", PAGE_S)
        yield _row("one session, a click", one.clicks, "goal", CLICK_S)
        alone = {"a page": one.pages, "a click": one.clicks}
        with _training(home, find_upload("sample").path):
            crowd = asyncio.run(_all_sit(address, SESSIONS, rounds=2))
        together = {
            "a page": [taken for session in crowd for taken in session.pages],
            "a click": [taken for session in crowd for taken in session.clicks],
        }
        for act, taken in together.items():
            case = f"{SESSIONS} sessions beside a training, {act}"
            yield _row(case, taken, "one session", statistics.median(alone[act]))
        for turn in range(1, ROUNDS + 1):
            start = time.perf_counter()
            asyncio.run(_all_sit(address, SESSIONS))
            took = time.perf_counter() - start
            time.sleep(FORGET_S)
            asyncio.run(_all_sit(address, 1))  # Streamlit forgets when somebody comes
            case = f"{SESSIONS} more sessions come and go, time {turn}"
            memory = {"memory_mb": _memory_mb(address)}
            yield _row(case, [took], "none", took) | memory


def _many_runs(folder: Path) -> Iterator[Row]:
    """The list of 5,000 runs, in the app and by the command."""
    from helpers.browser.browser import server
    from helpers.metrics import whole_metrics

    home = folder / "many"
    runs = home / "runs"
    runs.mkdir(parents=True)
    data = DataConfig(path="texts.csv", text="text")
    writer = RunWriter(runs / "0", RunConfig(name="a run", data=data))
    writer.write_metrics(whole_metrics())
    writer.finish()
    for number in range(1, RUNS):
        shutil.copytree(runs / "0", runs / f"{number}")
    with server(home) as address:

        async def visit() -> list[float]:
            options: dict[str, Any] = {"subprotocols": ["streamlit"], "max_size": None}
            where = address.replace("http", "ws") + "/_stcore/stream"
            async with connect(where, origin=address, **options) as line:  # pyright: ignore[reportArgumentType]
                session = Session(line)
                for page in ("Home", *["Runs"] * 5):
                    await session.visit(page)
                return session.pages

        _, first_s, *again = asyncio.run(visit())
        yield _row(f"{RUNS:,} runs, the page Runs, first", [first_s], "goal", PAGE_S)
        yield _row(f"{RUNS:,} runs, the page Runs, again", again, "goal", PAGE_S)
    taken, _ = _command(home, "runs")
    yield _row(f"{RUNS:,} runs, stc runs", [taken], "goal", 5.0)


def _command(home: Path, *words: str) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(
        [*STC, *words], env=_env(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start, done.stdout


def _jobs(folder: Path) -> Iterator[Row]:
    """Runs that are started at once: each is done, and never two at a time."""
    from stc_core.runs.processes import jobs
    from stc_core.runs.run import Run
    from stc_core.runs.status import BUSY, observe_status

    home = folder / "queue"
    home.mkdir()
    os.environ["STC_HOME"] = str(home)
    table = home / "texts.csv"
    pd.read_csv(find_upload("sample").path, nrows=60).to_csv(table, index=False)
    config = RunConfig(
        data=DataConfig(path=str(table), text="text", labels=("topic",)),
        train=TrainConfig(device="cpu", kinds=("resid",), poolings=("mean",)),
    )
    start = time.perf_counter()
    folders = [
        jobs.start(config.changed(name=f"job {number}")) for number in range(JOBS)
    ]
    most = 0
    while True:
        states = [observe_status(one)["state"] for one in folders]
        most = max(most, states.count("running"))
        if not any(state in BUSY for state in states):
            break
        time.sleep(0.2)
    taken = time.perf_counter() - start
    assert all(Run(one).done for one in folders), states
    facts = {"done": states.count("done"), "most_at_once": most}
    yield _row(f"{JOBS} queued runs of 60 texts", [taken], "none", taken) | facts


def _large_table(folder: Path) -> Iterator[Row]:
    """What is found in a table of a million rows before anything is trained."""
    sample = pd.read_csv(find_upload("sample").path)[["text", "topic"]]
    table = pd.concat([sample] * (ROWS // len(sample) + 1), ignore_index=True)
    table = table.head(ROWS)
    table["text"] += " " + table.index.astype(str)
    path = folder / "large.csv"
    table.to_csv(path, index=False)
    del table
    words = (*STC, "data", "check", str(path), "--label", "topic", "--json")
    start = time.perf_counter()
    process = psutil.Popen(words, env=_env(folder), stdout=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    out, _ = process.communicate()
    taken = time.perf_counter() - start
    assert process.returncode == 0 and json.loads(out)
    facts = {"memory_mb": peak // 1_000_000, "disk_mb": path.stat().st_size // 10**6}
    yield _row(f"{ROWS:,} rows of CSV, stc data check", [taken], "goal", 60.0) | facts


def bench() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for part in (_large_table, _many_runs, _jobs, _sessions):
            yield from part(Path(folder))


if __name__ == "__main__":
    show(bench, __doc__ or "")
