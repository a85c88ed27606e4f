"""A run on the Hugging Face Hub, as a repository with a bundle and its model card.

Tokens are those of huggingface_hub (`hf auth login`, or $HF_TOKEN). They are never
arguments, so they are in no settings, no message and no shell history.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from stc_core.classifiers.archive import ForeignBundle, read_manifest
from stc_core.errors import StcError
from stc_core.export.card import hub_card
from stc_core.export.hub_errors import BUNDLE, explain_hub_errors
from stc_core.export.imported import import_bundle
from stc_core.export.portable import CARD, LICENCE
from stc_core.files import hash_file, working_folder, write_error
from stc_core.paths import bundles_folder
from stc_core.runs.run import Run

_LICENCE_LINE = "license:"


class PushPlan(NamedTuple):
    """What is about to be sent.

    `is_new` repositories are made, private or not; `licence` is that which the card of
    the language model names, or ''.
    """

    repository: str
    private: bool
    is_new: bool
    n_bytes: int
    sha256: str
    has_texts: bool
    licence: str
    files: tuple[str, ...]

    def lines(self) -> list[str]:
        """The plan in sentences."""
        from stc_core.display import size

        kind = "private" if self.private else "public"
        new = "a new" if self.is_new else "the"
        licence = (
            f"The language model has the licence {self.licence!r}; its terms hold for "
            "this copy, too."
            if self.licence
            else "The files of the language model name no licence: look at its page "
            "before you pass it on."
        )
        texts = (
            "The texts of the training are in it, with the answers for them."
            if self.has_texts
            else "No text of the training is in it. The names of its labels, columns "
            "and files are."
        )
        return [
            f"{size(self.n_bytes)} go to {new} {kind} repository {self.repository}: "
            f"{', '.join(self.files)}.",
            texts,
            licence,
        ]


class PushedRun(NamedTuple):
    """The commit that holds the run, and the sha256 of the bundle."""

    commit: str
    sha256: str


class PulledRun(NamedTuple):
    """The run that was made, its commit on the Hub and the sha256 of the bundle."""

    run: Run
    commit: str
    sha256: str


def push_run(
    run: Run,
    repository: str,
    *,
    texts: bool = False,
    private: bool = True,
    agree: Callable[[PushPlan], bool] | None = None,
    endpoint: str | None = None,
) -> PushedRun | None:
    """Send the finished `run` to the model repository `repository` (owner/name).

    A repository that is not there is made, private unless told otherwise. With `texts`
    the bundle has the texts of the training. `agree` is asked before anything is sent
    or made; None comes back if it says no. Raises StcError if the run is not finished,
    if a public repository would get what is to be private, and if the Hub refuses.
    """
    from stc_core.export.bundle import write_bundle

    api = _api(_checked(repository), endpoint)
    with explain_hub_errors(repository):
        found = _visibility(api, repository)
    if found == "public" and private:
        raise StcError(
            f"repository {repository!r}",
            expected="a private repository",
            got="a public one",
            remedy="Choose another name, or say --public.",
        )
    with _working_folder("push") as made:
        bundle = made / BUNDLE
        write_bundle(run, bundle, texts=texts)
        files = {BUNDLE: bundle, **_cards(bundle, made, repository)}
        is_private = private if found is None else found == "private"
        plan = _plan(repository, files, texts=texts, private=is_private)
        plan = plan._replace(is_new=found is None)
        if agree is not None and not agree(plan):
            return None
        commit = _send(api, plan, files)
    return PushedRun(commit, plan.sha256)


def _plan(
    repository: str, files: dict[str, Path], *, texts: bool, private: bool
) -> PushPlan:
    """What sending these files means, for a repository that is there."""
    return PushPlan(
        repository,
        private,
        is_new=False,
        n_bytes=sum(path.stat().st_size for path in files.values()),
        sha256=hash_file(files[BUNDLE]).sha256,
        has_texts=texts,
        licence=_licence_in(files[CARD]),
        files=tuple(files),
    )


def pull_run(
    repository: str,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    endpoint: str | None = None,
) -> PulledRun:
    """Make a run of the bundle in `repository`, in the folder of all runs.

    The bundle is checked as `import_bundle` does it: nothing in it is executed. With
    `sha256` the file must also have that sum. Raises StcError if the repository is not
    there, has no bundle, or if the bundle is refused.
    """
    from huggingface_hub import hf_hub_download

    api = _api(_checked(repository), endpoint)
    with _working_folder("pull") as made:
        with explain_hub_errors(repository):
            found = api.model_info(repository, revision=revision, files_metadata=True)
            _check_space(found, made)
            commit = str(found.sha)
            path = Path(
                hf_hub_download(
                    repository,
                    BUNDLE,
                    revision=commit,
                    local_dir=made,
                    endpoint=api.endpoint,
                )
            )
        got = hash_file(path).sha256
        if sha256 is not None and got != sha256.lower():
            raise StcError(
                f"bundle of {repository!r}",
                expected=f"the sha256 {sha256}",
                got=got,
                remedy="Ask who gave you the sum; do not use the bundle.",
            )
        with _named(repository, path):
            run = import_bundle(path)
    return PulledRun(run, commit, got)


@contextmanager
def _working_folder(what: str) -> Iterator[Path]:
    """A folder on the disk of the home for the bundle that is sent or comes."""
    path = bundles_folder() / what
    with ExitStack() as stack:
        try:
            made = stack.enter_context(working_folder(path))
        except OSError as error:
            raise write_error(path.parent, error) from error
        yield made


def _check_space(found: Any, folder: Path) -> None:
    """StcError if the bundle of the repository `found` is too large for the disk.

    It is there twice for a while: as one file, and as the files of the run.
    """
    sizes = [
        file.size or 0 for file in found.siblings or () if file.rfilename == BUNDLE
    ]
    n_bytes, free = 2 * sum(sizes), shutil.disk_usage(folder).free
    if n_bytes > free:
        raise StcError(
            f"folder {str(folder.parent)!r}",
            expected=f"{n_bytes:,} bytes of free disk space for {found.id}/{BUNDLE}",
            got=f"{free:,}",
            remedy="Free some disk space, or name another folder in $STC_HOME.",
        )


def _api(repository: str, endpoint: str | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint or os.environ.get("HF_ENDPOINT") or None)


def _checked(repository: str) -> str:
    """The id of a repository; StcError if it is not owner/name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError:
        is_id = False
    else:
        is_id = repository.count("/") == 1
    if not is_id:
        raise StcError(
            f"repository {repository!r}",
            expected="OWNER/NAME, of letters, digits, '-', '_' and '.'",
            remedy="Give the end of the address of its page, such as someone/topic.",
        )
    return repository


def _visibility(api: Any, repository: str) -> str | None:
    """'private' or 'public'; None if there is no such repository."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return "private" if api.model_info(repository).private else "public"
    except RepositoryNotFoundError:
        return None


def _cards(bundle: Path, folder: Path, repository: str) -> dict[str, Path]:
    """The card and the licence note of the bundle, as files beside it."""
    read_manifest(bundle)
    with ZipFile(bundle) as archive:
        card, licence = archive.read(CARD).decode(), archive.read(LICENCE)
    (folder / CARD).write_text(hub_card(card, repository), encoding="utf-8")
    (folder / LICENCE).write_bytes(licence)
    return {name: folder / name for name in (CARD, LICENCE)}


def _licence_in(card: Path) -> str:
    lines = card.read_text("utf-8").splitlines()
    named = [line for line in lines if line.startswith(_LICENCE_LINE)]
    return named[0].removeprefix(_LICENCE_LINE).strip() if named else ""


def _send(api: Any, plan: PushPlan, files: dict[str, Path]) -> str:
    """Make the repository if it is new, and commit the files at once."""
    from huggingface_hub import CommitOperationAdd

    if plan.is_new:
        with explain_hub_errors(plan.repository):
            api.create_repo(plan.repository, private=plan.private)
    left = "The new repository is empty; the same command fills it."
    with explain_hub_errors(plan.repository, after=left if plan.is_new else ""):
        commit = api.create_commit(
            plan.repository,
            [CommitOperationAdd(name, path) for name, path in files.items()],
            commit_message="Upload a run of STC Studio",
        )
    return str(commit.oid)


@contextmanager
def _named(repository: str, path: Path) -> Iterator[None]:
    """Name the repository in an error about the file that came from it.

    Only if its content is at fault it is not to be used: a full disk and the like keep
    their own remedy.
    """
    try:
        yield
    except StcError as error:
        where = error.where.replace(str(path), f"{repository}/{BUNDLE}")
        raise StcError(
            where,
            expected=error.expected,
            got=error.got,
            remedy="Do not use it, and tell its owner."
            if isinstance(error, ForeignBundle)
            else error.remedy,
        ) from error
