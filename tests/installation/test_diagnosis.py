"""The diagnosis of a machine, and of machines that lack something."""

import platform
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from packaging.requirements import Requirement

from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE
from stc_core.installation import diagnosis
from stc_core.installation.diagnosis import (
    HealthProblem,
    diagnose,
    existing_folder,
    home_problems,
    hub_state,
    installed_versions,
    memory_problems,
    package_problems,
    python_problems,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setattr(diagnosis, "LEAST_DISK_BYTES", 0)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "hub_state", lambda: "offline")


def errors(problems: Iterator[HealthProblem] | tuple[HealthProblem, ...]) -> list[str]:
    return [problem.what for problem in problems if problem.severity == "error"]


@pytest.mark.usefixtures("offline")
def test_the_machine_of_the_tests_can_train(own_home: Path):
    import torch

    found = diagnose()
    assert found.ok and errors(found.problems) == []
    assert found.python == platform.python_version()
    assert found.threads == torch.get_num_threads()
    assert found.device in found.devices or found.device == "cuda"
    assert 0 < found.memory_free_bytes <= found.memory_bytes
    assert found.models == (DEFAULT_BACKBONE,)
    assert found.home == own_home and found.disk_free_bytes > 0
    assert found.checkout and not own_home.exists()  # looking leaves nothing behind


@pytest.mark.usefixtures("offline")
def test_without_its_default_model_a_machine_cannot_train(monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    found = diagnose()
    assert not found.ok and not found.record()["ok"]
    assert errors(found.problems) == [
        f"The default model {DEFAULT_BACKBONE} is not installed."
    ]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_what_cannot_be_imported_is_said(kind: type[Exception], monkeypatch):
    """An OSError is what a library raises whose shared file is missing."""

    def broken(name: str) -> None:
        raise kind("libcudart.so.13")

    monkeypatch.setattr(diagnosis, "import_module", broken)
    found = diagnose()
    assert not found.ok and found.device is None and found.models == ()
    (error,) = errors(found.problems)
    assert error.endswith(f"cannot be imported: {kind.__name__}: libcudart.so.13.")


@pytest.mark.usefixtures("offline")
def test_a_device_that_does_not_compute_is_said(monkeypatch):
    import torch

    def broken(*shape: int, **options: object) -> None:
        raise RuntimeError("no kernel image\nfor this device")

    monkeypatch.setattr(torch, "ones", broken)
    found = diagnose()
    assert not found.ok and found.device is None
    assert errors(found.problems) == ["cpu does not compute: no kernel image"]


def test_a_package_that_is_missing_is_an_error_and_another_version_a_warning():
    wanted = [*map(Requirement, ("numpy==0.1", "Not_There==2", "numpy"))]
    versions = installed_versions(wanted)
    assert versions["not-there"] is None and versions["numpy"] is not None
    missing, other = sorted(
        package_problems(wanted, versions), key=lambda problem: problem.severity
    )
    assert missing.what == "not-there is not installed."
    assert missing.remedy == "Run: pip install 'Not_There==2'"
    assert other.severity == "warning" and "tested with ==0.1" in other.what


def test_another_python_is_an_error(monkeypatch):
    assert errors(python_problems()) == []
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    (error,) = errors(python_problems())
    assert error.startswith("This is Python 3.9.1;")


def test_a_checkout_that_is_not_installed_is_a_warning(monkeypatch):
    def missing(name: str) -> None:
        raise diagnosis.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(diagnosis.metadata, "metadata", missing)
    monkeypatch.setattr(diagnosis.metadata, "requires", missing)
    assert diagnosis.required_packages() == []
    (problem,) = python_problems()
    assert problem.severity == "warning" and "not installed" in problem.what


@pytest.mark.parametrize(
    ("free", "severity"), [(1, "error"), (10**9, "warning"), (10**12, None)]
)
def test_little_space_is_said(free: int, severity: str | None, tmp_path, monkeypatch):
    monkeypatch.setattr(diagnosis, "LEAST_DISK_BYTES", 10**8)
    problems = [*home_problems(tmp_path, free)]
    assert [problem.severity for problem in problems] == [severity] * bool(severity)


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch):
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(diagnosis.tempfile, "TemporaryFile", refuse)
    (error,) = errors(home_problems(tmp_path, 10**12))
    assert error == f"The home {tmp_path} cannot be written: Permission denied."


@pytest.mark.parametrize("inside", ["", "studio", "a/b"])
@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing"])
def test_a_home_that_is_no_folder_is_an_error(kind: str, inside: str, tmp_path: Path):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("")
    else:
        (tmp_path / "there").write_text("")
        place.symlink_to(tmp_path / ("there" if kind == "link to a file" else "none"))
    home = place / inside
    (error,) = errors(home_problems(home, 10**12))
    assert error == f"The home {home} cannot be a folder: {place} is none."


def test_little_memory_is_a_warning():
    low = SimpleNamespace(available=10**9, total=4 * 10**9)
    (problem,) = memory_problems(low)
    assert problem.severity == "warning" and "1.0 GB of 4.0 GB" in problem.what
    assert not [*memory_problems(SimpleNamespace(available=10**10, total=10**10))]


def test_the_nearest_folder_that_is_there(tmp_path: Path):
    assert existing_folder(tmp_path / "a" / "b") == tmp_path
    (tmp_path / "file").write_text("")
    assert existing_folder(tmp_path / "file" / "b") == tmp_path


@pytest.fixture
def answering(monkeypatch) -> Iterator[None]:
    """A Hub that answers with an error: it is reachable all the same."""

    class Busy(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("answering")
def test_a_hub_that_answers_is_reachable():
    assert hub_state() == "reachable"


@pytest.mark.usefixtures("answering")
def test_offline_the_hub_is_not_asked(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_state() == "offline"


def test_a_hub_that_does_not_answer_is_unreachable(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub_state() == "unreachable"


def test_a_hub_that_answers_byte_by_byte_does_not_hold_the_diagnosis(monkeypatch):
    monkeypatch.setattr(diagnosis, "HUB_TIMEOUT_S", 0.3)
    done = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not done.wait(0.1):
                    connection.sendall(b"a")

        thread = Thread(target=answer, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        Timer(5.0, done.set).start()
        began = time.monotonic()
        assert hub_state() == "unreachable"
        assert time.monotonic() - began < 2
        done.set()
        thread.join()
