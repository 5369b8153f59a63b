"""A trunk that several checkpoints of the library have is stored once, in hub_configs/trunks.

Their config still describes the whole file of weights, which is what `save` writes and what goes to the Hub; `weights.shared` says of
which two files it can be put together. Whatever reads weights takes the whole file where it is there, and else the two.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vos_zoo.checkpoints import catalogue, weights
from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig, Shard, SharedTrunk, WeightsFile
from vos_zoo.errors import CheckpointError

OWN_FILE = "model-own.safetensors"


def pieces(folder: Path, entry: WeightsFile) -> list[weights.Piece] | None:
    """What is left beside the config, and the trunk, both verified; None where the whole file is there, or no trunk is shared.

    Raises CheckpointError where one of them is missing or another than the config says.
    """
    if entry.shared is None or (folder / entry.file).is_file():
        return None
    own, trunk = catalogue.stored(folder, entry)
    if entry.hub is not None and not own.is_file():
        return None
    for path in (own, trunk):
        if not path.is_file():
            raise CheckpointError(
                f"{folder / CONFIG_FILE} names {path.name}, which is not {'beside it' if path is own else f'in {path.parent}'}. The "
                "library stores these weights in two files: install it again, or take the whole checkpoint"
            )
    weights.verify_file(own, entry.shared.own)
    weights.verify_file(trunk, entry.shared)
    return [weights.Piece(own), weights.Piece(trunk, entry.shared.prefix)]


def write_whole(folder: Path, out: Path) -> Path:
    """A copy of a checkpoint's folder in which the weights are one file again, as its config describes it; out is made.

    CheckpointError where the two files do not make it.
    """
    config = ModelConfig.read(folder / CONFIG_FILE)
    assert config.weights is not None and config.weights.shared is not None
    parts = pieces(folder, config.weights)
    entry = WeightsFile(config.weights.file, config.weights.sha256, config.weights.bytes, config.weights.dtype, hub=config.weights.hub)
    shutil.copytree(folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(config.weights.shared.own.file))
    if parts is not None:
        from safetensors.torch import load_file

        state = {prefix + name: tensor for path, prefix in parts for name, tensor in load_file(path).items()}
        weights.write_state(state, out / entry.file)
        weights.verify_file(out / entry.file, entry)
    (out / CONFIG_FILE).write_text(config.replace(weights=entry).to_json(), encoding="utf-8")
    return out


def share(folder: Path, name: str, prefix: str) -> None:
    """Store the trunk of a checkpoint in hub_configs/trunks, or find it there, and leave the rest in its folder.

    Raises CheckpointError, with nothing changed, where a trunk of that name has other weights, or no tensor begins with the prefix.
    """
    from safetensors.torch import load_file, save

    config = ModelConfig.read(folder / CONFIG_FILE)
    entry = config.weights
    if entry is None or entry.shards or not (folder / entry.file).is_file():
        raise CheckpointError(f"{folder} has no weights in one file: save the checkpoint there first")
    weights.verify_file(folder / entry.file, entry)
    state = load_file(folder / entry.file)
    trunk = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not trunk:
        names = ", ".join(sorted(state)[:5])
        raise CheckpointError(f"{folder / entry.file}: no tensor's name begins with {prefix!r}; they are {names}, ...")
    content, path = save(trunk, metadata={"format": "pt"}), catalogue.trunk_file(name)
    if path.is_file() and path.read_bytes() != content:
        raise CheckpointError(f"{path} is another trunk than that of {folder}: give this one another name")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    own = folder / OWN_FILE
    weights.write_state({key: value for key, value in state.items() if not key.startswith(prefix)}, own)
    stored = [Shard(each.name, weights.sha256_of(each), each.stat().st_size) for each in (own, path)]
    shared = SharedTrunk(name, prefix, stored[1].sha256, stored[1].bytes, stored[0])
    whole = WeightsFile(entry.file, entry.sha256, entry.bytes, entry.dtype, hub=entry.hub, shared=shared)
    (folder / CONFIG_FILE).write_text(config.replace(weights=whole).to_json(), encoding="utf-8")
    (folder / entry.file).unlink()
