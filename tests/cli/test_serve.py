"""`stc serve` as it is typed: a real process that answers, and stops when told."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from helpers.command import Stc
from helpers.models.broken import FAULTS
from helpers.runs.serving import ROOT, serving, trained
from stc_core.backbone.onednn import copied_bytes
from stc_core.cli.serve import (
    MOST_PREPARED,
    PREPARED_CACHES,
    limit_prepared,
    listener,
)
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.serve.app import service


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("run"), "stc")


def ask(url: str, body: Any = None, token: str = "") -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_stops_when_told(run: Run, number: int, monkeypatch):
    monkeypatch.setenv("STC_TOKEN", "sesame")
    with serving(run.folder, "--device", "cpu") as (address, process):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{address}/v1/models")
        assert address.startswith("http://127.0.0.1:")
        body = {"texts": ["good price", "awful film"]}
        found = ask(f"{address}/v1/models/stc/predict", body, "sesame")
        labels = [one["label"] for one in found["predictions"]]
        assert labels == run.classifier().predict(body["texts"]).tolist()
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_the_caches_of_prepared_work_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in PREPARED_CACHES:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv(PREPARED_CACHES[1], "7")
    limit_prepared()
    found = [os.environ[name] for name in PREPARED_CACHES]
    assert found == [str(MOST_PREPARED), "7"]


@pytest.mark.skipif(copied_bytes(nn.Linear(2, 2)) == 0, reason="for CPUs of x86 alone")
@pytest.mark.parametrize("most, n_prepared", [(2, 8), (64, 4)])
def test_the_bound_holds_after_torch_is_imported(most: int, n_prepared: int):
    """Four sizes, twice: with room for two at a time each is prepared again."""
    code = f"""
import torch
from stc_core.backbone.onednn import lay_out
from stc_core.cli import serve
serve.MOST_PREPARED = {most}
serve.limit_prepared()
layer = torch.nn.Linear(37, 53).requires_grad_(False)
lay_out(layer)
with torch.inference_mode(), torch.backends.mkldnn.verbose(2):
    for n in (8, 16, 24, 32) * 2:
        layer(torch.zeros(n, 37))
"""
    env = {k: v for k, v in os.environ.items() if k not in PREPARED_CACHES}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=env
    )
    lines = done.stdout.splitlines()
    kinds = ("matmul", "inner_product")
    made = [line for line in lines if any(f",{kind}," in line for kind in kinds)]
    assert sum("create:cache_miss" in line for line in made) == n_prepared, lines


@pytest.mark.parametrize("fault", ["adapters beside", "tokenizer is newer"])
def test_a_backbone_with_a_fault_is_said_before_it_serves(
    fault: str, run: Run, stc: Stc, tmp_path: Path, table: Path
):
    """And of a run that was fitted before the fault came."""
    base = Path(run.config.train.backbone)
    kept = shutil.copytree(base, tmp_path / "kept")
    try:
        FAULTS[fault][0](base)
        with pytest.raises(StcError, match=FAULTS[fault][1]):
            service([run], device="cpu")
        serve = ("serve", run.folder, "--port", 0, "--device", "cpu")
        predict = ("predict", run.folder, table, "--out", tmp_path / "out.csv")
        for command in (serve, predict):
            said = stc(*command)
            assert said.code == 2 and said.err.startswith("Error: "), said.err
            assert "Traceback" not in said.err and "bug" not in said.err
    finally:
        shutil.rmtree(base)
        kept.rename(base)


def test_an_address_that_is_taken_is_said_first(stc: Stc, tmp_path: Path):
    with listener("127.0.0.1", 0) as taken:
        taken.listen()
        said = stc("serve", tmp_path, "--port", taken.getsockname()[1])
    assert said.code == 2 and "Choose another --port" in said.err
    assert stc("serve", tmp_path, "--host", "no.such.host.invalid").code == 2


def test_what_cannot_be_served_is_said(stc: Stc, tmp_path: Path):
    said = stc("serve", tmp_path, "--port", 0)
    assert said.code == 2 and "config.json" in said.err
    said = stc("serve", tmp_path, "--port", 0, "--token", "two  words")
    assert said.code == 2 and "--token" in said.err
    assert stc("serve", tmp_path, "--port", 0, "--token", "").code == 2
    assert stc("serve").code == 2


@pytest.mark.parametrize(
    ("host", "token", "warns"),
    [("0.0.0.0", "", True), ("0.0.0.0", "sesame", False), ("localhost", "", False)],
)
def test_an_open_door_is_warned_of(
    run: Run, stc: Stc, monkeypatch, host: str, token: str, warns: bool
):
    import uvicorn

    def at_once(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        assert sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        raise KeyboardInterrupt  # as uvicorn does when it was stopped

    monkeypatch.setattr(uvicorn.Server, "run", at_once)
    given = ["--token", token] if token else []
    said = stc("serve", run.folder, "--host", host, "--port", 0, *given)
    assert said.code == 0 and ("Warning: anyone" in said.err) == warns
    assert "Serving at http://" in said.err
