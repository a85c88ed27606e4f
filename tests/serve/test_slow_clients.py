"""Clients that send slowly, or nothing, take no place for long."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request

from stc_core.serve import connections, middleware
from stc_core.serve.middleware import RequestGuard

REQUEST = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"


@pytest.fixture
def port(monkeypatch) -> Iterator[int]:
    """The port of a service that waits for .3 s where the real one waits for 10 s."""
    monkeypatch.setattr(connections, "HEADERS_S", 0.3)
    monkeypatch.setattr(middleware, "BODY_S", 0.3)
    app = FastAPI()
    app.add_middleware(RequestGuard)

    @app.post("/echo")
    async def echo(request: Request) -> str:
        await asyncio.sleep(float(request.headers.get("wait", 0)))
        return (await request.body()).decode()

    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    config = uvicorn.Config(
        app, http=connections.TimedConnection, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    bound.close()


def answer(port: int, *parts: bytes) -> bytes:
    """All that comes until the service closes the connection, or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for part in parts:
            client.sendall(part)
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(4096):
                said += piece
                if b"hello" in said:
                    break
        return said


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"POST",),
        (REQUEST,),
        (REQUEST + b"\r\nhello" + REQUEST,),  # the second on one connection
    ],
)
def test_a_slow_client_is_cut_off(port: int, parts: tuple[bytes, ...]):
    said = answer(port, *parts)
    assert said == b"" or b"200 OK" in said


def test_a_slow_body_is_told_and_cut_off(port: int):
    said = answer(port, REQUEST + b"Connection: close\r\n\r\nhe")
    assert b"408" in said and b"within 0 seconds" in said


def test_a_request_that_is_whole_may_wait_for_its_answer(port: int):
    said = answer(port, REQUEST + b"wait: 0.6\r\n\r\n", b"hello")
    assert b"200 OK" in said and said.endswith(b'hello"')
