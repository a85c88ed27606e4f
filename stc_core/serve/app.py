"""Trained classifiers over HTTP: labels, explanations and replies as JSON.

Each model has a thread for labels and replies and one for explanations (`ModelThread`),
so the event loop stays free.
"""

import json
import math
import os
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as AnyHTTPException

from stc_core.backbone.runner import time_limit
from stc_core.classifiers.hierarchical import limit_levels
from stc_core.classifiers.labelling.given_texts import check_texts
from stc_core.classifiers.replying import ReplyingClassifier, WrittenPiece
from stc_core.classifiers.sampling import Decoding
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.serve.answers import answers, explanation_of, run_facts
from stc_core.serve.batching import Batches, ClientLeft, Gone, ModelThread
from stc_core.serve.bodies import (
    EVENT_STREAM,
    EVENTS,
    ExplainBody,
    GenerateBody,
    PredictBody,
    Predictions,
)
from stc_core.serve.middleware import RequestGuard
from stc_core.serve.refusals import (
    OF_A_MODEL,
    REFUSALS,
    Refusal,
    TooMany,
    error_response,
    facts_of,
    refused,
)
from stc_core.serve.telemetry import (
    ID_HEADER,
    REQUEST_ID,
    ServiceMetrics,
    Telemetry,
)

EXPLAIN_S = 20.0
"""The longest that the explanation of a text may take."""
MOST_EXPLANATIONS = 16
"""The most explanations of a run that wait; one more is answered with 429."""

_BUG = {
    "what": "a bug of STC Studio",
    "remedy": "Please report it with the lines that the service wrote to its log.",
}


class Served:
    """A run that is served: its facts, its classifier and the threads of its model.

    Explanations have a thread of their own, so that predictions go on beside them.
    """

    def __init__(
        self, run: Run, *, device: str = "auto", name: str | None = None
    ) -> None:
        """Open the classifier. `name` is that of the folder, unless it is given.

        A folder that is a link has the name of the link, which stays when it changes.
        """
        self.run, self.device = run, device
        self.name = name or Path(os.path.abspath(run.folder)).name  # noqa: PTH100
        self.classifier = run.classifier(device=device)
        self.facts = {"name": self.name, **run_facts(run, self.classifier)}
        self.thread, self.explaining = ModelThread(), ModelThread()
        self._waiting = 0
        self._batches: dict[int | None, Batches] = {}

    async def predict(
        self,
        texts: Sequence[str],
        *,
        levels: int | None,
        least: float | None = None,
        gone: Gone,
    ) -> list[dict[str, Any]]:
        """The predictions for texts, for the first `levels` levels.

        `least` is that of `coarse_below`; requests with one are not batched together.
        """
        listed = check_texts(texts)
        if least is not None:
            work = partial(answers, limit_levels(self.classifier, levels, least))
            return await Batches(self.thread, work).answers(listed, gone)
        if levels not in self._batches:
            work = partial(answers, limit_levels(self.classifier, levels))
            self._batches[levels] = Batches(self.thread, work)
        return await self._batches[levels].answers(listed, gone)

    async def explain(self, body: "ExplainBody", gone: Gone) -> dict[str, Any]:
        """The explanation of a text; StcError if it takes longer than EXPLAIN_S."""
        if self._waiting >= MOST_EXPLANATIONS:
            raise TooMany(
                f"explanations by {self.name!r}",
                math.ceil(EXPLAIN_S / 4),
                expected=f"fewer than {MOST_EXPLANATIONS} at a time",
            )
        settings = {"label": body.label, "gradients": body.gradients}
        self._waiting += 1
        try:
            return await self.explaining.ask(
                gone, partial(_explain, self.classifier, body.text, **settings)
            )
        finally:
            self._waiting -= 1

    def check(self, ability: str) -> None:
        """Raise a Refusal unless the run has this ability."""
        known = self.classifier.abilities
        if ability not in known:
            raise Refusal(
                409,
                f"{ability} with {self.name!r}",
                expected=_NEEDS[ability],
                got=f"a run that can {' and '.join(known)}",
                remedy="GET /v1/models lists what each run can do.",
            )


def _explain(classifier: Any, text: str, **settings: Any) -> dict[str, Any]:
    """The explanation of a text, within EXPLAIN_S seconds."""
    with time_limit(EXPLAIN_S):
        return explanation_of(classifier, text, **settings)


_NEEDS = {
    "explain": "a run whose labels are read by a head, not spelled",
    "generate": "a run that learned to reply (--recipe hierarchy --reply COLUMN)",
}


bearer = HTTPBearer(auto_error=False)
"""Describes the token in /openapi.json; `RequestGuard` checks it."""


def service(
    runs: Iterable[Run],
    *,
    device: str = "auto",
    token: str | None = None,
    hosts: Collection[str] | None = None,
    per_minute: int | None = None,
) -> FastAPI:
    """The application that serves these runs, each under the name of its folder.

    With a `token` every request below /v1 and for /metrics needs it, or one of several,
    separated by spaces. With `hosts` a request must be to one of these host names.
    `per_minute` is the most requests that each token may send; without tokens, each
    address. Raises StcError for a run that cannot be opened, and for two runs with the
    same name. The documentation page of FastAPI would load scripts from other sites, so
    only /openapi.json is served.
    """
    models: dict[str, Served] = {}
    for run in runs:
        model = Served(run, device=device)
        if model.name in models:
            raise StcError(
                f"run {str(run.folder)!r}",
                expected="a name that no other served run has",
                got=repr(model.name),
                remedy="Rename the folder, or serve the run on another port.",
            )
        models[model.name] = model
    app = FastAPI(title="STC Studio", docs_url=None, redoc_url=None)
    app.state.models, app.state.reloading = models, Lock()
    app.state.metrics = ServiceMetrics()
    app.add_middleware(RequestGuard, token=token, hosts=hosts, per_minute=per_minute)
    app.add_middleware(Telemetry, metrics=app.state.metrics)
    app.add_exception_handler(StcError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientLeft, _left)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    app.add_api_route("/health", health)
    app.add_api_route("/metrics", metrics_page, response_class=PlainTextResponse)
    app.include_router(routes, dependencies=[Depends(bearer)] if token else [])
    return app


def served_model(request: Request, name: str) -> Served:
    """The model with this name; a Refusal lists the known names if there is none."""
    models: dict[str, Served] = request.app.state.models
    if name not in models:
        names = ", ".join(models)
        raise Refusal(404, f"model {name!r}", expected=f"one of {names}")
    return models[name]


routes = APIRouter(prefix="/v1", responses=REFUSALS)
Model = Annotated[Served, Depends(served_model)]


async def health() -> dict[str, str]:
    """The health of the service: its answer shows that it runs."""
    return {"status": "ok"}


async def metrics_page(request: Request) -> PlainTextResponse:
    """The counters of the service, as Prometheus reads them."""
    text = generate_latest(request.app.state.metrics.registry).decode()
    return PlainTextResponse(text, media_type=CONTENT_TYPE_LATEST)


def reload(
    app: FastAPI, opens: Sequence[Callable[[], Run]] | None = None
) -> Iterator[str]:
    """Open every served run again; give a line for each when that is done.

    `opens` open the runs, in the order of `service`; without it they are read from
    their folders. Each keeps its name. Requests that are under way end with the
    classifier that they began with. A run that cannot be opened keeps its classifier,
    and its line says why. A second call waits for the first.
    """
    with app.state.reloading:
        for place, (name, old) in enumerate(list(app.state.models.items())):
            again = partial(Run.open, old.run.folder) if opens is None else opens[place]
            try:
                new = Served(again(), device=old.device, name=name)
            except Exception as error:  # noqa: BLE001 - the other runs are opened still
                yield f"{name} is not opened again: {error}"
            else:
                app.state.models[name] = new
                yield f"{name} is opened again."


@routes.get("/models")
async def models(request: Request) -> JSONResponse:
    """The served runs: recipe, backbone, layers, score, classes, levels."""
    facts = [model.facts for model in request.app.state.models.values()]
    return JSONResponse({"models": facts})


@routes.post("/models/{name}/predict", responses=OF_A_MODEL, response_model=Predictions)
async def predict(model: Model, body: PredictBody, request: Request) -> JSONResponse:
    """The label, its probability and all probabilities of each text, in order."""
    gone = request.is_disconnected
    predictions = await model.predict(
        body.texts, levels=body.levels, least=body.least_probability, gone=gone
    )
    request.app.state.metrics.texts.labels(model.name).inc(len(predictions))
    return JSONResponse({"model": model.name, "predictions": predictions})


@routes.post("/models/{name}/explain", responses=OF_A_MODEL)
async def explain(model: Model, body: ExplainBody, request: Request) -> JSONResponse:
    """The explanation of a text, as `stc explain --json` prints it."""
    model.check("explain")
    return JSONResponse(await model.explain(body, request.is_disconnected))


@routes.post(
    "/models/{name}/generate",
    responses={**OF_A_MODEL, 200: EVENTS},
    response_class=Response,
)
async def generate(
    model: Model, body: GenerateBody, request: Request
) -> StreamingResponse:
    """The labels of a text, then its reply piece by piece, as server-sent events.

    The event `labels` has the label of each level, each `piece` its part and text, and
    `end` comes last. `error` comes instead of `end` if the reply cannot be written.
    """
    model.check("generate")
    classifier = model.classifier
    assert isinstance(classifier, ReplyingClassifier), classifier
    decoding = Decoding(body.temperature, body.top_p, body.seed, body.length)
    gone = request.is_disconnected
    answer, pieces = await model.thread.ask(gone, classifier.tell, body.text, decoding)
    steps = await model.thread.call(classifier.steps, body.text, answer)
    events = _events(model.thread, steps, pieces)
    return StreamingResponse(events, media_type=EVENT_STREAM)


async def _events(
    thread: ModelThread, steps: list[dict[str, Any]], pieces: Iterator[WrittenPiece]
) -> AsyncIterator[str]:
    """The events of a reply; between two pieces the thread can answer others."""
    yield _event("labels", {"levels": steps})
    try:
        while (piece := await thread.call(next, pieces, None)) is not None:
            yield _event("piece", piece._asdict())
    except StcError as error:
        yield _event("error", facts_of(error))
        return
    except Exception:  # raised again for the log; the client already has status 200
        yield _event("error", _BUG)
        raise
    yield _event("end", {})


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StcError), error
    return refused(error)


async def _left(request: Request, error: Exception) -> JSONResponse:
    """The answer to a client that has left; nobody reads it."""
    facts = {"expected": "a client that waits", "got": "a client that has left"}
    return error_response(499, "client", **facts)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The answer to an invalid body: the first error, with its place in the body."""
    assert isinstance(error, RequestValidationError), error
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    what = place if first["type"] != "json_invalid" else "body"
    got = None if first["type"] in ("json_invalid", "missing") else first["input"]
    return error_response(422, what or "body", expected=first["msg"], got=_short(got))


def _short(value: Any) -> str | None:
    """The value in a few characters, or its size if it is long."""
    if isinstance(value, list):
        return f"{len(value):,} items"
    if isinstance(value, str) and len(value) > 60:
        return f"{len(value):,} characters"
    return None if value is None else ascii(value)[:60]


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException), error
    if error.status_code == 400:  # FastAPI's word for a body that it cannot decode
        return error_response(400, "body", expected="JSON in UTF-8", got="other bytes")
    answer = error_response(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _bug(request: Request, error: Exception) -> JSONResponse:
    """The answer to the client after a bug; the error itself goes to the server log."""
    answer = error_response(500, **_BUG)
    # It is sent outside of `Telemetry`, which would set the header.
    answer.headers[ID_HEADER] = request.scope.get(REQUEST_ID, "")
    return answer
