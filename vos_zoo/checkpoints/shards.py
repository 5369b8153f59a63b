"""Weights in several files: model-00001-of-00003.safetensors and so on, with an index that says which tensor is in which file.

The index is the one that other libraries write: {"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}. Whether the files are
the right ones is said by the config, which has the SHA-256 of the index and of every shard. Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vos_zoo.checkpoints.weights import read_header
from vos_zoo.errors import CheckpointError
from vos_zoo.system import strict_json

MAX_INDEX_BYTES = 32 << 20
_OURS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")


def split(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    """Names of tensors in groups of at most `most` bytes, in the order given; a larger tensor has a group to itself."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if groups[-1] and used + size > most:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    return groups


def shard_names(count: int) -> list[str]:
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def write_index(path: Path, groups: Sequence[Sequence[str]], sizes: Mapping[str, int]) -> None:
    names = shard_names(len(groups))
    weight_map = {tensor: file for file, tensors in zip(names, groups, strict=True) for tensor in tensors}
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def check_index(index: Path, paths: Sequence[Path], files: Sequence[str]) -> None:
    """Compares the index with the headers of the shards: each tensor once, in the file that the index says.

    paths: of the shards, which the config calls `files`. Raises CheckpointError.
    """
    found: dict[str, str] = {}
    for file, path in zip(files, paths, strict=True):
        for tensor in read_header(path):
            if tensor in found:
                raise _wrong(index, f"tensor {tensor!r:.100} is in {found[tensor]} and in {file}")
            found[tensor] = file
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise _wrong(index, f"it has {index.stat().st_size:,} bytes, at most {MAX_INDEX_BYTES:,} are read")
    try:
        whole = strict_json.parse(index.read_bytes())
    except ValueError as error:
        raise _wrong(index, f"it is not JSON ({error})") from error
    said = whole.get("weight_map") if isinstance(whole, dict) else None
    if not isinstance(said, dict):
        raise _wrong(index, f'its "weight_map" must be an object of tensor: file, not {said!r:.80}')
    for name, file in said.items():
        if not isinstance(file, str):
            raise _wrong(index, f"weight_map[{name!r:.100}] must be the name of a file, not {file!r:.80}")
    if said != found:
        other = sorted(set(found) ^ set(said)) or [name for name in found if said[name] != found[name]]
        raise _wrong(index, f"its weight_map is not what the shards hold, {other[0]!r:.100} for one")


def stale_files(folder: Path, new: set[str]) -> list[Path]:
    """Files of weights that an earlier save left in the folder and that do not belong to the new one."""
    return [path for path in folder.iterdir() if _OURS.fullmatch(path.name) and path.name not in new] if folder.is_dir() else []


def _wrong(index: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the index {index} does not fit its shards: {why}. Fetch the checkpoint again, or save it anew.")
