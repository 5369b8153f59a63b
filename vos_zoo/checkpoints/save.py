"""From a model and its config to a folder that `vos_zoo.load` reads back."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.checkpoints import shards, weights
from vos_zoo.checkpoints.config import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, ModelConfig, Shard, WeightsFile
from vos_zoo.errors import SaveError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.paths import user_path

if TYPE_CHECKING:
    import torch

MAX_SHARD_BYTES = 5 * 10**9


def save(
    model: torch.nn.Module,
    config: ModelConfig,
    folder: str | os.PathLike[str],
    *,
    dtype: str | None = "float16",
    overwrite: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Writes model.safetensors and config.json (with its SHA-256), so that `load(folder)` reads them back.

    Args:
        model: whose weights are stored.
        config: what config.json says; its `weights` and `parameters` are filled in.
        folder: where to; made if it is missing.
        dtype: of the stored floating-point weights; None keeps them as they are.
        overwrite: replace a checkpoint that lies there, in one step; what else the folder holds stays. Where the folder can't be exchanged
            as a whole (a mounted drive, the working directory), its files are replaced one after another, the config last.
        max_shard_bytes: more than these are written as model-00001-of-0000N.safetensors with model.safetensors.index.json.

    Returns:
        The folder.

    Raises:
        SaveError: the folder holds a checkpoint already, or can't be written. Nothing half-written is left.
        CheckpointError: the model holds NaN.
    """
    folder = user_path(folder)
    _check_free(folder, overwrite)
    if not _is_whole(max_shard_bytes) or max_shard_bytes < 1:
        raise SaveError(f"max_shard_bytes is a whole number of bytes above 0, not {max_shard_bytes!r:.80}")
    state = weights.stored_state(model, dtype)
    sizes = {name: each.numel() * each.element_size() for name, each in state.items()}
    groups = shards.split(sizes, max_shard_bytes)
    names = [WEIGHTS_FILE] if len(groups) == 1 else [INDEX_FILE, *shards.shard_names(len(groups))]
    parameters = sum(each.numel() for each in model.parameters())

    def write(config_path: Path, paths: list[Path]) -> None:
        if len(groups) > 1:
            shards.write_index(paths[0], groups, sizes)
        for path, group in zip(paths[-len(groups) :], groups, strict=True):
            weights.write_state({name: state[name] for name in group}, path)
        written = config.replace(weights=_entry(names, paths), parameters=parameters)
        ModelConfig.from_dict(written.to_dict(), source="the config to save")
        config_path.write_text(written.to_json(), encoding="utf-8")

    if overwrite and folder.is_dir() and _can_be_exchanged(folder):
        with atomic_write(folder, replace_folder=True) as beside:
            shutil.copytree(folder, beside, symlinks=True, copy_function=_linked)
            for path in [*shards.stale_files(beside, set()), beside / CONFIG_FILE]:
                path.unlink(missing_ok=True)
            write(beside / CONFIG_FILE, [beside / name for name in names])
        return folder
    # All are complete before any gets its name, and the config gets its own last.
    with contextlib.ExitStack() as files:
        config_path, *paths = [files.enter_context(atomic_write(folder / name)) for name in (CONFIG_FILE, *names)]
        write(config_path, paths)
    try:
        for path in shards.stale_files(folder, set(names)) if overwrite else ():
            path.unlink()
    except OSError as error:
        raise SaveError(f"the checkpoint is saved in {folder}, but an older file of weights can't be removed there: {error}") from error
    return folder


def _check_free(folder: Path, overwrite: bool) -> None:
    try:
        present = [name for name in (WEIGHTS_FILE, INDEX_FILE, CONFIG_FILE) if (folder / name).exists()]
        if folder.exists() and not folder.is_dir():
            raise SaveError(f"{folder} is a file; give the folder to save in.")
    except OSError as error:
        if isinstance(error, SaveError):
            raise
        raise SaveError(f"can't save to {folder}: {error.strerror or error}. Choose another folder.") from error
    if present and not overwrite:
        raise SaveError(
            f"{folder} holds {' and '.join(present)} already. Choose another folder, or pass overwrite=True to replace the checkpoint."
        )


def _can_be_exchanged(folder: Path) -> bool:
    """Whether a folder may be replaced by another as a whole: not where it is a drive, or nothing may be written beside it."""
    real = Path(os.path.realpath(folder))
    return os.access(real.parent, os.W_OK) and not os.path.ismount(real) and real != Path.cwd()


def _linked(source: str, target: str) -> None:
    """A file of the older folder under its name in the new one, without a copy where the file system can do that."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _entry(names: list[str], paths: list[Path]) -> WeightsFile:
    """What the config says of the files of weights: the one, or the index and then its shards."""
    stored = [Shard(name, weights.sha256_of(path), path.stat().st_size) for name, path in zip(names, paths, strict=True)]
    dtypes = {weights.stored_dtype(weights.read_header(path)) for path in (paths[1:] or paths)}
    first = stored[0]
    return WeightsFile(first.file, first.sha256, first.bytes, dtypes.pop() if len(dtypes) == 1 else "mixed", tuple(stored[1:]))
