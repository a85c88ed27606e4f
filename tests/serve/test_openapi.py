"""/openapi.json describes the service: requests that are made from it show whether.

Schemathesis makes requests that fit the description, and ones that do not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)
from starlette.testclient import TestClient

from helpers.runs.serving import trained
from stc_core.serve.app import service

NAMES = ("stc", "classes", "replies")
ROUTES = {
    "GET /health",
    "GET /metrics",
    "GET /v1/models",
    "POST /v1/models/{name}/explain",
    "POST /v1/models/{name}/generate",
    "POST /v1/models/{name}/predict",
}
OF_THE_RUN = [positive_data_acceptance]
"""Which labels and levels there are depends on the run, so no description has them."""
TOO_LARGE = 413
"""A body of many texts that are too long is refused before it is read. Schemathesis
does not count this status among refusals."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder: Path = tmp_path_factory.mktemp("runs")
    return service([trained(folder, name) for name in NAMES], device="cpu")


@pytest.fixture(scope="module")
def schema(app: FastAPI) -> Iterator[schemathesis.BaseSchema]:
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


def operations_of(schema: schemathesis.BaseSchema) -> dict[str, Any]:
    """What the description says of each route, by its name."""
    found: list[Any] = [one.ok() for one in cast(Any, schema.get_all_operations())]
    return {one.label: one for one in found}


def test_every_route_is_described(schema: schemathesis.BaseSchema):
    assert set(operations_of(schema)) == ROUTES


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_answers_are_as_described(
    route: str, mode: GenerationMode, schema: schemathesis.BaseSchema
):
    operation = operations_of(schema)[route]
    if mode is GenerationMode.NEGATIVE and not operation.body:
        pytest.skip("It has nothing that could be wrong.")
    statuses = set[int]()

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        if "{name}" in operation.path:
            case.path_parameters["name"] = NAMES[len(repr(case.body)) % len(NAMES)]
        answer = case.call()
        statuses.add(answer.status_code)
        is_large = answer.status_code == TOO_LARGE
        case.validate_response(
            answer,
            excluded_checks=[*OF_THE_RUN, *([negative_data_rejection] * is_large)],
        )

    ask()
    wanted = {200} if mode is GenerationMode.POSITIVE else {422}
    assert wanted <= statuses, statuses
