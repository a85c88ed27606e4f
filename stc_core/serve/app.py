"""Trained classifiers over HTTP: labels, explanations and replies as JSON.

A model is talked to by one thread of its own (`desk`), and the event loop stays free.
"""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as AnyHTTPException

from stc_core.classifiers.base import check_texts
from stc_core.classifiers.hierarchical import shallow
from stc_core.classifiers.replying import ReplyingClassifier, WrittenPiece
from stc_core.classifiers.sampling import Decoding
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.serve.answers import abilities, answers, explanation_of, run_facts
from stc_core.serve.batching import Batches, Gone, Left, ModelThread
from stc_core.serve.middleware import (
    Refusal,
    RequestGuard,
    error_response,
    facts_of,
    refused,
)

MOST_TEXTS = 1024
MOST_CHARACTERS = 100_000
MOST_TOKENS = 4096

_BUG = {
    "what": "a bug of STC Studio",
    "remedy": "Please report it with the lines that the service wrote to its log.",
}

_Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictBody(_Body):
    """Texts to label; of a hierarchy the first `levels` levels only, all if none."""

    texts: Annotated[list[_Text], Field(min_length=1, max_length=MOST_TEXTS)]
    levels: int | None = None


class ExplainBody(_Body):
    """A text to explain; with `label` the parts of the sum for that label alone.

    `gradients` follows each word through the whole model, which takes seconds.
    """

    text: _Text
    label: str | None = None
    gradients: bool = False


class GenerateBody(_Body):
    """A text to reply to; the rest as `stc generate` has it."""

    text: _Text
    temperature: float = Field(0.0, allow_inf_nan=False)
    top_p: float = 1.0
    seed: int = Field(0, ge=0, lt=1 << 63)
    length: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None


class Served:
    """A run that is served: what it is, its classifier, and its desk."""

    def __init__(self, run: Run, *, device: str = "auto") -> None:
        self.name = run.folder.resolve().name
        self.classifier = run.classifier(device=device)
        self.facts = {"name": self.name, **run_facts(run, self.classifier)}
        self.desk = ModelThread()
        self._batches: dict[int | None, Batches] = {}

    async def predict(
        self, texts: Sequence[str], *, levels: int | None, gone: Gone
    ) -> list[dict[str, Any]]:
        """The answers to texts, through the first `levels` levels."""
        given = check_texts(texts)
        if levels not in self._batches:
            work = partial(answers, shallow(self.classifier, levels))
            self._batches[levels] = Batches(self.desk, work)
        return await self._batches[levels].answers(given, gone)

    def check(self, ability: str) -> None:
        """Raise a Refusal unless it can do that."""
        able = abilities(self.classifier)
        if ability not in able:
            raise Refusal(
                409,
                f"{ability} with {self.name!r}",
                expected=_NEEDS[ability],
                got=f"one that can {' and '.join(able)}",
                remedy="GET /v1/models says what each run can do.",
            )


_NEEDS = {
    "explain": "a run whose labels are read by a head, not spelled",
    "generate": "a run that learned to reply (--recipe hierarchy --reply COLUMN)",
}


bearer = HTTPBearer(auto_error=False)
"""Says in /openapi.json what the gate asks for."""


def service(
    runs: Iterable[Run],
    *,
    device: str = "auto",
    token: str | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """The application that answers for these runs, each called by its folder's name.

    With a `token` everything below /v1 asks for it, with `hosts` a request must be to
    one of these names. Raises StcError for a run that
    cannot be opened, and for two of one name. The page of documentation that FastAPI
    can make fetches scripts from elsewhere, so there is none: /openapi.json is there.
    """
    models: dict[str, Served] = {}
    for run in runs:
        model = Served(run, device=device)
        if model.name in models:
            raise StcError(
                f"run {str(run.folder)!r}",
                expected="another name than that of a run before it",
                got=repr(model.name),
                remedy="Rename the folder, or serve it on another port.",
            )
        models[model.name] = model
    app = FastAPI(title="STC Studio", docs_url=None, redoc_url=None)
    app.state.models = models
    app.add_middleware(RequestGuard, token=token, hosts=hosts)
    app.add_exception_handler(StcError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Left, _left)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    app.add_api_route("/health", health)
    app.include_router(routes)
    return app


def named(request: Request, name: str) -> Served:
    """The model of that name; a Refusal names those there are."""
    models: dict[str, Served] = request.app.state.models
    if name not in models:
        names = ", ".join(models)
        raise Refusal(404, f"model {name!r}", expected=f"one of {names}")
    return models[name]


routes = APIRouter(prefix="/v1", dependencies=[Depends(bearer)])
Model = Annotated[Served, Depends(named)]


async def health() -> dict[str, str]:
    """Whether the service answers."""
    return {"status": "ok"}


@routes.get("/models")
async def models(request: Request) -> JSONResponse:
    """The runs that are served: recipe, backbone, layers, score, classes, levels."""
    found = [model.facts for model in request.app.state.models.values()]
    return JSONResponse({"models": found})


@routes.post("/models/{name}/predict")
async def predict(model: Model, body: PredictBody, request: Request) -> JSONResponse:
    """The label, its probability and all probabilities of each text, in their order."""
    gone = request.is_disconnected
    found = await model.predict(body.texts, levels=body.levels, gone=gone)
    return JSONResponse({"model": model.name, "predictions": found})


@routes.post("/models/{name}/explain")
async def explain(model: Model, body: ExplainBody, request: Request) -> JSONResponse:
    """Why a text gets its label: what `stc explain --json` prints."""
    model.check("explain")
    wish = {"label": body.label, "gradients": body.gradients}
    work = partial(explanation_of, model.classifier, body.text, **wish)
    return JSONResponse(await model.desk.ask(request.is_disconnected, work))


@routes.post("/models/{name}/generate")
async def generate(
    model: Model, body: GenerateBody, request: Request
) -> StreamingResponse:
    """The labels of a text and then its reply, piece by piece, as server-sent events.

    `labels` is the way down, each `piece` has its part and text, `end` is the last;
    `error` comes in its place if the reply cannot be written.
    """
    model.check("generate")
    author = model.classifier
    assert isinstance(author, ReplyingClassifier), author
    wish = Decoding(body.temperature, body.top_p, body.seed, body.length)
    gone = request.is_disconnected
    way, coming = await model.desk.ask(gone, author.tell, body.text, wish)
    steps = await model.desk.call(author.steps, body.text, way)
    told = _told(model.desk, steps, coming)
    return StreamingResponse(told, media_type="text/event-stream")


async def _told(
    desk: ModelThread, steps: list[dict[str, Any]], coming: Iterator[WrittenPiece]
) -> AsyncIterator[str]:
    """Each piece takes its own turn at the desk, so others are answered meanwhile."""
    yield _event("labels", {"levels": steps})
    try:
        while (piece := await desk.call(next, coming, None)) is not None:
            yield _event("piece", piece._asdict())
    except StcError as error:
        yield _event("error", facts_of(error))
        return
    except Exception:  # on to the log; the client has its status 200 already
        yield _event("error", _BUG)
        raise
    yield _event("end", {})


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StcError), error
    return refused(error)


async def _left(request: Request, error: Exception) -> JSONResponse:
    """What nobody reads: the client has left."""
    wish = {"expected": "one that waits", "got": "one that has left"}
    return error_response(499, "client", **wish)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong with a body, by its place in it."""
    assert isinstance(error, RequestValidationError), error
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    what = place if first["type"] != "json_invalid" else "body"
    got = None if first["type"] in ("json_invalid", "missing") else first["input"]
    return error_response(422, what or "body", expected=first["msg"], got=_short(got))


def _short(value: Any) -> str | None:
    """What was given, or how much of it."""
    if isinstance(value, list):
        return f"{len(value):,} items"
    if isinstance(value, str) and len(value) > 60:
        return f"{len(value):,} characters"
    return None if value is None else ascii(value)[:60]


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException), error
    answer = error_response(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _bug(request: Request, error: Exception) -> JSONResponse:
    """What the client is told; the error goes on, to the log of the server."""
    return error_response(500, **_BUG)
