"""The pages of a run whose classifier existed before: they speak of its own head."""

from pathlib import Path

import pytest

from helpers.app import at_home, fine, html, said, visit
from helpers.runs.serving import trained
from stc_core.analysis.examples import JUDGED_BY_OWN_HEAD
from ui.errors import confusions
from ui.layers import curves
from ui.neurons.view import NO_SELECTION

PAGES = {
    "pages/3_Layers.py": (curves.ANSWERS_BY_OWN_HEAD, "reads all 3 layers"),
    "pages/4_Neurons.py": (NO_SELECTION,),
    "pages/5_Examples.py": (JUDGED_BY_OWN_HEAD,),
    "pages/9_Errors.py": (confusions.TRAINED_ON_UNKNOWN,),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("existing"), "existing").folder


@pytest.mark.parametrize("page", PAGES)
def test_a_page_speaks_of_the_own_head(page: str, folder: Path, tmp_path, monkeypatch):
    at_home(tmp_path, monkeypatch, own=folder)
    app = fine(visit(page, run="own"))
    shown = said(app) + html(app)
    for sentence in PAGES[page]:
        assert sentence in shown
    assert "neither fitted nor chosen" not in shown
    assert "nearly enough" not in shown
