"""What a request passes before any route: its host, token, size, and others before it.

All of it is looked at before the body is read.
"""

import secrets
from collections.abc import Collection
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stc_core.errors import StcError

_MOST_BYTES = 8 << 20
MOST_REQUESTS = 256
"""Under way at once; one more is answered with 503."""


class Refusal(StcError):
    """A request that is refused with another status than 422."""

    def __init__(self, status: int, where: str, **facts: str) -> None:
        super().__init__(where, **facts)
        self.status = status


class RequestGuard:
    """Lets requests through to `app` that may come, and cuts a body that is too large.

    With `hosts` a request must be to one of these names: a page of the internet whose
    name leads to this machine is not. With `token` all below /v1 must have it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        self.app, self.token, self.hosts = app, token, hosts
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (refusal := self.refusal(scope["path"], Headers(scope=scope))) is not None:
            await refused(refusal)(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, _bounded(receive), send)
        finally:
            self.under_way -= 1

    def refusal(self, path: str, headers: Headers) -> Refusal | None:
        """Why a request may not pass, or None."""
        if self.hosts is not None and host_of(headers) not in self.hosts:
            return Refusal(
                421,
                "header Host",
                expected=f"one of {', '.join(self.hosts)}",
                got=ascii(headers.get("host", ""))[:60],
                remedy="Without a token this machine alone is answered.",
            )
        if self.token and path.startswith("/v1"):
            kind, _, said = headers.get("authorization", "").partition(" ")
            given = said.strip() if kind.lower() == "bearer" else ""
            if not secrets.compare_digest(given.encode(), self.token.encode()):
                return Refusal(
                    401,
                    "authorization",
                    expected="the token of this service",
                    got="another one" if given else "none",
                    remedy="Send the header 'Authorization: Bearer TOKEN'.",
                )
        if self.under_way >= MOST_REQUESTS and path != "/health":
            return Refusal(
                503,
                "requests under way",
                expected=f"fewer than {MOST_REQUESTS}",
                remedy="Ask again in a moment.",
            )
        return None


def host_of(headers: Headers) -> str:
    """The name that was asked for, without its port."""
    host = headers.get("host", "").lower()
    end = host.rfind(":")
    return host[:end] if end > host.rfind("]") else host


def _bounded(receive: Receive) -> Receive:
    """`receive` that refuses a body of more than MOST_BYTES while it comes."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > _MOST_BYTES:  # FastAPI lets this kind of error alone through
            said = f"body: expected at most {_MOST_BYTES:,} bytes; got more"
            raise HTTPException(413, said)
        return message

    return counted


def error_response(status: int, what: str, **more: Any) -> JSONResponse:
    """An error as every route gives it: {"error": {what, expected, got, remedy}}."""
    facts = {"what": what, "expected": None, "got": None, "remedy": None, **more}
    return JSONResponse({"error": facts}, status)


def facts_of(error: StcError) -> dict[str, Any]:
    """What the answer to it says, but for its status."""
    facts = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
    return {"what": error.where, **facts}


def refused(error: StcError) -> JSONResponse:
    """The answer to a request that was wrong in this way."""
    status = error.status if isinstance(error, Refusal) else 422
    answer = error_response(status, **facts_of(error))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
