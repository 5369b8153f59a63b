"""Where a checkpoint is: a folder, a name in hub_configs/, or a repository on the Hub; and its files, fetched and verified.

Reads configs and bytes only: no model is built here and no torch imported.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints import catalogue, hub, shards, shared, weights
from vos_zoo.checkpoints.config import CONFIG_FILE, MAX_CONFIG_BYTES, WEIGHTS_FILE, ModelConfig, Shard, WeightsFile
from vos_zoo.errors import CheckpointError, ModelNotFoundError, VosZooError, did_you_mean

_FILE_SUFFIXES = weights.PICKLE_SUFFIXES | {".safetensors", ".json"}


@dataclass(frozen=True)
class Access:
    """How the Hub is asked, if it is."""

    revision: str | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    cache_dir: str | os.PathLike[str] | None = None

    def __repr__(self) -> str:  # without the token
        return f"Access(revision={self.revision!r}, local_files_only={self.local_files_only})"

    def fetch(
        self, repo_id: str, file: str, revision: str | None, expected_bytes: int | None = None, most_bytes: int = hub.MAX_FILE_BYTES
    ) -> Path:
        return hub.fetch(
            repo_id,
            file,
            revision=revision,
            token=self.token,
            local_files_only=self.local_files_only,
            cache_dir=self.cache_dir,
            expected_bytes=expected_bytes,
            most_bytes=most_bytes,
        )


@dataclass(frozen=True)
class Source:
    """A checkpoint that was found, its config read."""

    label: str  # how messages call it
    config: ModelConfig
    folder: Path  # that holds the config
    locate: Callable[[WeightsFile | Shard], Path]  # finds or fetches a file; called when the config has been checked
    shipped: bool = False
    fetch: Callable[[str, int | None], Path] | None = None  # (path, bytes it has) -> another file of a repository; None: it is a folder

    def files(self) -> list[weights.Piece]:
        """The safetensors files of this checkpoint, fetched where they have to be, of the size and SHA-256 that the config says.

        Raises ModelNotFoundError when the config names none, or they can't be fetched; CheckpointError when one is
        another than the config says.
        """
        entry = self.config.weights
        if entry is None:
            raise self.lacks_weights()
        if entry.shared is not None:
            refuse_way_out(self.folder, entry.shared.own.file)
        if (pieces := shared.pieces(self.folder, entry)) is not None:
            return pieces
        paths = []
        for each in entry.files:
            paths.append(self.locate(each))
            weights.verify_file(paths[-1], each)
        if entry.shards:
            shards.check_index(paths[0], paths[1:], [each.file for each in entry.shards])
        return [weights.Piece(path) for path in paths[1:] or paths]

    def lacks_weights(self) -> ModelNotFoundError:
        """The error for a config whose weights are null; says where weights may come from."""
        return ModelNotFoundError(_without_weights(self))


def find(name_or_path: str | os.PathLike[str], access: Access | None = None, *, use_hub: bool = True) -> Source:
    """The checkpoint of a folder, a shipped name, or "owner/repo"; `zoo.load` says in which order.

    Raises ModelNotFoundError, without asking the network where that is sure to be in vain, or CheckpointError for a wrong config.
    """
    access = access or Access()
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ModelNotFoundError(
            f"a model is named by a string or a path, not by {name_or_path!r:.80}. Shipped: {', '.join(catalogue.names())}."
        )
    text = os.fsdecode(os.fspath(name_or_path))
    path = Path(os.path.expanduser(text))
    if text and os.path.isfile(path / CONFIG_FILE):
        _refuse_revision(access.revision, f"{text!r} is a folder here")
        return in_folder(path, access)
    if isinstance(name_or_path, str) and "/" not in text and text in catalogue.every_name():
        _refuse_revision(access.revision, f"{text!r} comes with the library")
        return shipped(text, access)
    if text and os.path.isdir(path):
        raise CheckpointError(_about_folder(path))
    if text and os.path.exists(path):
        raise CheckpointError(_about_file(path))
    if isinstance(name_or_path, str) and hub.is_repo_id(text) and path.suffix not in _FILE_SUFFIXES:
        if not use_hub:
            raise ModelNotFoundError(
                f"no folder {text!r:.300} here, and the Hub is asked by `load` only. Shipped: {', '.join(catalogue.names())}."
            )
        return on_hub(text, access)
    if not isinstance(name_or_path, str) or _looks_like_path(text):
        raise ModelNotFoundError(
            f"no folder {str(path)!r:.300} (looked from {os.getcwd()}). Give a folder that "
            f"holds {CONFIG_FILE} and {WEIGHTS_FILE}, a name of list_models(), or "
            "owner/repo on the Hub."
        )
    raise ModelNotFoundError(
        f"no model is called {text!r:.300}.{did_you_mean(text, catalogue.names())} "
        f"Shipped: {', '.join(catalogue.names()) or 'none'}. "
        "Others are given as a folder, or as owner/repo on the Hub."
    )


def joined(name_or_path: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    """The names in "crvos+scm"; one that joins none, or is a folder or file here, is itself.

    Raises ModelNotFoundError where a name is missing on one side of a plus.
    """
    if not isinstance(name_or_path, str) or "+" not in name_or_path or os.path.exists(os.path.expanduser(name_or_path)):
        return [name_or_path]
    names = name_or_path.split("+")
    if not all(names):
        raise ModelNotFoundError(
            f"{name_or_path!r:.300} joins models that decide together: a name is missing beside a '+', as in 'crvos+scm'"
        )
    return list(names)


def find_one(
    name_or_path: str | os.PathLike[str], *, redetection: bool = True, **options: Any
) -> tuple[Source, Source | None, dict[str, Any]]:
    """`find` and `describer` out of the arguments of `vos_zoo.load`, and those that are left over.

    VosZooError for several that are joined by a plus.
    """
    if len(joined(name_or_path)) > 1:
        raise VosZooError(f"{name_or_path!r:.300} names several models that decide together: vos_zoo.load({name_or_path!r}) joins them")
    how = {each.name: options.pop(each.name) for each in fields(Access) if each.name in options}
    access = Access(**how)
    source = find(name_or_path, access)
    return source, describer(source, access) if redetection else None, options


def in_folder(folder: Path, access: Access | None = None) -> Source:
    """The checkpoint in a folder that holds a config.json."""
    refuse_way_out(folder, CONFIG_FILE)
    config = ModelConfig.read(folder / CONFIG_FILE)
    return Source(str(folder / CONFIG_FILE), config, folder, functools.partial(_beside, folder, config, access or Access()))


def refuse_way_out(folder: Path, file: str) -> None:
    """CheckpointError if folder/file is a link that leaves the folder. The Hub's cache, whose snapshots link to its blobs, is left out."""
    home, target = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / file))
    home = home.parents[2] if home.parent.name == "snapshots" and len(home.parents) > 2 else home
    if not target.is_relative_to(home):
        raise CheckpointError(
            f"{folder / file} is a link that leaves its folder (to {target}), so it is not read: a checkpoint is what lies in its folder. "
            "Put the file itself there."
        )


def shipped(name: str, access: Access) -> Source:
    """The checkpoint of a name that the library ships, whatever lies in the working directory."""
    folder, config = catalogue.folder_of(name), catalogue.read(name)
    return Source(str(folder / CONFIG_FILE), config, folder, functools.partial(_beside, folder, config, access), True)


def on_hub(repo_id: str, access: Access) -> Source:
    """config.json is asked for at every load, since the Hub counts downloads by it; the weights come from the same commit."""
    config_path = access.fetch(repo_id, CONFIG_FILE, access.revision, most_bytes=MAX_CONFIG_BYTES)
    config = ModelConfig.read(config_path)
    commit = hub.commit_of(config_path) or access.revision

    def fetch(file: str, size: int | None) -> Path:
        return access.fetch(repo_id, file, commit, size) if size else access.fetch(repo_id, file, commit, most_bytes=MAX_CONFIG_BYTES)

    place = config_path.parent
    return Source(f"{CONFIG_FILE} of {repo_id!r}", config, place, lambda entry: fetch(entry.file, entry.bytes), fetch=fetch)


def describer(source: Source, access: Access) -> Source | None:
    """Whose features find lost objects again, as the config says: none, the checkpoint itself, or another that comes with the library.

    No config can have anything else fetched.
    """
    name = source.config.redetection
    if name is None or name == source.config.name:
        return None if name is None else source
    if name not in catalogue.names():
        raise CheckpointError(
            f"{source.label}: redetection names {name!r}, which does not come with this vos_zoo.{did_you_mean(name, catalogue.names())} "
            "A newer one may have it; without it: load(..., redetection=False)"
        )
    return shipped(name, replace(access, revision=None))


def encoder(source: Source, access: Access) -> Source:
    """The checkpoint whose features a head reads, as its config says: one that comes with the library, with these very weights."""
    wanted = source.config.encoder
    if wanted is None:
        raise CheckpointError(f"{source.label}: {source.config.architecture} reads the features of another checkpoint; name it in encoder")
    if wanted.name not in catalogue.names():
        near = did_you_mean(wanted.name, catalogue.names())
        raise CheckpointError(
            f"{source.label}: encoder names {wanted.name!r}, which does not come with this vos_zoo.{near} A newer one may have it: "
            "pip install --upgrade vos_zoo"
        )
    found = shipped(wanted.name, replace(access, revision=None))
    if found.config.weights is None or found.config.weights.sha256 != wanted.sha256:
        raise CheckpointError(
            f"{source.label} reads the features of {wanted.name} with the weights {wanted.sha256[:16]}..., and this vos_zoo has others: "
            "take the versions that belong together, pip install --upgrade vos_zoo, or train the head again"
        )
    return found


def _beside(folder: Path, config: ModelConfig, access: Access, entry: WeightsFile | Shard) -> Path:
    """The file beside the config, or else from where on the Hub the config says."""
    refuse_way_out(folder, entry.file)
    if (folder / entry.file).is_file():
        return folder / entry.file
    place = None if config.weights is None else config.weights.hub
    if place is not None:
        return access.fetch(place.repo_id, entry.file, place.revision, entry.bytes)
    raise CheckpointError(
        f"{folder / CONFIG_FILE} names {entry.file}, which is not beside it."
        f"{_pickles_in(folder)} Put the file there, or save the checkpoint anew with "
        "save_pretrained."
    )


def _without_weights(source: Source) -> str:
    name = source.config.name
    if not source.shipped:
        return (
            f'{source.label} describes {name!r} without weights ("weights" is null). Take a checkpoint '
            "that has them, or save yours with save_pretrained, which writes both files."
        )
    recipe = source.folder / "recipe.yaml"
    train = f"train it by its recipe ({recipe})" if recipe.is_file() else "train it by its recipe"
    ready = [row.name for row in catalogue.rows() if row.has_weights and row.follows]
    return (
        f"{name!r} has a config but no weights yet. Two ways to get them: {train}, starting from "
        f"vos_zoo.create({name!r}), which builds it untrained; or convert the authors' published file to "
        "a folder with config.json and model.safetensors, and load that folder. Ready to use: "
        f"{', '.join(ready) or 'none yet'}."
    )


def _about_folder(folder: Path) -> str:
    return (
        f"the folder {folder} holds no {CONFIG_FILE}, so it is no checkpoint of vos_zoo."
        f"{_pickles_in(folder)} A checkpoint is {CONFIG_FILE} with {WEIGHTS_FILE} beside it, as "
        "save_pretrained writes it."
    )


def _pickles_in(folder: Path) -> str:
    try:
        found = sorted(each.name for each in folder.iterdir() if each.suffix in weights.PICKLE_SUFFIXES)
    except OSError as error:
        return f" What else it holds can't be seen ({error.strerror})."
    return f" It holds {', '.join(found[:3])}. {weights.ONLY_SAFETENSORS}." if found else ""


def _about_file(path: Path) -> str:
    if path.suffix == ".safetensors" or path.name == CONFIG_FILE:
        return f"{path} is one file of a checkpoint. Give the folder that holds {CONFIG_FILE} and the weights: load({str(path.parent)!r})"
    if path.suffix in weights.PICKLE_SUFFIXES:
        return f"{path} is not loaded. {weights.ONLY_SAFETENSORS}, and load the folder that holds it."
    return f"{path} is a file, not a checkpoint. Give the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}."


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "~", "/")) or "/" in text or "\\" in text or text.endswith(os.sep) or Path(text).suffix in _FILE_SUFFIXES


def _refuse_revision(revision: str | None, why: str) -> None:
    if revision is not None:
        raise ModelNotFoundError(f"revision={revision!r:.80} chooses a version of a Hub repository, but {why}. Leave it out.")
