"""The checks of a request before any route: host, token, size, number of requests.

All checks but that of the size are made before the body is read.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Collection

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stc_core.serve.limits import RateLimit
from stc_core.serve.refusals import Refusal, TooMany, refused

_MOST_BYTES = 8 << 20
BODY_S = 30.0
"""The longest that the body of a request may take."""
MOST_REQUESTS = 256
"""The most requests at a time; one more is answered with 429."""
_USUAL_S = 1.0
"""The time of a request before one was measured."""
_GUARDED = ("/v1", "/metrics")


class RequestGuard:
    """Passes only allowed requests on to `app`, and refuses a body that is too large.

    With `hosts` a request must be to one of these host names. This stops web pages
    whose host name points to this machine. With `token` every request below /v1 and for
    /metrics must have this token, or one of several, separated by spaces. `per_minute`
    is the most requests that each token may send; without tokens, each address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None = None,
        hosts: Collection[str] | None = None,
        per_minute: int | None = None,
    ) -> None:
        self.app, self.hosts = app, hosts
        self.tokens = (token or "").split()
        self.limit = None if per_minute is None else RateLimit(per_minute)
        self.under_way, self._seconds = 0, _USUAL_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (refusal := self.refusal(scope, Headers(scope=scope))) is not None:
            await refused(refusal)(scope, receive, send)
            return
        self.under_way += 1
        began = time.monotonic()
        try:
            await self.app(scope, _bounded(receive), send)
        finally:
            self.under_way -= 1
            self._seconds += 0.1 * (time.monotonic() - began - self._seconds)

    def refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        """The reason to refuse a request; None if it may pass."""
        path = scope["path"]
        if self.hosts is not None and host_of(headers) not in self.hosts:
            return Refusal(
                421,
                "header Host",
                expected=f"one of {', '.join(self.hosts)}",
                got=ascii(headers.get("host", ""))[:60],
                remedy="Ask by that name, or start the service with --allow-host.",
            )
        if path == "/health":
            return None
        client = (scope.get("client") or ("",))[0]
        if self.tokens and path.startswith(_GUARDED):
            kind, _, rest = headers.get("authorization", "").partition(" ")
            sent = rest.strip() if kind.lower() == "bearer" else ""
            client = sent
            if not self._is_known(sent):
                return Refusal(
                    401,
                    "authorization",
                    expected="the token of this service",
                    got="another token" if sent else "no token",
                    remedy="Send the header 'Authorization: Bearer TOKEN'.",
                )
        if self.under_way >= MOST_REQUESTS:
            return TooMany(
                "requests at the same time",
                max(1, math.ceil(self._seconds)),
                expected=f"fewer than {MOST_REQUESTS}",
            )
        # Monitoring must go on when a client has reached its limit.
        limit = None if path == "/metrics" else self.limit
        if limit is not None and (seconds := limit.wait(client)):
            return TooMany(
                "requests of this client",
                seconds,
                expected=f"{limit.per_minute:,} a minute at most",
            )
        return None

    def _is_known(self, sent: str) -> bool:
        """Whether `sent` is one of the tokens; the time does not depend on which."""
        found = [secrets.compare_digest(sent.encode(), t.encode()) for t in self.tokens]
        return any(found)


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
