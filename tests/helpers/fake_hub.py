"""A small Hugging Face Hub on this machine: what huggingface_hub and datasets ask for.

Repositories are dicts of files in memory. What asked for what, and with which token,
is kept, so that a test can look at it.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_sesame4711"
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(.*))?")
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_READS = ("paths-info", "validate-yaml")
"""The ends of the paths that are read with POST."""
_BATCH = re.compile(r"/(.+)\.git/info/lfs/objects/batch")


@dataclass
class Repository:
    """The files of a repository by path; its commit changes with them."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + hashlib.sha256(content).digest())
        return digest.hexdigest()


@dataclass
class FakeHub:
    """The Hub at `endpoint`; repositories are named like `models/owner/name`."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """The method, the path and the Authorization header of each request."""

    def sent(self) -> list[str]:
        """What was asked for with a method that changes something."""
        return [
            path
            for method, path, _ in self.asked
            if method in ("POST", "PUT") and not path.endswith(_READS)
        ]


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A Hub that runs until the end of the block, on a free port."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def _route(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization", "")
        self.hub.asked.append((self.command, path, token))
        is_write = self.command in ("POST", "PUT") and not path.endswith(_READS)
        if is_write and not path.startswith("/lfs/") and token != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
        elif path == "/api/validate-yaml":
            self._validate()
        elif path == "/api/repos/create":
            self._create()
        elif found := _BATCH.fullmatch(path):
            self._batch()
        elif path.startswith("/lfs/"):
            self.hub.stored[path.removeprefix("/lfs/")] = self.body
            self._answer({})
        elif found := _API.fullmatch(path):
            self._api(f"{found[1]}/{found[2]}", found[3] or "")
        elif found := _RESOLVE.fullmatch(path):
            kind = "datasets" if found[1] else "models"
            self._file(f"{kind}/{found[2]}", found[3], found[4])
        else:
            self._answer({"error": "not found"}, 404)

    def _seen(self, name: str) -> Repository | None:
        """The repository, if the one who asks may see it; else 404 is answered."""
        known = self.hub.repositories.get(name)
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if known is None or (known.private and not allowed):
            self._answer({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
            return None
        return known

    def _validate(self) -> None:
        """Whether the header of a card is YAML; a licence must be a plain name."""
        header = json.loads(self.body)["content"].split("---\n")[1]
        found = yaml.safe_load(header)
        wrong = "license" in found and " " in found["license"]
        errors = [{"message": "license"}] if wrong else []
        status = 400 if errors else 200
        self._answer({"errors": errors, "warnings": []}, status)

    def _create(self) -> None:
        asked = json.loads(self.body)
        kind = {"dataset": "datasets"}.get(asked.get("type"), "models")
        name = f"{kind}/{asked['organization']}/{asked['name']}"
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private=bool(private))
        url = f"{self.hub.endpoint}/{name.removeprefix('models/')}"
        self._answer({"url": url, "name": name.partition("/")[2]})

    def _batch(self) -> None:
        objects = [
            {
                **one,
                "actions": {
                    "upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}
                },
            }
            for one in json.loads(self.body)["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _api(self, name: str, rest: str) -> None:
        repository = self._seen(name)
        if repository is None:
            return
        part, _, more = rest.partition("/")
        if part in ("", "revision"):
            if more not in ("", "main", repository.commit):
                head = {"X-Error-Code": "RevisionNotFound"}
                self._answer({"error": "no revision"}, 404, head)
                return
            self._answer(self._about(name, repository))
        elif part == "preupload":
            self._answer(
                {"files": [_mode(one) for one in json.loads(self.body)["files"]]}
            )
        elif part == "commit":
            self._commit(name, repository)
        elif part == "tree":
            folder = more.partition("/")[2]
            self._answer(
                _tree(repository, folder, deep="recursive=" in self.path.lower())
            )
        elif part == "paths-info":
            asked = json.loads(self.body)["paths"]
            files = [_entry(repository, path) for path in asked]
            self._answer([one for one in files if one])
        else:
            self._answer({"error": "not found"}, 404)

    def _about(self, name: str, repository: Repository) -> dict[str, Any]:
        return {
            "id": name.partition("/")[2],
            "sha": repository.commit,
            "private": repository.private,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [
                {"rfilename": path, "size": len(content)}
                for path, content in repository.files.items()
            ],
        }

    def _commit(self, name: str, repository: Repository) -> None:
        for line in self.body.decode().splitlines():
            record = json.loads(line)
            value = record["value"]
            if record["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif record["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.stored[value["oid"]]
        url = f"{self.hub.endpoint}/{name}/commit/{repository.commit}"
        self._answer(
            {"commitUrl": url, "commitOid": repository.commit, "success": True}
        )

    def _file(self, name: str, revision: str, path: str) -> None:
        repository = self._seen(name)
        if repository is None:
            return
        if path not in repository.files:
            head = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit}
            self._answer({"error": "no file"}, 404, head)
            return
        content = repository.files[path]
        etag = hashlib.sha256(content).hexdigest()
        head = {"ETag": f'"{etag}"', "X-Repo-Commit": repository.commit}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            last = min(int(asked[2] or len(content)), len(content) - 1)
            part = content[int(asked[1]) : last + 1]
            head["Content-Range"] = f"bytes {asked[1]}-{last}/{len(content)}"
            self._send(part, 206, head)
        else:
            self._send(content, 200, head)

    def _answer(
        self, value: Any, status: int = 200, head: dict[str, str] | None = None
    ) -> None:
        content = json.dumps(value).encode()
        self._send(
            content, status, {"Content-Type": "application/json", **(head or {})}
        )

    def _send(self, content: bytes, status: int, head: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in head.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    """Archives are stored apart, as on the Hub; small texts are in the commit."""
    mode = "lfs" if file["path"].endswith((".zip", ".parquet")) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


def _entry(repository: Repository, path: str) -> dict[str, Any] | None:
    if path in repository.files:
        content = repository.files[path]
        oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return {"type": "file", "path": path, "size": len(content), "oid": oid}
    if any(name.startswith(f"{path}/") for name in repository.files):
        return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
    return None


def _tree(repository: Repository, folder: str, *, deep: bool) -> list[dict[str, Any]]:
    """The files and folders below a folder, or only those in it."""
    before = f"{folder}/" if folder else ""
    found: dict[str, None] = {}
    for name in repository.files:
        if name.startswith(before):
            parts = name.removeprefix(before).split("/")
            most = len(parts) if deep else 1
            for n in range(1, most + 1):
                found[before + "/".join(parts[:n])] = None
    entries = [_entry(repository, path) for path in found]
    return [entry for entry in entries if entry]


@contextmanager
def logged_in(monkeypatch: Any) -> Iterator[FakeHub]:
    """A Hub for one who is logged in; files go by HTTP, as without hf_xet."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with fake_hub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
        yield made
