"""A run goes to a Hub and comes back as it was; what must not pass is refused."""

import errno
import io
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
from huggingface_hub import errors

from helpers.fake_hub import TOKEN, FakeHub, Repository, fake_hub, logged_in
from helpers.models.tiny import TEXTS, one_thread
from helpers.runs.serving import trained
from stc_core.classifiers import archive
from stc_core.errors import StcError
from stc_core.export import hub_repository, imported
from stc_core.export.hub_repository import PushPlan, pull_run, push_run
from stc_core.runs import run as run_module
from stc_core.runs.run import Run, list_runs

assert one_thread
# huggingface_hub uploads in a way that httpx2 no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")
REPOSITORY = "someone/my-run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs"), "stc")


@pytest.fixture
def hub(monkeypatch, own_home: Path) -> Iterator[FakeHub]:
    """A Hub for one who is logged in; files go by HTTP, as without hf_xet."""
    with logged_in(monkeypatch) as made:
        yield made


def repository(hub: FakeHub) -> Repository:
    return hub.repositories[f"models/{REPOSITORY}"]


def test_a_run_comes_back_as_it_was(run: Run, hub: FakeHub):
    sent = push_run(run, REPOSITORY)
    assert sent is not None
    assert repository(hub).private
    assert set(repository(hub).files) == {"bundle.zip", "README.md", "LICENCE.md"}
    got = pull_run(REPOSITORY, sha256=sent.sha256.upper())
    assert (got.commit, got.sha256) == (sent.commit, sent.sha256)
    assert [one.folder for one in list_runs()] == [got.run.folder]
    ours, theirs = run.classifier(device="cpu"), got.run.classifier(device="cpu")
    texts = list(TEXTS[:9])
    np.testing.assert_array_equal(
        ours.predict_proba(texts), theirs.predict_proba(texts)
    )


def test_the_card_says_how_to_get_it(run: Run, hub: FakeHub):
    push_run(run, REPOSITORY)
    card = repository(hub).files["README.md"].decode()
    assert f"stc pull {REPOSITORY}" in card
    assert card.startswith("---\n") and "library_name: stc-studio" in card
    assert b"# Licence" in repository(hub).files["LICENCE.md"]


@pytest.mark.parametrize("texts", [False, True])
def test_the_plan_says_what_will_be_sent_before_anything_is(
    run: Run, hub: FakeHub, texts: bool
):
    seen: list[PushPlan] = []

    def refuse(plan: PushPlan) -> bool:
        seen.append(plan)
        return False

    assert push_run(run, REPOSITORY, texts=texts, agree=refuse) is None
    assert hub.sent() == [] and hub.repositories == {}
    (plan,) = seen
    said = " ".join(plan.lines())
    assert plan.is_new and plan.private and "a new private repository" in said
    assert "name no licence" in said
    assert ("The texts of the training are in it" in said) == texts
    sent = push_run(run, REPOSITORY, texts=texts)
    assert sent is not None and sent.sha256 == plan.sha256
    files = repository(hub).files
    assert sum(map(len, files.values())) == plan.n_bytes


def test_texts_are_there_only_if_asked_for(run: Run, hub: FakeHub, tmp_path: Path):
    text = run.corpus["text"].max()
    for texts in (False, True):
        push_run(run, REPOSITORY, texts=texts)
        (tmp_path / "b.zip").write_bytes(repository(hub).files["bundle.zip"])
        with ZipFile(tmp_path / "b.zip") as archive:
            assert ("corpus.parquet" in archive.namelist()) == texts
    assert any(text == one for one in pull_run(REPOSITORY).run.corpus["text"])


def test_nothing_private_goes_to_a_public_repository(run: Run, hub: FakeHub):
    hub.repositories[f"models/{REPOSITORY}"] = Repository(private=False)
    with pytest.raises(StcError, match=r"got a public one.*--public"):
        push_run(run, REPOSITORY)
    assert repository(hub).files == {}
    assert push_run(run, REPOSITORY, private=False) is not None
    assert len(repository(hub).files) == 3


def test_a_new_public_repository_must_be_asked_for(run: Run, hub: FakeHub):
    push_run(run, REPOSITORY, private=False)
    assert not repository(hub).private


def test_without_a_token_the_hub_refuses(run: Run, hub: FakeHub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with pytest.raises(StcError, match=r"HTTP 401.*hf auth login"):
        push_run(run, REPOSITORY)
    hub.repositories[f"models/{REPOSITORY}"] = Repository(private=True)
    with pytest.raises(StcError, match=r"that you may see.*Check the name.*hf auth"):
        pull_run(REPOSITORY)


def test_the_token_is_sent_and_stands_nowhere(
    run: Run, hub: FakeHub, own_home: Path, caplog, capfd
):
    """Not in what is printed or logged, in an error, in the home or in the bundle."""
    with caplog.at_level(logging.DEBUG):
        push_run(run, REPOSITORY)
        got = pull_run(REPOSITORY)
        with pytest.raises(StcError) as error:
            pull_run("someone/else")
    assert any(token == f"Bearer {TOKEN}" for _, _, token in hub.asked)
    said = "".join(capfd.readouterr()) + caplog.text + str(error.value)
    assert TOKEN not in said
    kept = [path for path in own_home.rglob("*") if path.is_file()]
    assert len(kept) > 5 and got.run.folder.is_relative_to(own_home)
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()] == []
    for content in repository(hub).files.values():
        assert TOKEN.encode() not in content


def changed(bundle: bytes) -> bytes:
    """A bundle whose classifier.json has one byte more than was signed for."""
    place = bundle.index(b'"backbone"')
    return bundle[:place] + b'"Backbone"' + bundle[place + 10 :]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (changed, "its manifest.json names"),
        (lambda bundle: bundle[: len(bundle) // 2], "cut off or damaged"),
        (lambda bundle: b"#!/bin/sh", "another kind of file"),
    ],
)
def test_what_was_tampered_with_is_refused(run: Run, hub: FakeHub, spoil, reason: str):
    push_run(run, REPOSITORY)
    files = repository(hub).files
    files["bundle.zip"] = spoil(files["bundle.zip"])
    with pytest.raises(StcError, match=reason) as error:
        pull_run(REPOSITORY)
    assert f"{REPOSITORY}/bundle.zip" in str(error.value)
    assert "Do not use it" in str(error.value)
    assert list_runs() == []


def test_another_sum_is_refused(run: Run, hub: FakeHub):
    push_run(run, REPOSITORY)
    with pytest.raises(StcError, match="expected the sha256 00"):
        pull_run(REPOSITORY, sha256="00")
    assert list_runs() == []


def test_what_is_not_there_is_said(run: Run, hub: FakeHub):
    hub.repositories["models/someone/empty"] = Repository(files={"README.md": b"x"})
    with pytest.raises(StcError, match=r"expected a bundle\.zip.*Check the name"):
        pull_run("someone/empty")
    with pytest.raises(StcError, match="revision: expected a commit, branch or tag"):
        pull_run("someone/empty", revision="0" * 40)
    for name in ("alone", "a/b/c", "a b/c", "../x"):
        with pytest.raises(StcError, match=r"OWNER/NAME.*someone/topic"):
            push_run(run, name)


def test_a_hub_that_is_away_is_said(run: Run, own_home: Path, monkeypatch):
    with fake_hub() as gone:
        endpoint = gone.endpoint
    with pytest.raises(StcError, match="cannot be reached"):
        push_run(run, REPOSITORY, endpoint=endpoint)


def test_a_network_that_is_lost_after_the_first_answer_is_said(
    run: Run, hub: FakeHub, monkeypatch
):
    """The file is then not on this machine, which says nothing about the repository."""
    import huggingface_hub

    push_run(run, REPOSITORY)

    def lost(*_, **__):
        raise errors.LocalEntryNotFoundError("not here") from ConnectionError()

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lost)
    with pytest.raises(StcError, match=r"cannot be reached \(ConnectionError\)"):
        pull_run(REPOSITORY)


def test_a_token_of_other_letters_is_said_and_not_shown(
    run: Run, hub: FakeHub, monkeypatch
):
    def unsendable(*_, **__):
        raise UnicodeEncodeError("ascii", "Bearer hf_sesäme", 12, 13, "no letter")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unsendable)
    for call in (pull_run, lambda name: push_run(run, name)):
        with pytest.raises(StcError, match=r"the token of the Hub.*HF_TOKEN") as error:
            call(REPOSITORY)
        assert error.value.__suppress_context__ and "sesäme" not in str(error.value)


def test_a_hub_that_is_switched_off_is_said(run: Run, hub: FakeHub, monkeypatch):
    def off(*_, **__):
        raise errors.OfflineModeIsEnabled

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", off)
    with pytest.raises(StcError, match="Unset HF_HUB_OFFLINE"):
        pull_run(REPOSITORY)


def test_what_a_refused_upload_leaves_is_said(run: Run, hub: FakeHub, monkeypatch):
    """The repository is made before the files are sent; a second try fills it."""
    from huggingface_hub import HfApi

    def lost(*_, **__):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(HfApi, "create_commit", lost)
        with pytest.raises(StcError, match="cannot be reached") as error:
            push_run(run, REPOSITORY)
        assert "is empty; the same command fills it" in str(error.value)
        with pytest.raises(StcError) as error:
            push_run(run, REPOSITORY)
        assert "is empty" not in str(error.value)
    assert push_run(run, REPOSITORY) is not None


def test_a_bundle_that_does_not_fit_is_not_fetched(
    run: Run, hub: FakeHub, monkeypatch, own_home: Path
):
    push_run(run, REPOSITORY)
    n_bytes = len(repository(hub).files["bundle.zip"])
    free = 2 * n_bytes - 1
    small = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(hub_repository, "shutil", small)
    with pytest.raises(StcError, match=f"expected {2 * n_bytes:,} bytes") as error:
        pull_run(REPOSITORY)
    assert f"{REPOSITORY}/bundle.zip" in str(error.value)
    assert str(own_home / "bundles") in error.value.where
    assert not any("resolve" in path for _, path, _ in hub.asked)
    free += 1
    pull_run(REPOSITORY)


def test_an_interrupted_pull_leaves_nothing(
    run: Run, hub: FakeHub, monkeypatch, own_home: Path, stc
):
    import huggingface_hub

    push_run(run, REPOSITORY)

    def interrupted(*_, local_dir: Path, **__):
        (Path(local_dir) / "half").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM has no handler")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", interrupted)
    assert stc("pull", REPOSITORY).code == 130
    assert [path for path in own_home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "Free some disk space"), (errno.EACCES, "Change the rights")],
)
def test_a_fault_of_this_machine_is_not_one_of_the_hub(
    run: Run, hub: FakeHub, monkeypatch, number: int, remedy: str
):
    import huggingface_hub

    push_run(run, REPOSITORY)

    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    with pytest.raises(StcError, match=remedy) as error:
        pull_run(REPOSITORY)
    assert "reached" not in str(error.value)


def test_a_disk_that_is_full_is_not_blamed_on_the_bundle(
    run: Run, hub: FakeHub, monkeypatch
):
    push_run(run, REPOSITORY)
    small = SimpleNamespace(
        disk_usage=lambda _: SimpleNamespace(free=10), rmtree=shutil.rmtree
    )
    monkeypatch.setattr(archive, "shutil", small)
    with pytest.raises(StcError, match="Free some disk space") as error:
        pull_run(REPOSITORY)
    assert f"{REPOSITORY}/bundle.zip" in str(error.value)
    assert "Do not use it" not in str(error.value)


def test_runs_that_cannot_be_written_are_not_blamed_on_the_bundle(
    run: Run, hub: FakeHub, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    push_run(run, REPOSITORY)
    monkeypatch.setattr(imported, "unpack_bundle", full)
    with pytest.raises(StcError, match=r"No space left.*Free some disk space"):
        pull_run(REPOSITORY)


def test_a_bundle_of_another_version_says_which_opens_it(
    run: Run, hub: FakeHub, monkeypatch
):
    push_run(run, REPOSITORY)
    monkeypatch.setattr(archive, "BUNDLE_VERSION", 2)
    with pytest.raises(StcError, match="with the version of STC Studio that wrote it"):
        pull_run(REPOSITORY)
    monkeypatch.setattr(archive, "BUNDLE_VERSION", 1)
    monkeypatch.setattr(run_module, "RUN_FORMAT", 99)
    with pytest.raises(StcError, match="with the version of STC Studio") as error:
        pull_run(REPOSITORY)
    assert error.value.where == f"{REPOSITORY}/bundle.zip/config.json"


def test_the_commands(run: Run, hub: FakeHub, stc, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    said = stc("push", run.folder, REPOSITORY)
    assert said.code == 2 and "Pass --yes" in said.err and hub.sent() == []
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = stc("push", run.folder, REPOSITORY)
    assert said.code == 0 and "Nothing was sent" in said.err and hub.sent() == []
    said = stc("push", run.folder, REPOSITORY, "--yes")
    assert said.code == 0, said.err
    assert "a new private repository" in said.err and "sha256" in said.err
    said = stc("pull", REPOSITORY, "--revision", repository(hub).commit)
    assert said.code == 0, said.err
    (got,) = list_runs()
    assert str(got.folder) in said.err
    assert json.loads((got.folder / "config.json").read_text())["train"]
    assert TOKEN not in said.err
