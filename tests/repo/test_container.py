"""The Containerfile: its steps work in a clean folder, and its health check is true.

No container is built: that needs a network and a program that tests cannot expect.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.main import get_command

from helpers.runs.serving import serving, trained
from stc_core.cli.app import app

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Containerfile").read_text("utf-8").splitlines()
STEPS = [line.split(" ", 1) for line in LINES if line and not line.startswith("#")]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_what_is_copied_is_enough_to_install(tmp_path: Path):
    for copied in of("COPY"):
        *sources, _ = copied.split()
        for name in sources:
            ignored = shutil.ignore_patterns("__pycache__")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, tmp_path / name)
    assert 'pip install --no-cache-dir ".[serve]"' in of("RUN")[0]
    build = (
        "-m pip wheel -q --no-deps --no-index --no-build-isolation -w dist .".split()
    )
    subprocess.run(
        [sys.executable, *build], cwd=tmp_path, check=True, capture_output=True
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as built:
        assert "stc_core/serve/app.py" in built.namelist()


def test_it_serves_as_a_user_without_rights():
    names = [name for name, _ in STEPS]
    assert of("USER") == ["stc"] and "useradd" in " ".join(of("RUN"))
    assert names.index("USER") < names.index("ENTRYPOINT")
    (entry,) = of("ENTRYPOINT")
    program, command, *options = json.loads(entry)
    assert (program, command) == ("stc", "serve")
    parser = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {flag for parameter in parser.params for flag in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    assert options[options.index("--port") + 1] in of("EXPOSE")


def test_the_health_check_is_true_of_a_service_and_false_without_one(
    tmp_path_factory: pytest.TempPathFactory,
):
    (check,) = of("HEALTHCHECK")
    _, code, script = json.loads(check[check.index("[") :])
    assert code == "-c"

    def healthy(address: str) -> bool:
        asked = script.replace("http://127.0.0.1:8000", address)
        assert asked != script
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True)
        return done.returncode == 0

    run = trained(tmp_path_factory.mktemp("runs"), "stc")
    with serving(run.folder) as (address, _):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        assert healthy(address)
    assert not healthy(address)
