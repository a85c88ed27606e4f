"""What SECURITY.md promises: of the sources, and of names, paths and tokens."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from helpers.runs.copies import copied
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.runs.processes.jobs import new_folder
from stc_core.runs.trash import restore
from ui.cache.plans import check_backbone, is_local

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "SECURITY.md"
UNPICKLING = frozenset(
    "pickle.load pickle.loads cloudpickle.load cloudpickle.loads joblib.load dill.load "
    "dill.loads pd.read_pickle shelve.open marshal.loads yaml.load yaml.unsafe_load "
    "eval exec os.system".split()
)
CSV = {"to_csv", "writer", "DictWriter", "write_csv"}


def sources() -> Iterator[Path]:
    yield ROOT / "app.py"
    for name in ("stc_core", "ui", "pages"):
        yield from sorted((ROOT / name).rglob("*.py"))


@cache
def calls() -> list[tuple[str, ast.Call, Path]]:
    """Every call in the product, by the name that is called."""
    return [
        (ast.unparse(node.func), node, path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


def words_of(call: ast.Call) -> dict[str, str]:
    return {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}


def test_no_source_runs_what_a_file_brings():
    found, loads = [], 0
    for name, call, path in calls():
        words = words_of(call)
        is_torch = name == "torch.load" and words.get("weights_only") != "True"
        is_numpy = name == "np.load" and words.get("allow_pickle", "False") != "False"
        trusts = words.get("trust_remote_code", "False") != "False"
        shell = words.get("shell", "False") != "False"
        if name in UNPICKLING or is_torch or is_numpy or trusts or shell:
            found.append(f"{path.relative_to(ROOT)}:{call.lineno} {name}")
        if name.endswith("Model.from_pretrained") or ".from_pretrained" in name:
            loads += 1
            assert words.get("trust_remote_code", "False") == "False", path
    assert found == [] and loads >= 2


def test_all_csv_is_written_in_one_place():
    places = {
        (path.relative_to(ROOT).as_posix(), name.rsplit(".", 1)[-1])
        for name, _, path in calls()
        if name.rsplit(".", 1)[-1] in CSV and not name.startswith("self.")
    }
    writing = {path for path, name in places if name == "to_csv"}
    assert writing == {"stc_core/frames.py"}
    assert not any(name in ("writer", "DictWriter") for _, name in places)
    using = {path for path, name in places if name == "write_csv"}
    assert using == {
        "stc_core/classifiers/labelling/table_writer.py",
        "stc_core/cli/inside.py",
        "stc_core/sweeps/folder.py",
        "ui/shell/downloads.py",
    }
    mimes = [path for path in sources() if "text/csv" in path.read_text("utf-8")]
    assert [path.name for path in mimes] == ["html.py", "downloads.py"]


@pytest.mark.parametrize("name", ["../outside", "..", "/etc", "a/../../outside", ".r"])
def test_a_name_of_a_run_cannot_leave_the_runs_folder(name: str, own_home: Path):
    (own_home / "outside").mkdir(parents=True)
    (own_home / "outside" / "deleted.json").write_text('{"folder": "../../x"}')
    with pytest.raises(StcError, match="no run"):
        restore(name)
    folder = new_folder(RunConfig(name=name, data=DataConfig(path="x")))
    assert folder.resolve().parent == own_home / "runs"


def test_a_path_typed_into_the_app_must_be_allowed(tmp_path, own_home, monkeypatch):
    inside, outside = own_home / "cached_models" / "m", tmp_path / "private"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    (own_home / "link").symlink_to(outside)
    refused = {str(outside), str(own_home / "link"), f"{own_home}/../private"}
    refused |= {"/etc", "/no/such/folder", "~root", "~", "../private", "\0"}
    said = set()
    for name in refused:
        with pytest.raises(StcError, match="language model") as error:
            check_backbone(name)
        said.add(str(error.value).replace(name, "NAME").replace(repr(name), "'NAME'"))
        assert not is_local(name)
    assert len([one for one in said if "STC_MODELS" in one]) == 1  # exists or not
    assert is_local(str(inside))
    with pytest.raises(StcError, match=r"config\.json"):  # it may be looked at
        check_backbone(str(inside))
    monkeypatch.setenv("STC_MODELS", str(outside))
    assert is_local(str(outside))


def test_the_app_is_closed_to_other_pages():
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]
    assert server["enableXsrfProtection"] and server["enableCORS"]
    assert server["address"] == "127.0.0.1" and 0 < server["maxUploadSize"] <= 1024


def test_a_token_is_written_nowhere(run_folder: Path, own_home, stc, monkeypatch):
    import uvicorn

    token = "sesame-4711"
    for name in ("STC_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, token)

    def at_once(server: uvicorn.Server, sockets: list) -> None:
        assert token not in json.dumps(vars(server.config), default=str)
        assert not server.config.access_log or server.config.log_level == "warning"
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", at_once)
    folder = own_home / "runs" / "one"
    copied(run_folder, folder)
    table = own_home / "t.csv"
    table.write_text("text\nhello there\n")
    for words in (
        ("serve", folder, "--port", 0, "--device", "cpu"),
        ("export", folder, own_home / "one.zip"),
        ("predict", folder, table, "--out", own_home / "out.csv"),
    ):
        said = stc(*words)
        assert said.code == 0 and token not in said.out + said.err, said
    files = [path for path in own_home.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [one for one in files if token.encode() in one.read_bytes()]


def test_every_package_is_pinned():
    names = [path.name for path in ROOT.glob("requirements*.txt")]
    assert len(names) == 4
    for name in names:
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r ", "setuptools>=")):
                assert re.fullmatch(r"[\w.\-\[\]]+==[\w.]+", line), (name, line)


def test_every_line_of_the_threat_model_names_a_test_that_exists():
    lines = PAGE.read_text("utf-8").partition("## Threats")[2].splitlines()
    rows = [line for line in lines if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for path, name in named:
            text = (ROOT / path).read_text("utf-8")
            assert not name or f"def {name}(" in text, (path, name)
