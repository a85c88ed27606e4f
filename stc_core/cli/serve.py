"""The command that serves runs over HTTP."""

import os
import signal
import socket
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import Annotated, Any

import typer

from stc_core.cli.common import open_run, spread_options, terminate_as_interrupt
from stc_core.cli.options import DeviceOption
from stc_core.errors import StcError

MOST_CONNECTIONS = 1024
"""The most connections, idle ones included; one more is answered with 503."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")
MOST_PREPARED = 128
"""The most entries of each cache of what oneDNN and PyTorch prepared for the numbers of
tokens that they met, a megabyte or less each; the default of both is 1,024."""
PREPARED_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""The environment variables that oneDNN and PyTorch read when they are first used."""
GRACE_S = 30
"""How long open requests may take after the service is stopped."""


@spread_options
def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of runs, their names, or bundles.", metavar="RUN..."
        ),
    ],
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 means all addresses.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    model: DeviceOption,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="STC_TOKEN",
            help="Bearer token that requests need, or several with spaces between "
            "them; safer set in the environment.",
        ),
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most requests that a token, or without tokens an address, may send "
            "in a minute.",
        ),
    ] = None,
    json_log: Annotated[
        bool,
        typer.Option(
            "--json-log", help="Write a line of JSON for each request and each error."
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that requests may ask for; repeat it for several. Without "
            "it all names are answered, or this machine's alone if there is no token."
        ),
    ] = None,
) -> None:
    """Serve the labels, explanations and replies of runs over HTTP, until Ctrl-C.

    Open requests are finished first. GET /v1/models lists the runs, and /openapi.json
    describes every route. The signal HUP opens the runs again from their folders.
    """
    terminate_as_interrupt()
    check_token(token)
    limit_prepared()
    with listener(host, port) as bound:
        from stc_core.serve.app import service

        address, _, *_ = bound.getsockname()
        is_local = ip_address(address).is_loopback
        hosts = None if token or not is_local else (*LOCAL, host.lower())
        if allow_host:
            hosts = (*LOCAL, *(name.lower() for name in allow_host))
        app = service(
            map(open_run, runs),
            **model,
            token=token,
            hosts=hosts,
            per_minute=per_minute,
        )
        bound.listen()  # requests that come from now on wait and are answered
        _announce(bound, is_open=not (token or is_local))
        _reload_on_hangup(app, [partial(open_run, run) for run in runs])
        _answer_requests(app, bound, as_json=json_log)


def limit_prepared() -> None:
    """Bound the caches of prepared work, unless the environment already does so.

    It has an effect only before the first forward of this process.
    """
    for name in PREPARED_CACHES:
        os.environ.setdefault(name, str(MOST_PREPARED))


def _answer_requests(app: Any, bound: socket.socket, *, as_json: bool) -> None:
    """Answer the requests to the socket until the service is stopped."""
    import uvicorn

    from stc_core.serve.connections import TimedConnection
    from stc_core.serve.telemetry import json_log

    logs: dict[str, Any] = {"log_level": "warning"}
    if as_json:
        logs = {"log_config": json_log()}

    config = uvicorn.Config(
        app,
        http=TimedConnection,
        **logs,
        lifespan="off",
        proxy_headers=False,  # anyone could send another address in them
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises it again at its end
        uvicorn.Server(config).run(sockets=[bound])


def _reload_on_hangup(app: Any, opens: list[Any]) -> None:
    """Open the runs again at the signal HUP, beside the requests that are answered."""
    from stc_core.serve.app import reload

    def work() -> None:
        for line in reload(app, opens):
            typer.echo(line, err=True)

    def start(number: int, frame: Any) -> None:
        Thread(target=work, name="reload", daemon=True).start()

    if hasattr(signal, "SIGHUP"):  # Windows has none
        signal.signal(signal.SIGHUP, start)


def _announce(bound: socket.socket, *, is_open: bool) -> None:
    """Print the address of the service, with a warning if anyone can use it."""
    address, port, *_ = bound.getsockname()
    if is_open:
        typer.echo(
            "Warning: anyone who can reach this address can use the runs. Set --token "
            "to require a token.",
            err=True,
        )
    in_url = f"[{address}]" if ":" in address else address
    typer.echo(f"Serving at http://{in_url}:{port}/v1/models", err=True)


def check_token(token: str | None) -> None:
    """Raise StcError for a token that an HTTP header cannot carry."""
    if token is None:
        return
    parts = token.split(" ")
    if all(part and all("!" <= char <= "~" for char in part) for part in parts):
        return
    raise StcError(
        "option --token",
        expected="printable ASCII characters, with one space between two tokens",
    )


def listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not listening yet.

    Raises StcError if the address cannot be used.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise StcError(
            f"address {host}:{port}",
            expected="a free address of this machine",
            got=error.strerror or str(error),
            remedy="Choose another --port or --host.",
        ) from error
    return bound
