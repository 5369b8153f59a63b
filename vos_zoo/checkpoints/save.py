"""From a model and its config to a folder that `vos_zoo.load` reads back."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.checkpoints import shards, weights
from vos_zoo.checkpoints.config import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, ModelConfig, Shard, WeightsFile
from vos_zoo.errors import SaveError
from vos_zoo.system.atomic import atomic_write

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
        overwrite: replace a checkpoint that lies there.
        max_shard_bytes: more than these are written as model-00001-of-0000N.safetensors with model.safetensors.index.json.

    Returns:
        The folder.

    Raises:
        SaveError: the folder holds a checkpoint already, or can't be written. Nothing half-written is left.
        CheckpointError: the model holds NaN.
    """
    folder = Path(folder).expanduser()
    present = [name for name in (WEIGHTS_FILE, INDEX_FILE, CONFIG_FILE) if (folder / name).exists()]
    if present and not overwrite:
        raise SaveError(
            f"{folder} holds {' and '.join(present)} already. Choose another folder, or pass overwrite=True to replace the checkpoint."
        )
    if folder.exists() and not folder.is_dir():
        raise SaveError(f"{folder} is a file; give the folder to save in.")
    state = weights.stored_state(model, dtype)
    sizes = {name: each.numel() * each.element_size() for name, each in state.items()}
    groups = shards.split(sizes, max_shard_bytes)
    names = [WEIGHTS_FILE] if len(groups) == 1 else [INDEX_FILE, *shards.shard_names(len(groups))]
    parameters = sum(each.numel() for each in model.parameters())
    # All are complete before any gets its name.
    with contextlib.ExitStack() as files:
        config_path, *paths = [files.enter_context(atomic_write(folder / name)) for name in (CONFIG_FILE, *names)]
        if len(groups) > 1:
            shards.write_index(paths[0], groups, sizes)
        for path, group in zip(paths[-len(groups) :], groups, strict=True):
            weights.write_state({name: state[name] for name in group}, path)
        written = config.replace(weights=_entry(names, paths), parameters=parameters)
        ModelConfig.from_dict(written.to_dict(), source="the config to save")
        config_path.write_text(written.to_json(), encoding="utf-8")
    for path in shards.stale_files(folder, set(names)) if overwrite else ():
        path.unlink()
    return folder


def _entry(names: list[str], paths: list[Path]) -> WeightsFile:
    """What the config says of the files of weights: the one, or the index and then its shards."""
    stored = [Shard(name, weights.sha256_of(path), path.stat().st_size) for name, path in zip(names, paths, strict=True)]
    dtypes = {weights.stored_dtype(weights.read_header(path)) for path in (paths[1:] or paths)}
    first = stored[0]
    return WeightsFile(first.file, first.sha256, first.bytes, dtypes.pop() if len(dtypes) == 1 else "mixed", tuple(stored[1:]))
