"""Requests that are refused: their errors, and the answers to them."""

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from stc_core.errors import StcError


class ErrorFacts(BaseModel):
    """What is wrong, what was expected, what came, and how to mend it."""

    what: str
    expected: str | None = None
    got: str | None = None
    remedy: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorFacts = Field(description="In words; the status says which kind it is.")


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": words}
    for status, words in {
        400: "The body is not JSON in UTF-8.",
        401: "The token is missing or wrong.",
        408: "The body did not come in time.",
        413: "The body is too large.",
        421: "The request is to a host name that is not served.",
        422: "A value of the request is not valid.",
        429: "Too many requests: Retry-After has the seconds to wait.",
        500: "A bug; the log of the service has the details.",
    }.items()
}
"""What any route below /v1 may answer instead, as /openapi.json describes it."""
OF_A_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorBody, "description": "There is no run of this name."},
    409: {"model": ErrorBody, "description": "The run cannot do this."},
}
"""What the routes of a run may answer, too."""


class Refusal(StcError):
    """The error of a request that is refused with a status other than 422.

    `retry_after` are the seconds after which the request may be sent again.
    """

    def __init__(
        self, status: int, where: str, *, retry_after: int | None = None, **facts: str
    ) -> None:
        super().__init__(where, **facts)
        self.status, self.retry_after = status, retry_after


class TooMany(Refusal):
    """A refusal with status 429: the client may try again after some seconds."""

    def __init__(self, where: str, seconds: int, **facts: str) -> None:
        remedy = f"Try again in {seconds} s."
        super().__init__(429, where, retry_after=seconds, remedy=remedy, **facts)


def error_response(status: int, what: str, **more: Any) -> JSONResponse:
    """The error response of all routes: {"error": {what, expected, got, remedy}}."""
    facts = {"what": what, "expected": None, "got": None, "remedy": None, **more}
    return JSONResponse({"error": facts}, status)


def facts_of(error: StcError) -> dict[str, Any]:
    """The content of the answer to an error, without its status."""
    facts = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
    return {"what": error.where, **facts}


def refused(error: StcError) -> JSONResponse:
    """The response to a request that caused `error`."""
    status = error.status if isinstance(error, Refusal) else 422
    answer = error_response(status, **facts_of(error))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Refusal) and error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer
