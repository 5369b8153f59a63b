"""One repository on the Hub, to be written to: what lies there, one commit, a tag; with errors that tell what to do.

The commit is made by `create_commit`, never by `upload_folder`: the latter makes several commits of one upload where it can, and an
interrupted one would leave half a repository at the head. Knows nothing of models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vos_zoo.checkpoints import hub
from vos_zoo.errors import PublishError
from vos_zoo.publish.parcel import Item, Kind

HELP = "Log in with a token that may write to it: `hf auth login`, HF_TOKEN or token=."


@dataclass(frozen=True)
class There:
    """What lies on the Hub at a branch."""

    private: bool
    commit: str | None  # the branch's head; None where the branch is not there yet
    files: dict[str, str]  # path -> SHA-256 of a file in LFS, SHA-1 of its git blob else
    tags: dict[str, str]  # name -> commit

    def holds(self, item: Item) -> bool:
        """Whether the very file is there already."""
        known = self.files.get(item.path)
        return known is not None and known == (item.sha256 if len(known) == 64 else item.git_blob())


@dataclass(frozen=True)
class Sent:
    """A commit that was made."""

    commit: str
    url: str
    pull_request: str | None = None


class Repository:
    """repo_id on the Hub. The token is held by the Hub's client alone and is in no message and no repr."""

    def __init__(self, repo_id: str, kind: Kind, token: str | None = None) -> None:
        from huggingface_hub import HfApi, get_token

        if hub.offline():
            raise PublishError("HF_HUB_OFFLINE=1 forbids publishing. Unset it, or look at what would be sent with --dry-run.")
        hub.check_token(token)
        if token is None and get_token() is None:
            raise PublishError(f"you are not logged in to the Hub, so nothing can be published to {repo_id!r}. {HELP}")
        self.repo_id, self.kind = repo_id, kind
        self._api = HfApi(token=token, **hub.named())
        self._where: dict[str, Any] = {"repo_id": repo_id, "repo_type": kind}

    def __repr__(self) -> str:
        return f"<Repository {self.kind} {self.repo_id}>"

    @property
    def url(self) -> str:
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{'spaces/' if self.kind == 'space' else ''}{self.repo_id}"

    def look(self, branch: str) -> There | None:
        """What lies there; None where no repository is (or none that this token may see)."""
        from huggingface_hub import errors

        with self._explained("read"):
            try:
                info = self._api.repo_info(**self._where)
            except errors.GatedRepoError:
                raise
            except errors.RepositoryNotFoundError:
                return None
            refs = self._api.list_repo_refs(**self._where)
            heads = {each.name: each.target_commit for each in refs.branches}
            tags = {each.name: each.target_commit for each in refs.tags}
            commit = heads.get(branch)
            files = {} if commit is None else self._files(commit)
            return There(bool(info.private), commit, files, tags)

    def create(self, private: bool, sdk: str | None = None) -> None:
        """sdk: of a Space."""
        with self._explained("created"):
            self._api.create_repo(**self._where, private=private, exist_ok=True, space_sdk=sdk)

    def create_branch(self, branch: str) -> None:
        with self._explained(f"given a branch {branch!r}"):
            self._api.create_branch(**self._where, branch=branch, exist_ok=True)

    def commit(
        self, items: Sequence[Item], gone: Sequence[str], message: str, *, branch: str, parent: str | None, create_pr: bool = False
    ) -> Sent:
        """Sends files and removes others in one commit on top of `parent`, all or nothing."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationAdd(item.path, item.content) for item in items]
        operations += [CommitOperationDelete(path) for path in gone]
        with self._explained("written to", branch=branch, parent=parent):
            done = self._api.create_commit(
                **self._where,
                operations=operations,
                commit_message=message,
                revision=None if branch == "main" else branch,
                create_pr=create_pr,
                parent_commit=parent,
            )
        return Sent(str(done.oid), str(done.commit_url), done.pr_url)

    def tag(self, name: str, commit: str) -> None:
        with self._explained(f"tagged {name!r}"):
            self._api.create_tag(**self._where, tag=name, revision=commit)

    def _files(self, commit: str) -> dict[str, str]:
        tree: Any = self._api.list_repo_tree(**self._where, recursive=True, revision=commit)
        return {each.path: each.lfs.sha256 if each.lfs else each.blob_id for each in tree if hasattr(each, "blob_id")}

    @contextlib.contextmanager
    def _explained(self, what: str, *, branch: str = "", parent: str | None = None) -> Iterator[None]:
        """PublishError out of whatever the Hub's client raises. With a branch, it also says where the branch stands now."""
        failures: tuple[type[Exception], ...] = (*hub.failures(), ValueError)
        try:
            yield
        except failures as error:
            now = self._state(branch, parent) if branch else ""
            raise PublishError(f"{self.repo_id!r} could not be {what} ({_detail(error)}).{now} {_fix(error)}") from error

    def _state(self, branch: str, parent: str | None) -> str:
        try:
            heads = {each.name: each.target_commit for each in self._api.list_repo_refs(**self._where).branches}
        except hub.failures():
            return " Whether the commit was made is not known."
        if heads.get(branch) == parent:
            return f" No commit was made: {branch} stands where it stood, at {parent}."
        return f" {branch} stands at {heads.get(branch)} now, not at {parent}."


def _detail(error: BaseException) -> str:
    if type(error) is ValueError and "metadata" in str(error):  # what the Hub says of the card
        return " ".join(str(error).split())[:500]
    status = hub.status_of(error)
    while error.__cause__ is not None and getattr(error, "server_message", None) is None:
        error = error.__cause__
    said = getattr(error, "server_message", None)
    return type(error).__name__ if status is None else f"HTTP {status}{f': {said}' if said else ''}"


def _fix(error: BaseException) -> str:
    status = hub.status_of(error)
    if status in (401, 403, 404):
        return f"It is not there, or you may not write to it. {HELP}"
    if status in (409, 412):
        return "Somebody else wrote to it meanwhile. Run it again: what lies there now is looked at anew."
    if status in (400, 422) or isinstance(error, ValueError):
        return "The Hub refuses it as it is: correct what it says, then run it again."
    return f"Check the network and proxy (or HF_ENDPOINT, {_host()}), and run it again: only what is missing is sent."


def _host() -> str:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]
