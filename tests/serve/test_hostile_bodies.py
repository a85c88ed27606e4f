"""Any body at any route of the OpenAPI: an answer, or a refusal that says why."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from helpers.faults.entrances import by_http
from helpers.faults.generated_files import SMALL, Generated
from helpers.faults.hostile_files import HOSTILE
from helpers.runs.serving import trained
from stc_core.serve.app import service

REFUSALS = {400, 404, 405, 409, 413, 422}
ANY: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    run = trained(tmp_path_factory.mktemp("runs"), "stc")
    with TestClient(service([run], device="cpu")) as found:
        yield found


def routes_of(client: TestClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Every way and method of the OpenAPI, with the fields of its body."""
    described = client.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    found = []
    for way, methods in described["paths"].items():
        for method, about in methods.items():
            content = about.get("requestBody", {}).get("content", {})
            link = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            fields = schemas.get(link.rpartition("/")[2], {}).get("properties", {})
            found.append((way, method, fields))
    return found


def value_of(field: dict[str, Any]) -> SearchStrategy[Any]:
    """A value that the schema of a field allows, or nearly."""
    if "anyOf" in field:
        return st.one_of([value_of(one) for one in field["anyOf"]])
    kinds: dict[str, SearchStrategy[Any]] = {
        "string": st.text(max_size=30),
        "integer": st.integers(-2, 1 << 65),
        "number": st.floats() | st.integers(-2, 3),
        "boolean": st.booleans(),
        "null": st.none(),
        "array": st.lists(st.text(max_size=30), max_size=4),
    }
    return kinds[field["type"]]


def test_every_route_answers_or_says_why(client: TestClient):
    routes = routes_of(client)
    assert len(routes) == 6

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=(
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        way, method, fields = data.draw(st.sampled_from(routes))
        name = data.draw(st.sampled_from(["stc", "stc", "none", "..", "a%00b"]))
        body: dict[str, Any] = {
            key: data.draw(value_of(field) if data.draw(st.integers(0, 9)) else ANY)
            for key, field in fields.items()
            if data.draw(st.integers(0, 3))
        }
        sent = json.dumps(body).encode()
        answer = client.request(
            method,
            way.replace("{name}", name),
            content=sent if fields else None,
            headers={"content-type": "application/json"},
        )
        if answer.status_code != 200:
            assert answer.status_code in REFUSALS, (way, body, answer.text)
            assert answer.json()["error"]["what"], (way, body)

    ask()


@pytest.mark.parametrize("name", SMALL)
def test_a_file_that_is_no_body_is_refused(name: str, client: TestClient):
    file = Generated("body", HOSTILE[name](1), None)
    assert [one.fault for one in by_http(client, "stc", file) if one.fault] == []
