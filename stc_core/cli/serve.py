"""The command that serves runs over HTTP."""

import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

import typer

from stc_core.cli.common import open_run, terminate_as_interrupt
from stc_core.cli.options import Device
from stc_core.errors import StcError

MOST_CONNECTIONS = 1024
"""Idle ones count; one more is answered with 503."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")
GRACE_S = 30
"""How long requests under way may take when the service is stopped."""


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders of runs, or their names.", metavar="RUN..."),
    ],
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every one.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="0 takes a free one.", min=0, max=65535)
    ] = 8000,
    device: Device = "auto",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="STC_TOKEN",
            help="Ask for it as a bearer token; better given in the environment.",
        ),
    ] = None,
) -> None:
    """Answer over HTTP: labels, explanations and replies of runs, until Ctrl-C.

    Requests under way are finished first. GET /v1/models lists the runs, and
    /openapi.json has every route.
    """
    terminate_as_interrupt()
    check_token(token)
    with listener(host, port) as place:
        import uvicorn

        from stc_core.serve.app import service

        address, bound_port, *_ = place.getsockname()
        here = ip_address(address).is_loopback
        hosts = None if token or not here else (*LOCAL, host.lower())
        app = service(map(open_run, runs), device=device, token=token, hosts=hosts)
        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="off",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        place.listen()  # from here on whoever asks waits, and is answered
        if not (token or here):
            typer.echo(
                "Warning: anyone who reaches this address can use the runs; "
                "--token asks for a token.",
                err=True,
            )
        shown = f"[{address}]" if ":" in address else address
        typer.echo(f"Serving at http://{shown}:{bound_port}/v1/models", err=True)
        with suppress(KeyboardInterrupt):  # raised again when all is finished
            uvicorn.Server(config).run(sockets=[place])


def check_token(token: str | None) -> None:
    """Raise StcError for a token that no header can carry."""
    if token is None or (token and all("!" <= one <= "~" for one in token)):
        return
    raise StcError(
        "option --token", expected="one or more printable ASCII characters, no spaces"
    )


def listener(host: str, port: int) -> socket.socket:
    """A socket bound to that address, not listening yet; StcError if it cannot be."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise StcError(
            f"address {host}:{port}",
            expected="one that is free, on this machine",
            got=error.strerror or str(error),
            remedy="Choose another --port or --host.",
        ) from error
    return found
