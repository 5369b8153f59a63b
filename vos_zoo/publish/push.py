"""Publish a checkpoint or a Space: check, show, send in one commit, load back, tag."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.checkpoints import hub
from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.checkpoints.sources import Access, on_hub
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import PublishError, VosZooError, VosZooWarning
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.publish.parcel import Load, Parcel
from vos_zoo.publish.repository import Repository, Sent, There

if TYPE_CHECKING:
    import torch

_REF = re.compile(r"[A-Za-z0-9][\w./-]{0,120}", re.ASCII)
_STALE_WEIGHTS = re.compile(r"model[\w.-]*\.safetensors(\.index\.json)?")


@dataclass(frozen=True)
class Published:
    """What was done."""

    repo_id: str
    commit: str  # 40 hex digits: `load(repo_id, revision=commit)` always gives this
    url: str
    sent: tuple[str, ...]  # paths that were new or changed; none when everything was there already
    removed: tuple[str, ...]
    pull_request: str | None = None
    tag: str | None = None

    def __str__(self) -> str:
        did = f"sent {', '.join(self.sent)}" if self.sent else "nothing new to send" if not self.removed else "sent nothing"
        did += f"; removed {', '.join(self.removed)}" if self.removed else ""
        more = [f"pull request: {self.pull_request}"] if self.pull_request else []
        more += [f"tag: {self.tag}"] if self.tag else []
        return "\n".join([f"{self.url}: {did}", f"commit: {self.commit}, loaded back and compared", *more])


def push(
    parcel: Parcel,
    *,
    load: Load,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    message: str | None = None,
    token: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Published:
    """Sends what is new of a parcel in one commit, loads it back at that commit, and tags it.

    load: makes a Segmenter of a checkpoint that has been found: `Segmenter.from_source`.
    private: of a repository that is made now; an existing one keeps its visibility.
    revision: the branch, made if it is not there; None is main. create_pr: open a pull request instead.
    tag: name for the commit. A tag that is there already is never moved.
    token: None takes HF_TOKEN or the saved login.
    say: is told line by line what is done.

    Raises PublishError; before anything is sent where that can be known. An interrupted upload leaves the branch as it was. A VosZooWarning
    tells when an existing repository is private though that was not asked; if it is public and private was asked, nothing is sent.
    """
    branch = _checked(revision, create_pr, tag)
    repository = Repository(parcel.repo_id, parcel.kind, token)
    there = repository.look(branch)
    there = _prepared(repository, there, branch, private, create_pr, parcel.sdk)
    new = [item for item in parcel.items if not there.holds(item)]
    gone = _gone(parcel, there)
    _check_tag(tag, there, bool(new or gone))
    for item in parcel.items:
        state = "same" if item not in new else "changed" if item.path in there.files else "new"
        say(f"{state:<8}{item.size:>14,}  {item.sha256}  {item.path}")
    for path in gone:
        say(f"{'remove':<8}{'':>14}  {'':64}  {path}")
    if new or gone:
        say(f"sending {len(new)} of {len(parcel.items)} files to {repository.url}")
        first = not there.files.keys() - {".gitattributes"}
        text = message or f"{'Publish' if first else 'Update'} {parcel.repo_id.split('/')[1]} with vos_zoo"
        sent = repository.commit(new, gone, text, branch=branch, parent=there.commit, create_pr=create_pr)
    else:
        sent = Sent(str(there.commit), f"{repository.url}/commit/{there.commit}")
    say(f"loading it back at {sent.commit}")
    _load_back(parcel, sent, token, load)
    if tag is not None and there.tags.get(tag) != sent.commit:
        repository.tag(tag, sent.commit)
    return Published(parcel.repo_id, sent.commit, repository.url, tuple(i.path for i in new), tuple(gone), sent.pull_request, tag)


def push_model(
    model: torch.nn.Module,
    config: ModelConfig,
    repo_id: str,
    *,
    load: Load,
    token: str | None = None,
    dtype: str | None = "float16",
    **options: Any,
) -> Published:
    """Saves a model and publishes it with a generated card: `Segmenter.push_to_hub`.

    load: as in `push`. dtype: of the stored weights, as in `checkpoints.save`. options: those of `push`. Scores in the config that belong
    to other weights than the model's are left out, with a VosZooWarning. Raises what `checkpoint_parcel` and `push` raise.
    """
    known = config.weights
    if {str(each.dtype) for each in model.parameters()} == {"torch.bfloat16"} and not (known and known.dtype == "bfloat16"):
        raise PublishError("this model computes in bfloat16, which has rounded its weights. Load it with dtype='float32', then publish it.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = save(model, config, Path(scratch) / "checkpoint", dtype=dtype)
        config = ModelConfig.read(folder / CONFIG_FILE)
        if config.metrics and (known is None or config.weights is None or config.weights.sha256 != known.sha256):
            warnings.warn(
                f"the scores in the config of {config.name!r} were measured with other weights, so they are not published. Evaluate "
                "this model, and record what was measured with tools/make_card.py --scores.",
                VosZooWarning,
                stacklevel=3,
            )
            (folder / CONFIG_FILE).write_text(config.replace(metrics=[]).to_json(), encoding="utf-8")
        return push(checkpoint_parcel(folder, repo_id, load=load), load=load, token=token, **options)


def _checked(revision: str | None, create_pr: bool, tag: str | None) -> str:
    for kind, value in (("branch", revision), ("tag", tag)):
        if value is not None and (not _REF.fullmatch(value) or ".." in value or value.endswith(("/", ".", ".lock"))):
            raise PublishError(f"{value!r:.80} is no name for a {kind}: give letters, digits, '.', '_' and '-'.")
        if hub.is_commit(value):
            raise PublishError(f"{value!r} looks like a commit: give the name of a {kind}.")
    if revision is not None and create_pr:
        raise PublishError("a pull request goes to main: give either a branch or ask for a pull request, not both.")
    if create_pr and tag is not None:
        raise PublishError("a pull request is not tagged: tag it when it has been merged.")
    return revision or "main"


def _prepared(repository: Repository, there: There | None, branch: str, private: bool, create_pr: bool, sdk: str | None) -> There:
    """The repository and its branch, made where they are not there yet."""
    if there is None:
        if create_pr:
            raise PublishError(f"there is no {repository.repo_id!r} on the Hub to open a pull request on. Publish without one to make it.")
        repository.create(private, sdk)
        there = repository.look(branch)
        if there is None:
            raise PublishError(f"{repository.repo_id!r} was made, but can't be seen. Look at {repository.url}, then run it again.")
    if private and not there.private:
        raise PublishError(
            f"{repository.repo_id!r} is public, and you asked for a private one. Nothing was sent, since everybody could read it. Make it "
            f"private at {repository.url}/settings, or do not ask for private."
        )
    if there.private and not private:
        warnings.warn(
            f"{repository.repo_id!r} is private and stays so, though you did not ask for private. Its visibility is changed at "
            f"{repository.url}/settings.",
            VosZooWarning,
            stacklevel=4,
        )
    if there.commit is None and branch != "main":
        repository.create_branch(branch)
        there = repository.look(branch) or there
    return there


def _gone(parcel: Parcel, there: There) -> list[str]:
    """Files on the Hub that would contradict the new ones: a Space's all others, a checkpoint's old weights."""
    others = sorted(set(there.files) - {item.path for item in parcel.items} - {".gitattributes"})
    return others if parcel.kind == "space" else [path for path in others if _STALE_WEIGHTS.fullmatch(path)]


def _check_tag(tag: str | None, there: There, changes: bool) -> None:
    known = None if tag is None else there.tags.get(tag)
    if known is not None and (changes or known != there.commit):
        raise PublishError(f"the tag {tag!r} is there already, at {known}, and tags are not moved. Nothing was sent. Choose another tag.")


def _load_back(parcel: Parcel, sent: Sent, token: str | None, load: Load) -> None:
    """Every file fetched at the commit into an empty cache and compared; a checkpoint loaded from there."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for item in parcel.items:
                where: dict[str, Any] = {"repo_type": parcel.kind, "revision": sent.commit, "token": token, "cache_dir": scratch}
                where["most_bytes"] = item.size
                if (found := sha256_of(hub.fetch(parcel.repo_id, item.path, **where))) != item.sha256:
                    raise PublishError(f"{item.path} has sha256 {found}, not {item.sha256}")
            if parcel.kind == "model":
                load(on_hub(parcel.repo_id, Access(sent.commit, token, cache_dir=scratch)), device="cpu", dtype="float32")
        except VosZooError as error:
            raise PublishError(
                f"{parcel.repo_id!r} was written (commit {sent.commit}), but it does not come back as it was sent: {error} Look at "
                f"{sent.url}, and run it again; if it stays so, revert that commit there."
            ) from error
