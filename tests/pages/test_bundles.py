"""A run that was packed goes down and up through the app, and opens without texts."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import ROOT, at_home, fine, html, said, visit
from helpers.runs.copies import copied
from stc_core.export.bundle import write_bundle
from stc_core.export.imported import import_bundle
from stc_core.paths import runs_folder
from stc_core.runs.run import Run, list_runs
from ui.runs import bundles

RUNS = "pages/11_Runs.py"
PAGES = [f"pages/{path.name}" for path in sorted((ROOT / "pages").glob("*.py"))]
SHOWS_TEXTS = [p for p in PAGES if any(w in p for w in ("Neur", "Err", "Compare"))]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "topic.zip"
    write_bundle(Run(run_folder), path)
    return path


@pytest.fixture
def imported(bundle: Path, tmp_path: Path, monkeypatch) -> Run:
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return import_bundle(bundle)


def uploaded(app: AppTest, name: str, content: bytes) -> AppTest:
    fields: list[Any] = [*app.get("file_uploader")]
    (field,) = (one for one in fields if "bundle" in one.proto.label)
    field.set_value((name, content, "application/zip"))
    return app.run()


def test_a_bundle_that_is_uploaded_becomes_the_run(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    app = fine(uploaded(visit(RUNS), "topic.zip", bundle.read_bytes()))
    (run,) = list_runs()
    assert run.done and app.query_params["run"] == run.folder.name
    assert "messages by topic" in said(app).replace("\\", "")
    (done,) = (one.value.replace("\\", "") for one in app.success)
    assert run.name in done and run.folder.name in done
    assert not app.run().success  # it is said once


def test_a_bad_upload_is_said_and_nothing_stays(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    app = fine(uploaded(visit(RUNS), "mine.zip", bytes(data)))
    assert "file 'mine.zip'" in app.error[0].value.replace("\\", "")
    assert not list_runs() and not [*runs_folder().iterdir()]


def test_what_is_downloaded_is_the_bundle(bundle, run_folder, tmp_path, monkeypatch):
    at_home(tmp_path, monkeypatch, topic=run_folder)
    assert bundles._packed(Run(run_folder), texts=False) == bundle.read_bytes()
    more = bundles._packed(Run(run_folder), texts=True)
    assert len(more) > bundle.stat().st_size
    app = fine(visit(RUNS, run="topic"))
    (button,) = (
        one for one in app.get("download_button") if "bundle" in one.proto.label
    )
    assert "Download the bundle" == button.proto.label


def test_a_large_bundle_is_made_by_the_command(run_folder, tmp_path, monkeypatch):
    runs = at_home(tmp_path, monkeypatch)
    copied(run_folder, runs / "large")
    monkeypatch.setattr(bundles, "MOST_BYTES", 1000)
    app = fine(visit(RUNS, run="large"))
    assert "stc export large large.zip" in [one.value for one in app.code]
    assert not [o for o in app.get("download_button") if "bundle" in o.proto.label]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_a_run_without_texts(page: str, imported: Run):
    app = fine(visit(page, run=imported.folder.name))
    assert ("came without its texts" in said(app)) == (page in SHOWS_TEXTS)


def test_a_text_of_ones_own_is_explained_without_texts(imported: Run, run_folder):
    text = "the courier lost my parcel"
    app = fine(visit("pages/5_Examples.py", run=imported.folder.name, text=text))
    assert not app.error
    label = Run(run_folder).classifier(device="cpu").explain(text)["label"]
    assert label in html(app)
    (way,) = (one for one in app.segmented_control if one.label == "What if")
    assert "Nearest training texts" not in way.options
