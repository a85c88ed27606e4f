"""The service: its answers are those of the commands, and every refusal says why."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from helpers.command import Stc
from helpers.models.tiny import TEXTS
from helpers.runs.serving import RECIPES, trained
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.sampling import Decoding
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.runs.run_summary import backbone_name
from stc_core.serve import app as serve
from stc_core.serve import middleware
from stc_core.serve.app import service
from stc_core.serve.bodies import MOST_TEXTS

ASK = [*TEXTS[:6], "good price very slow", "awful broken film"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(folder, name) for name in RECIPES}


@pytest.fixture(scope="module")
def client(runs: dict[str, Run]) -> Iterator[TestClient]:
    with TestClient(service(runs.values(), device="cpu")) as found:
        yield found


def post(client: TestClient, name: str, what: str, **body: Any) -> Any:
    answer = client.post(f"/v1/models/{name}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(client: TestClient, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every event of a reply: its name and its data."""
    answer = client.post("/v1/models/replies/generate", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [event.split("\n") for event in answer.text.strip().split("\n\n")]
    return [(name[7:], json.loads(data[6:])) for name, data in lines]


@pytest.mark.parametrize("name", RECIPES)
def test_labels_are_those_of_the_command(
    name: str, client: TestClient, runs: dict[str, Run], tmp_path: Path, stc: Stc
):
    source, out = tmp_path / "in.csv", tmp_path / "out.parquet"  # all decimals
    pd.DataFrame({"text": ASK}).to_csv(source, index=False)
    said = stc("predict", runs[name].folder, source, "--out", out)
    assert said.code == 0, said.err
    frame = pd.read_parquet(out)
    found = post(client, name, "predict", texts=ASK)["predictions"]
    assert [one["label"] for one in found] == frame["predicted_label"].tolist()
    for row, one in enumerate(found):
        chances = {key[2:]: frame[key][row] for key in frame if key.startswith("p:")}
        assert one["probabilities"] == pytest.approx(chances, abs=1e-5)
        assert one["probability"] == one["probabilities"][one["label"]]
        for step in one.get("levels", []):
            column = step["column"]
            assert str(step["label"]) == str(frame[f"predicted_{column}"][row])
            chance = frame[f"probability_{column}"][row]
            assert step["probability"] == pytest.approx(chance, abs=1e-5)
            assert 0 < step["flops_share"] <= 1 and step["layer"] in (1, 2, 3)
    depth = 2 if name in ("classes", "words") else 1 if name == "replies" else 0
    assert {len(one.get("levels", [])) for one in found} == {depth}


@pytest.mark.parametrize("name", ["stc", "spin", "variability", "attention", "classes"])
def test_explanations_are_those_of_the_command(
    name: str, client: TestClient, runs: dict[str, Run], stc: Stc
):
    text = ASK[-1]
    found = post(client, name, "explain", text=text)
    by_command = json.loads(
        stc("explain", runs[name].folder, "--text", text, "--json").out
    )
    assert found == by_command
    label = list(found["logits"])[-1]
    more = post(client, name, "explain", text=text, label=label, gradients=True)
    assert more["label"] == found["label"] and more["gradients"]["label"] == label
    parts = [row["contribution"] for row in more["neurons"]]
    assert parts == [{label: r["contribution"][label]} for r in found["neurons"]]
    words = [row["contribution"] for row in more.get("words", ())]
    total = more["bias"][label] + sum(part[label] for part in (*parts, *words))
    assert total == pytest.approx(more["logits"][label], abs=1e-3)


def test_every_run_says_what_it_is(client: TestClient, runs: dict[str, Run]):
    found = {one["name"]: one for one in client.get("/v1/models").json()["models"]}
    assert list(found) == list(RECIPES)
    can = {name: one["can"] for name, one in found.items()}
    assert can["stc"] == can["classes"] == ["predict", "explain"]
    assert can["words"] == ["predict"] and can["replies"] == ["predict", "generate"]
    one, metrics = found["classes"], runs["classes"].metrics
    assert one["test"]["accuracy"] == metrics["test"]["accuracy"]
    assert one["test"]["n"] == metrics["test"]["n"] > 0
    low, high = one["test"]["accuracy_interval"]
    assert low <= one["test"]["accuracy"] <= high
    assert one.keys() >= {"title", "neurons", "can", "levels", "classes"}
    name = runs["classes"].config.train.backbone
    assert one["backbone"] == backbone_name(name)
    assert one["layers"] == {"read": metrics["layers"]["used"], "of": 3}
    assert (one["recipe"], found["spin"]["way"]) == ("hierarchy", "spin")
    assert one["levels"][0]["classes"] == ["kind", "rude"]
    assert one["classes"] == one["levels"][1]["classes"] and len(one["classes"]) == 4
    assert client.get("/health").json() == {"status": "ok"}
    paths = client.get("/openapi.json").json()["paths"]
    assert "/v1/models/{name}/generate" in paths


def test_a_coarse_answer_alone_reads_fewer_layers(client: TestClient):
    whole = post(client, "classes", "predict", texts=ASK)["predictions"]
    coarse = post(client, "classes", "predict", texts=ASK, levels=1)["predictions"]
    for one, all_ in zip(coarse, whole, strict=True):
        (step,), steps = one["levels"], all_["levels"]
        assert one["label"] == step["label"]
        assert step["layer"] < steps[0]["layer"] == steps[1]["layer"]
        assert step["flops"] < steps[0]["flops"]


def test_an_unsure_label_is_coarser(client: TestClient):
    said = post(client, "classes", "predict", texts=ASK, least_probability=1)
    whole = post(client, "classes", "predict", texts=ASK)["predictions"]
    for one, all_ in zip(said["predictions"], whole, strict=True):
        (step,) = one["levels"]
        assert one["label"] == step["label"] in ("kind", "rude")
        assert one["probabilities"] == all_["probabilities"]


def test_fewer_spelled_levels_are_the_beginning_of_all(client: TestClient):
    name = "words"
    whole = post(client, name, "predict", texts=ASK)["predictions"]
    coarse = post(client, name, "predict", texts=ASK, levels=1)["predictions"]
    for one, all_ in zip(coarse, whole, strict=True):
        (step,), first = one["levels"], all_["levels"][0]
        assert one["label"] == step["label"] == first["label"]
        assert step["probability"] == pytest.approx(first["probability"], abs=1e-5)


def test_more_texts_than_a_batch_keep_their_order(client: TestClient):
    texts = [ASK[n * n % len(ASK)] for n in range(150)]
    few = {one: post(client, "stc", "predict", texts=[one]) for one in ASK}
    found = post(client, "stc", "predict", texts=texts)["predictions"]
    for text, one in zip(texts, found, strict=True):
        (alone,) = few[text]["predictions"]
        assert one["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)


def test_who_asks_at_once_is_answered_as_if_alone(client: TestClient):
    jobs = [
        (("stc", "attention", "classes", "words")[n % 4], ASK[n % 8]) for n in range(48)
    ]

    def ask(job: tuple[str, str]) -> list[float]:
        (one,) = post(client, job[0], "predict", texts=[job[1]])["predictions"]
        return list(one["probabilities"].values())

    alone = [ask(job) for job in jobs]
    with ThreadPoolExecutor(12) as many:
        at_once = list(many.map(ask, jobs))
    for a, b in zip(alone, at_once, strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_a_reply_comes_in_pieces(client: TestClient, runs: dict[str, Run]):
    replying: Any = runs["replies"].classifier(device="cpu")
    assert isinstance(replying, ReplyingClassifier)
    for text in ASK[:3]:
        written = replying.write([text])
        events = told(client, text=text)
        assert events[0][0] == "labels" and events[-1] == ("end", {})
        assert events[0][1]["levels"] == replying.steps(text, written.way)
        for part in replying.parts_:
            said = "".join(e["text"] for _, e in events[1:-1] if e["part"] == part)
            assert said.rstrip() == written.parts[part][0]


def test_replies_at_once_are_those_alone(client: TestClient, runs: dict[str, Run]):
    """Each piece takes its own turn, among those of other replies and labels."""
    wish = {"temperature": 1.5, "top_p": 0.9}
    alone = [told(client, text=ASK[n], seed=n, **wish) for n in range(4)]

    def ask(n: int) -> Any:
        if n < 4:
            return told(client, text=ASK[n], seed=n, **wish)
        return post(client, "replies", "predict", texts=ASK)

    with ThreadPoolExecutor(8) as many:
        at_once = list(many.map(ask, range(8)))
    assert at_once[:4] == alone
    replying: Any = runs["replies"].classifier(device="cpu")
    by_hand = replying.write([ASK[1]], Decoding(1.5, 0.9, 1)).parts["reply"][0]
    said = "".join(e["text"] for _, e in alone[1] if e.get("part") == "reply")
    assert said.rstrip() == by_hand
    short = told(client, text=ASK[1], length=1)
    assert len([e for _, e in short if e.get("part") == "reply"]) <= 1


MOST = MOST_TEXTS
WRONG: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("stc/predict", {"texts": []}, 422, "texts", "at least 1 item"),
    ("stc/predict", {}, 422, "texts", "required"),
    ("stc/predict", {"texts": "good"}, 422, "texts", "valid list"),
    ("stc/predict", {"texts": ["good", 3]}, 422, "texts.1", "valid string"),
    ("stc/predict", {"texts": ["good", " "]}, 422, "text 1", "not blank"),
    ("stc/predict", {"texts": ["a"] * (MOST + 1)}, 422, "texts", f"most {MOST} items"),
    ("stc/predict", {"texts": ["a" * 100_001]}, 422, "texts.0", "at most 100000"),
    ("stc/predict", {"texts": ["a"], "level": 1}, 422, "level", "not permitted"),
    ("stc/predict", {"texts": ["a"], "levels": 1}, 422, "levels", "hierarchy"),
    ("classes/predict", {"texts": ["a"], "levels": 3}, 422, "levels", "1 to 2"),
    ("stc/explain", {"text": ""}, 422, "text 0", "not blank"),
    ("stc/explain", {"text": "a", "label": "tepid"}, 422, "label", "kind, rude"),
    ("none/predict", {"texts": ["a"]}, 404, "model 'none'", "one of stc, spin"),
    ("words/explain", {"text": "a"}, 409, "explain with 'words'", "not spelled"),
    ("stc/generate", {"text": "a"}, 409, "generate with 'stc'", "--reply COLUMN"),
    ("replies/generate", {"text": "a", "top_p": 2}, 422, "top_p", "or equal to 1"),
    ("replies/generate", {"text": "a", "seed": True}, 422, "seed", "a number"),
    ("replies/generate", {"text": "a", "top_p": "1"}, 422, "top_p", "a number"),
    ("stc/explain", {"text": "a", "gradients": 1}, 422, "gradients", "boolean"),
    ("replies/generate", {"text": "a", "length": 0}, 422, "length", "or equal to 1"),
    ("replies/generate", {"text": "a", "seed": -1}, 422, "seed", "or equal to 0"),
    ("replies/generate", {"text": " "}, 422, "text 0", "not blank"),
]


@pytest.mark.parametrize(("place", "body", "status", "what", "expected"), WRONG)
def test_what_is_wrong_is_said(
    client: TestClient,
    place: str,
    body: dict[str, Any],
    status: int,
    what: str,
    expected: str,
):
    answer = client.post(f"/v1/models/{place}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["what"]) == (status, what)
    assert expected in error["expected"] and len(answer.text) < 600
    assert set(error) == {"what", "expected", "got", "remedy"}


def test_what_is_no_json_is_refused(client: TestClient):
    place, kind = "/v1/models/stc/predict", {"content-type": "application/json"}
    for body in (b'{"texts": [', b"\xff", b"", b'{"texts": ["\\ud800"]}', b"[" * 9999):
        answer = client.post(place, content=body, headers=kind)
        assert 400 <= answer.status_code < 500, (body[:20], answer.text)
        assert answer.json()["error"]["what"]
    assert client.post(place, content=b"{}").status_code == 422
    assert client.get(place).status_code == 405
    error = client.get("/nowhere").json()["error"]
    assert error["what"] == "Not Found"


def test_a_body_without_end_is_cut_off(client: TestClient, monkeypatch):
    monkeypatch.setattr(middleware, "_MOST_BYTES", 1000)
    place, kind = "/v1/models/stc/predict", {"content-type": "application/json"}
    whole = json.dumps({"texts": ["good " * 300]}).encode()
    for body in (whole, iter([whole[:400], whole[400:]])):
        answer = client.post(place, content=body, headers=kind)
        assert answer.status_code == 413 and "1,000 bytes" in answer.text
    assert post(client, "stc", "predict", texts=["good"])


def test_a_token_is_asked_for(runs: dict[str, Run]):
    client = TestClient(service([runs["stc"]], device="cpu", token="Sesame-1"))
    assert client.get("/health").status_code == 200
    for header in ({}, {"Authorization": "Bearer sesame-1"}, {"Authorization": "x"}):
        for answer in (
            client.get("/v1/models", headers=header),
            client.post("/v1/models/no/predict", json={"texts": 1}, headers=header),
        ):
            assert answer.status_code == 401 and "stc" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
    right = {"Authorization": "Bearer Sesame-1"}
    assert client.get("/v1/models", headers=right).json()["models"]


def test_the_token_comes_before_the_body(runs: dict[str, Run]):
    client = TestClient(service([runs["stc"]], device="cpu", token="Sesame-1"))
    place, kind = "/v1/models/stc/predict", {"content-type": "application/json"}
    assert client.post(place, content=b"no json", headers=kind).status_code == 401
    assert client.get("/openapi.json").status_code == 200


def test_a_name_that_leads_here_from_elsewhere_is_refused(runs: dict[str, Run]):
    app = service([runs["stc"]], device="cpu", hosts=("127.0.0.1", "[::1]"))
    client = TestClient(app)
    for host in ("127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example:80", "", "[::1].evil:80"):
        answer = client.get("/v1/models", headers={"host": host})
        assert answer.status_code == 421 and "stc" not in answer.text
        assert "127.0.0.1" in answer.json()["error"]["expected"]


def test_one_request_too_many_is_told_to_come_again(client: TestClient, monkeypatch):
    monkeypatch.setattr(middleware, "MOST_REQUESTS", 0)
    answer = client.get("/v1/models")
    assert answer.status_code == 429
    seconds = int(answer.headers["retry-after"])
    assert seconds >= 1 and f"in {seconds} s" in answer.json()["error"]["remedy"]
    assert client.get("/health").status_code == 200
    monkeypatch.setattr(middleware, "MOST_REQUESTS", 1)
    for _ in range(3):  # each is counted off again
        assert client.get("/v1/models").status_code == 200
        assert client.post("/v1/models/stc/predict", json={}).status_code == 422


def test_a_reply_that_breaks_off_says_so(
    client: TestClient, runs: dict[str, Run], monkeypatch
):
    def broken(*given: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr("stc_core.classifiers.sampling.Chooser.choose", broken)
    quiet = TestClient(client.app, raise_server_exceptions=False)
    answer = quiet.post("/v1/models/replies/generate", json={"text": ASK[0]})
    assert answer.status_code == 200
    assert "event: error" in answer.text and "bug of STC Studio" in answer.text
    assert "event: end" not in answer.text and "KeyError" not in answer.text


def test_a_bug_is_500_and_not_hidden(runs: dict[str, Run], monkeypatch):
    def broken(*given: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(serve, "answers", broken)
    app = service([runs["stc"]], device="cpu")
    ask: dict[str, Any] = {"json": {"texts": ["good"]}}
    with pytest.raises(KeyError):
        TestClient(app).post("/v1/models/stc/predict", **ask)
    quiet = TestClient(app, raise_server_exceptions=False)
    answer = quiet.post("/v1/models/stc/predict", **ask)
    assert answer.status_code == 500 and "bug" in answer.json()["error"]["what"]
    assert "KeyError" not in answer.text


def test_two_runs_of_one_name_are_refused(runs: dict[str, Run]):
    with pytest.raises(StcError, match="no other served run has"):
        service([runs["stc"], Run(runs["stc"].folder)], device="cpu")
