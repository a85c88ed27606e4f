"""A provider of OpenID Connect on this machine, which lets in whoever it is told to."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "stc-studio"


class IdentityProvider:
    """Answers each login with the claims in `user`, without a question."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {}
        self._key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
        self._nonces: dict[str, str] = {}
        self.address = ""

    def metadata(self) -> dict[str, Any]:
        """What a client must know of the provider."""
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorize(self, asked: dict[str, list[str]]) -> str:
        """Where the browser goes on, with a code for the client."""
        code = f"code-{len(self._nonces)}"
        self._nonces[code] = asked.get("nonce", [""])[0]
        answer = {"code": code, "state": asked["state"][0]}
        return f"{asked['redirect_uri'][0]}?{urlencode(answer)}"

    def token(self, code: str) -> dict[str, Any]:
        """The signed claims of the user."""
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 600}
        claims |= {"nonce": self._nonces[code], **self.user}
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self._key)
        return {
            "access_token": "a",
            "token_type": "Bearer",
            "expires_in": 600,
            "id_token": signed,
        }

    def keys(self) -> dict[str, Any]:
        """The public key with which claims are checked."""
        return {"keys": [self._key.as_dict(private=False)]}


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider that answers while the block runs."""
    provider = IdentityProvider()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            if url.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(parse_qs(url.query)))
                self.end_headers()
            else:
                is_keys = url.path == "/keys"
                self._say(provider.keys() if is_keys else provider.metadata())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(provider.token(parse_qs(body)["code"][0]))

        def _say(self, answer: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        provider.address = f"http://127.0.0.1:{served.server_port}"
        thread = Thread(target=served.serve_forever)
        thread.start()
        yield provider
        served.shutdown()
        thread.join()
