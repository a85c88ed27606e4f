"""What an operator sees of the service: request ids, a log of JSON lines, metrics."""

import json
import logging
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ID_HEADER, REQUEST_ID = "x-request-id", "stc_request_id"
"""The header of the id, and its key in the scope of a request."""
_ID = re.compile(r"[\w.-]{1,64}")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper limits of the counted times of requests."""
_LOG = logging.getLogger("stc.requests")


class ServiceMetrics:
    """The counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stc_requests",
            "Answered requests.",
            ["route", "model", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "stc_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.texts = Counter(
            "stc_texts", "Texts that were labelled.", ["model"], registry=self.registry
        )
        self.under_way = Gauge(
            "stc_requests_under_way", "Requests under way.", registry=self.registry
        )


class Telemetry:
    """Gives each request an id, counts it, times it, and logs it as one line.

    The id is that of the header X-Request-ID if it is a plain one, else a new one; the
    answer has it in the same header. No text, no token and no address of a client is
    counted or logged.
    """

    def __init__(self, app: ASGIApp, *, metrics: ServiceMetrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(ID_HEADER, "")
        request_id = sent if _ID.fullmatch(sent) else uuid.uuid4().hex
        scope[REQUEST_ID] = request_id
        began, status = time.perf_counter(), 500
        fault: Exception | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        self.metrics.under_way.inc()
        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            fault = error
            raise
        finally:
            self.metrics.under_way.dec()
            self._count(scope, status, time.perf_counter() - began, fault)

    def _count(
        self, scope: Scope, status: int, seconds: float, fault: Exception | None
    ) -> None:
        # A path that is no route is not counted by its name: there are too many.
        route = getattr(scope.get("route"), "path", "other")
        known = scope["app"].state.models if "app" in scope else {}
        name = scope.get("path_params", {}).get("name", "")
        model = name if name in known else ""
        self.metrics.requests.labels(route, model, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        facts = {
            "id": scope[REQUEST_ID],
            "method": scope["method"],
            "route": route,
            "model": model,
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
        if fault is not None:
            facts["level"] = "error"
        _LOG.info("request", exc_info=fault, extra={"facts": facts})


class JsonLines(logging.Formatter):
    """Writes each record of a log as one line of JSON, errors with their traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time (UTC), level, message, and what was told of it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                "T", "milliseconds"
            ),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def json_log() -> dict[str, Any]:
    """The configuration of logging that writes requests and errors as JSON lines."""
    handler = {"class": "logging.StreamHandler", "formatter": "json"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"lines": {**handler, "stream": sys.stderr}},
        "loggers": {
            "stc": {"handlers": ["lines"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["lines"], "level": "WARNING", "propagate": False},
        },
    }
