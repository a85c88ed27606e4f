"""The checks of a request before any route: host, token, size, number of requests.

All checks but that of the size are made before the body is read.
"""

import asyncio
import secrets
from collections.abc import Collection
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stc_core.errors import StcError

_MOST_BYTES = 8 << 20
BODY_S = 30.0
"""The longest that the body of a request may take."""
MOST_REQUESTS = 256
"""The most requests at a time; one more is answered with 503."""


class Refusal(StcError):
    """The error of a request that is refused with a status other than 422."""

    def __init__(self, status: int, where: str, **facts: str) -> None:
        super().__init__(where, **facts)
        self.status = status


class RequestGuard:
    """Passes only allowed requests on to `app`, and refuses a body that is too large.

    With `hosts` a request must be to one of these host names. This stops web pages
    whose host name points to this machine. With `token` every request below /v1 must
    have this token.
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
        """The reason to refuse a request; None if it may pass."""
        if self.hosts is not None and host_of(headers) not in self.hosts:
            return Refusal(
                421,
                "header Host",
                expected=f"one of {', '.join(self.hosts)}",
                got=ascii(headers.get("host", ""))[:60],
                remedy="Ask by that name, or start the service with --allow-host.",
            )
        if self.token and path.startswith("/v1"):
            kind, _, rest = headers.get("authorization", "").partition(" ")
            sent = rest.strip() if kind.lower() == "bearer" else ""
            if not secrets.compare_digest(sent.encode(), self.token.encode()):
                return Refusal(
                    401,
                    "authorization",
                    expected="the token of this service",
                    got="another token" if sent else "no token",
                    remedy="Send the header 'Authorization: Bearer TOKEN'.",
                )
        if self.under_way >= MOST_REQUESTS and path != "/health":
            return Refusal(
                503,
                "requests at the same time",
                expected=f"fewer than {MOST_REQUESTS}",
                remedy="Try again in a moment.",
            )
        return None


def host_of(headers: Headers) -> str:
    """The host name of the request, without its port."""
    host = headers.get("host", "").lower()
    end = host.rfind(":")
    return host[:end] if end > host.rfind("]") else host


def _bounded(receive: Receive) -> Receive:
    """A `receive` that refuses a body of more than _MOST_BYTES while it arrives.

    A body that takes more than BODY_S is refused, too.
    """
    read, ended = 0, False
    until = asyncio.get_running_loop().time() + BODY_S

    async def counted() -> Message:
        nonlocal read, ended
        try:
            async with asyncio.timeout_at(None if ended else until):
                message = await receive()
        except TimeoutError as error:
            detail = f"body: expected within {BODY_S:.0f} seconds; got a part of it"
            raise HTTPException(408, detail) from error
        ended = ended or not message.get("more_body", False)
        read += len(message.get("body", b""))
        if read > _MOST_BYTES:  # FastAPI passes on only this kind of error
            detail = f"body: expected at most {_MOST_BYTES:,} bytes; got more"
            raise HTTPException(413, detail)
        return message

    return counted


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
    return answer
