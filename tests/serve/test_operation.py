"""What an operator needs: limits, request ids, counters, a log, and new runs."""

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from helpers.runs.serving import serving, trained
from stc_core.backbone.runner import check_time, time_limit
from stc_core.errors import StcError
from stc_core.export.bundle import write_bundle
from stc_core.runs.run import Run
from stc_core.serve import app as serve
from stc_core.serve.app import reload, service
from stc_core.serve.limits import RateLimit
from stc_core.serve.telemetry import JsonLines

TEXT = "good price very slow"
PREDICT, EXPLAIN = "/v1/models/stc/predict", "/v1/models/stc/explain"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs"), "stc")


@pytest.fixture
def client(run: Run) -> TestClient:
    return TestClient(service([run], device="cpu"))


def test_a_client_has_so_many_requests_a_minute():
    now = 0.0
    limit = RateLimit(3, clock=lambda: now)
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 20]
    assert limit.wait("b") == 0  # another client has its own
    now = 19.0
    assert limit.wait("a") == 1
    now = 20.0
    assert [limit.wait("a"), limit.wait("a")] == [0, 20]
    now = 1000.0  # no more than a minute's worth is saved up
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 20]


def test_each_token_has_its_own_limit(run: Run):
    app = service([run], device="cpu", token="one two", per_minute=2)
    client = TestClient(app)

    def ask(token: str) -> int:
        header = {"authorization": f"Bearer {token}"}
        return client.get("/v1/models", headers=header).status_code

    assert [ask("one"), ask("one"), ask("one")] == [200, 200, 429]
    assert ask("two") == 200
    assert ask("three") == 401
    refused = client.get("/v1/models", headers={"authorization": "Bearer one"})
    assert int(refused.headers["retry-after"]) in (29, 30)
    assert "2 a minute" in refused.json()["error"]["expected"]
    assert client.get("/health").status_code == 200


def test_a_request_keeps_its_id_or_gets_one(client: TestClient):
    answer = client.get("/health", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    for odd in ("", "a b", "x" * 65, 'a"b'):
        found = client.get("/health", headers={"x-request-id": odd})
        assert found.headers["x-request-id"] not in ("", odd)
    one, other = (client.get("/v1/none").headers["x-request-id"] for _ in range(2))
    assert one != other  # refusals, too


def test_requests_and_texts_are_counted(client: TestClient):
    assert client.post(PREDICT, json={"texts": [TEXT] * 5}).status_code == 200
    client.get("/v1/anything/else")
    text = client.get("/metrics").text
    route = "/v1/models/{name}/predict"
    assert f'stc_requests_total{{model="stc",route="{route}",status="200"}} 1.0' in text
    assert 'stc_requests_total{model="",route="other",status="404"} 1.0' in text
    assert 'stc_texts_total{model="stc"} 5.0' in text
    assert f'stc_request_seconds_count{{route="{route}"}} 1.0' in text
    assert "stc_requests_under_way 1.0" in text  # this one


def test_counters_need_the_token(run: Run):
    client = TestClient(service([run], device="cpu", token="Sesame-1"))
    assert client.get("/metrics").status_code == 401
    right = {"authorization": "Bearer Sesame-1"}
    assert "stc_requests" in client.get("/metrics", headers=right).text


def test_a_log_line_is_json_with_its_traceback():
    try:
        raise KeyError("Zürich")
    except KeyError:
        record = logging.LogRecord("x", 40, "", 1, "a %s", ("b",), sys.exc_info())
    record.facts = {"id": "7"}
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "a b" and line["id"] == "7" and line["level"] == "error"
    assert "Zürich" in line["traceback"] and line["time"].endswith("+00:00")


def test_an_explanation_ends_at_its_time_limit(client: TestClient, monkeypatch):
    monkeypatch.setattr(serve, "EXPLAIN_S", -1.0)
    answer = client.post(EXPLAIN, json={"text": TEXT})
    assert answer.status_code == 422
    assert "Shorten the text" in answer.json()["error"]["remedy"]
    monkeypatch.setattr(serve, "EXPLAIN_S", 60.0)
    assert client.post(EXPLAIN, json={"text": TEXT}).status_code == 200
    with time_limit(60.0):
        check_time()
    with pytest.raises(StcError, match="time limit"), time_limit(-1.0):
        check_time()
    check_time()


def test_predictions_go_on_beside_an_explanation(client: TestClient, monkeypatch):
    began, go = threading.Event(), threading.Event()

    def slow(*given: Any, **more: Any) -> dict:
        began.set()
        assert go.wait(30)
        return {"label": "x"}

    monkeypatch.setattr(serve, "explanation_of", slow)
    monkeypatch.setattr(serve, "MOST_EXPLANATIONS", 1)
    with client, ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.post, EXPLAIN, json={"text": TEXT})
        assert began.wait(30)
        assert client.post(PREDICT, json={"texts": [TEXT]}).status_code == 200
        full = client.post(EXPLAIN, json={"text": TEXT})
        assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1
        assert not waiting.done()
        go.set()
        assert waiting.result(30).status_code == 200


def test_a_run_is_opened_again(run: Run, monkeypatch):
    app = service([run], device="cpu")
    client = TestClient(app)
    old = app.state.models["stc"]
    assert list(reload(app)) == ["stc is opened again."]
    assert app.state.models["stc"] is not old
    assert client.post(PREDICT, json={"texts": [TEXT]}).status_code == 200

    def broken(folder: Path) -> Run:
        raise StcError("run", expected="a finished run")

    monkeypatch.setattr(Run, "open", broken)
    (said,) = reload(app)
    assert said == "stc is not opened again: run: expected a finished run."
    assert client.post(PREDICT, json={"texts": [TEXT]}).status_code == 200


def test_a_link_keeps_its_name_when_it_leads_elsewhere(run: Run, tmp_path: Path):
    other = tmp_path / "v2"
    shutil.copytree(run.folder, other)
    link = tmp_path / "current"
    link.symlink_to(run.folder)
    app = service([Run.open(link)], device="cpu")
    client = TestClient(app)
    link.unlink()
    link.symlink_to(other)
    assert list(reload(app)) == ["current is opened again."]
    (facts,) = client.get("/v1/models").json()["models"]
    assert facts["name"] == "current"
    answer = client.post("/v1/models/current/predict", json={"texts": [TEXT]})
    assert answer.json()["model"] == "current"


def test_what_is_served_is_what_the_name_leads_to_now(run: Run, tmp_path: Path):
    """A bundle that was replaced has another folder than the one that is served."""
    bundle = tmp_path / "run.zip"
    write_bundle(run, bundle)
    app = service([Run.open(bundle)], device="cpu")
    (name,) = app.state.models
    before = app.state.models[name].run.folder
    write_bundle(run, bundle, texts=True)
    list(reload(app, [lambda: Run.open(bundle)]))
    assert app.state.models[name].run.folder != before


def test_a_fault_of_one_run_does_not_keep_the_others(run: Run, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    app = service([run, Run.open(other)], device="cpu")
    old = dict(app.state.models)

    def broken() -> Run:
        raise RuntimeError("odd")

    first, second = reload(app, [broken, lambda: Run.open(other)])
    assert first == "stc is not opened again: odd"
    assert second == "other is opened again."
    assert app.state.models["stc"] is old["stc"]
    assert app.state.models["other"] is not old["other"]


def test_a_bug_has_the_id_too(client: TestClient, caplog, monkeypatch):
    def broken(*given: Any, **more: Any) -> None:
        raise KeyError("odd")

    monkeypatch.setattr(serve, "explanation_of", broken)
    quiet = TestClient(client.app, raise_server_exceptions=False)
    header = {"x-request-id": "mine-2"}
    with caplog.at_level(logging.INFO, "stc.requests"):
        answer = quiet.post(EXPLAIN, json={"text": TEXT}, headers=header)
    assert answer.status_code == 500 and answer.headers["x-request-id"] == "mine-2"
    (record,) = caplog.records
    line = json.loads(JsonLines().format(record))
    assert line["id"] == "mine-2" and line["level"] == "error"
    assert "KeyError" in line["traceback"]


def test_the_command_logs_as_json_and_opens_runs_again_at_hup(run: Run):
    with serving(run.folder, "--json-log", "--per-minute", 9) as (address, process):
        assert httpx.get(f"{address}/health").status_code == 200
        sent = httpx.post(f"{address}{PREDICT}", json={"texts": [TEXT]})
        assert sent.status_code == 200
        os.kill(process.pid, signal.SIGHUP)
        assert process.stderr is not None
        lines = []
        while "opened again" not in (line := process.stderr.readline()):
            lines.append(line)
            assert line and len(lines) < 50
        assert line == "stc is opened again.\n"
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        (mine,) = [line for line in logged if line["status"] == 200 and line["model"]]
        assert mine["id"] == sent.headers["x-request-id"] and mine["ms"] > 0
        assert TEXT not in "".join(lines)
        until = time.monotonic() + 30
        for number in count():  # another address in a header is no other client
            header = {"x-forwarded-for": f"10.0.0.{number}"}
            asked = httpx.get(f"{address}/v1/models", headers=header)
            if asked.status_code == 429:
                break
            assert time.monotonic() < until and number < 20
