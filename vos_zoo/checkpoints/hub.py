"""Single files from the Hugging Face Hub, with its errors said in a way that tells what to do.

Knows nothing of models or configs. The HTTP library below huggingface_hub differs between its versions 1 and
2, so that library's errors are caught through the bases of HfHubHTTPError and never by name.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from vos_zoo.checkpoints.transfer import bounded, seconds_for
from vos_zoo.errors import CheckpointError, ModelNotFoundError, VosZooError

REPO_ID = re.compile(r"(?=.{3,96}$)[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
MAX_FILE_BYTES = 50 * 10**9  # the Hub's limit for one file
_USUAL_BYTES = 10**7  # of a file whose size is not known before
_CACHE_TROUBLE = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


def is_repo_id(text: str) -> bool:
    """True for "owner/name" in the Hub's spelling."""
    return REPO_ID.fullmatch(text) is not None and "--" not in text and ".." not in text


def is_commit(text: str | None) -> bool:
    """True for a whole commit, 40 lower-case hex digits: the only revision that can't move."""
    return text is not None and _COMMIT.fullmatch(text) is not None


def fetch(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    repo_type: str = "model",
    expected_bytes: int | None = None,
    most_bytes: int = MAX_FILE_BYTES,
) -> Path:
    """The local path of a file in a Hub repository, downloaded where the cache does not hold it.

    revision: branch, tag or commit; None is the main branch. A commit (40 hex digits) that is cached makes no HTTP call.
    token: None takes HF_TOKEN or the login that is saved, False sends none.
    local_files_only: take it from the cache or fail.
    cache_dir: instead of the Hub's own cache (HF_HOME).
    expected_bytes: what the file must have on the Hub; another size is refused before the download. Costs a HEAD request
        where the file is not cached.
    most_bytes: what the file may have at most, by what the Hub announces and by what arrives.
    A download that is cut goes on where it stopped; the client tries five times before it gives up. `transfer.seconds_for` says how long
    one may take in all.
    Raises ModelNotFoundError (no such repository, revision or file, no access, no network, no end) or CheckpointError
    (another size, too large; the cache can't be written). The token is in none of the messages.
    """
    from huggingface_hub import hf_hub_download

    check_token(token)
    if revision is not None and (not isinstance(revision, str) or not revision.strip()):
        raise ModelNotFoundError(
            f"revision={revision!r:.80} is neither a branch, a tag nor a commit of {repo_id!r}. Leave it out for the main branch."
        )
    given: dict[str, Any] = {
        "repo_id": repo_id,
        "filename": filename,
        "revision": revision,
        "token": token,
        "local_files_only": local_files_only,
        "cache_dir": cache_dir,
        "repo_type": repo_type,
        **named(),
    }
    most = most_bytes if expected_bytes is None else expected_bytes
    what = f"{filename} of {_at(repo_id, revision)}"

    def transfer(bar: type) -> str:
        if expected_bytes is not None:
            there = hf_hub_download(**given, dry_run=True)
            if there.will_download and there.file_size not in (None, expected_bytes):
                raise CheckpointError(
                    f"{what} is not the file that its config describes: {there.file_size:,} bytes on "
                    f"the Hub, {expected_bytes:,} in the config. It was not fetched. Take another revision, or tell its owner."
                )
        return hf_hub_download(**given, tqdm_class=bar)

    try:
        path = Path(bounded(transfer, what, most_bytes=most, seconds=seconds_for(min(most, expected_bytes or _USUAL_BYTES))))
        if (size := path.stat().st_size) > most:
            raise CheckpointError(f"{what} has {size:,} bytes, at most {most:,} are taken for such a file. Delete {path.resolve()}.")
        return path
    except failures() as error:
        _translate(error, repo_id, filename, revision, local_files_only)


def commit_of(path: Path) -> str | None:
    """The commit that a fetched file belongs to, so that the next file is taken from the same one."""
    return path.parent.name if is_commit(path.parent.name) else None


def failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when something outside this program is wrong. hf_xet reports a failed transfer as a RuntimeError."""
    from huggingface_hub import errors

    return (OSError, RuntimeError, *_defined_errors(errors), *errors.HfHubHTTPError.__bases__)


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, or behind the one that caused it."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return None


def check_token(token: str | bool | None) -> None:
    """ModelNotFoundError for a token that no header can carry: an HTTP library would print it in its error."""
    if isinstance(token, str) and not re.fullmatch(r"[!-~]+", token):
        raise ModelNotFoundError(
            "token= is empty or holds blanks, line breaks or characters beyond ASCII. "
            "Pass it without them (token.strip()), or leave it out."
        )


def offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def named() -> dict[str, Any]:
    """How this library calls itself in its requests."""
    try:
        version = importlib.metadata.version("vos_zoo")
    except importlib.metadata.PackageNotFoundError:
        version = None
    return {"library_name": "vos_zoo", "library_version": version}


def _translate(error: Exception, repo_id: str, filename: str, revision: str | None, local_files_only: bool) -> NoReturn:
    from huggingface_hub import errors

    at = _at(repo_id, revision)
    page = f"https://huggingface.co/{repo_id}"
    status = status_of(error)
    said: VosZooError
    if isinstance(error, errors.GatedRepoError):
        said = ModelNotFoundError(f"{repo_id!r} is gated. Accept its terms at {page}, then log in with `hf auth login` or pass token=.")
    elif isinstance(error, errors.DisabledRepoError):
        said = ModelNotFoundError(f"{repo_id!r} has been disabled on the Hub. Take another model; {page} may say why.")
    elif isinstance(error, errors.RepositoryNotFoundError):
        said = ModelNotFoundError(
            f"no repository {repo_id!r} on the Hub, or it is private, and no folder of "
            "that name here. Check the spelling; for a private one log in with `hf "
            "auth login` or pass token=."
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        said = ModelNotFoundError(
            f"{repo_id!r} has no revision {revision!r}. {page}/tree/main lists its "
            "branches and tags; leave revision= out for the main branch."
        )
    elif isinstance(error, errors.LocalEntryNotFoundError):
        if local_files_only or offline():
            why = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE=1"
            said = ModelNotFoundError(
                f"{filename} of {at} is not in the cache, and {why} forbids fetching it. Load it once with the network allowed, "
                f"for instance by `vos-zoo download {repo_id}`."
            )
        else:
            said = _unreachable(at, filename, error.__cause__ or error)
    elif isinstance(error, errors.EntryNotFoundError):
        said = ModelNotFoundError(
            f"{at} on the Hub holds no {filename}, so it is not a whole vos_zoo checkpoint. Check the name, or take another revision."
        )
    elif status in (401, 403):
        said = ModelNotFoundError(
            f"the Hub refused access to {at} (HTTP {status}). The token is wrong, has "
            "expired or may not read it: log in again with `hf auth login`, or pass "
            "another token=."
        )
    elif isinstance(error, OSError) and error.errno in _CACHE_TROUBLE:
        said = CheckpointError(
            f"{filename} of {at} can't be stored in the cache ({error.strerror}). Free "
            "space, or set HF_HOME to a folder that you can write to."
        )
    else:
        said = _unreachable(at, filename, error)
    raise said from error


def _at(repo_id: str, revision: str | None) -> str:
    return f"{repo_id!r}" if revision is None else f"{repo_id!r} at revision {revision!r}"


def _unreachable(at: str, filename: str, error: BaseException) -> VosZooError:
    status = status_of(error)
    detail = type(error).__name__ if status is None else f"HTTP {status}"
    return ModelNotFoundError(
        f"{filename} of {at} could not be fetched from the Hub ({detail}), and the "
        "cache does not hold it. Check the network and proxy (or HF_ENDPOINT), and try "
        "again: files that have arrived whole are kept. A folder or a shipped name, see "
        "list_models(), needs no network."
    )


def _defined_errors(module: ModuleType) -> tuple[type[Exception], ...]:
    classes = [each for each in vars(module).values() if isinstance(each, type)]
    return tuple(each for each in classes if issubclass(each, Exception) and each.__module__ == module.__name__)
