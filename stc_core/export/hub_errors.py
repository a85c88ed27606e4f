"""What the Hugging Face Hub refuses, in sentences that hold nothing that was sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from stc_core.errors import StcError
from stc_core.files import machine_error

BUNDLE = "bundle.zip"
"""The name of the bundle in a repository."""


@contextmanager
def explain_hub_errors(repository: str, *, after: str = "") -> Iterator[None]:
    """Turn what the Hub refuses into a StcError, without what was sent to it.

    `after` is added to the remedy: the state in which the refusal leaves the Hub.
    """
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    )

    try:
        yield
    except StcError:
        raise
    except UnicodeEncodeError:  # it has the token, so it is not passed on
        raise StcError(
            "the token of the Hub",
            expected="plain letters, digits and '_', beginning with hf_",
            got="other characters",
            remedy="Log in with `hf auth login`, or mend HF_TOKEN.",
        ) from None
    # A ValueError is about the model card, a RuntimeError about a broken upload.
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        told = hub_error(repository, error)
        remedy = " ".join(filter(None, (told.remedy, after)))
        raise StcError(
            told.where, expected=told.expected, got=told.got, remedy=remedy or None
        ) from error


def hub_error(repository: str, error: Exception) -> StcError:
    """The error of huggingface_hub in our words."""
    from huggingface_hub import errors

    where = f"repository {repository!r}"
    log_in = "Log in with `hf auth login`, or set HF_TOKEN, to an account that may."
    if isinstance(error, errors.LocalEntryNotFoundError):
        # The file is not on this machine, which is so because of another error.
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    if problem := machine_error(error):
        return problem
    if isinstance(error, errors.GatedRepoError):
        return StcError(f"{where} is gated", remedy="Ask for access there.")
    if isinstance(error, errors.RepositoryNotFoundError):
        expected = "a repository that is there and that you may see"
        remedy = f"Check the name. {log_in}"
        return StcError(where, expected=expected, got="none", remedy=remedy)
    if isinstance(error, errors.RevisionNotFoundError):
        expected, remedy = "a commit, branch or tag of it", "Its page lists them."
        return StcError(f"{where}, revision", expected=expected, remedy=remedy)
    if _is_no_such_file(error):
        expected = f"a {BUNDLE}, as `stc push` writes it"
        remedy = "Check the name: it holds no run of STC Studio, or none any more."
        return StcError(where, expected=expected, got="none", remedy=remedy)
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        remedy = log_in if status in (401, 403) else "Try again later."
        return StcError(f"{where}: the Hub refuses (HTTP {status})", remedy=remedy)
    if isinstance(error, ValueError):
        expected, got = "a model card that the Hub takes", str(error)[:200]
        remedy = "Send the bundle by hand: stc export RUN FILE."
        return StcError(where, expected=expected, got=got, remedy=remedy)
    if isinstance(error, errors.OfflineModeIsEnabled):
        remedy = "Unset HF_HUB_OFFLINE to go there."
        return StcError(f"{where}: HF_HUB_OFFLINE forbids the Hub", remedy=remedy)
    cause = type(error.__cause__ or error).__name__
    return StcError(
        f"{where}: the Hub cannot be reached ({cause})",
        remedy="Check the network and HF_ENDPOINT, then try again.",
    )


def _is_no_such_file(error: Exception) -> bool:
    """Whether the Hub says that the repository does not have the file."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    is_local = isinstance(error, LocalEntryNotFoundError)
    return isinstance(error, EntryNotFoundError) and not is_local
