"""Which mask belongs to which frame: by the frame's name, by number, or in order."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError


def read_masks(source: Any, *, frame_names: Sequence[str] | None = None, length: int | None = None) -> dict[int, Any]:
    """The masks of several frames as a dict frame index -> mask, ascending; masks are read later, by
    `read_mask`.

    Args:
        source: a dict frame index -> mask, or a folder of .png and .npy files. A file belongs to the frame of
            the same name if `frame_names` is given; else to the frame whose number its name holds (00012.png,
            frame_12.png: 12); names without numbers are taken in sorted order.
        frame_names: names of the video's frames, without suffix, if it has them.
        length: number of frames of the video, if known.

    Raises:
        MaskError: no mask there, a mask of a frame that does not exist, or two masks of one frame.
    """
    if frame_names is not None:
        length = len(frame_names)
    if isinstance(source, Mapping):
        found = {_frame_index(key): mask for key, mask in source.items()}
        labels = {index: f"frame {index}" for index in found}
    elif isinstance(source, (str, os.PathLike)):
        files = mask_files(Path(source))
        found = dict(_by_name(files, frame_names) if frame_names is not None else _by_number(files))
        labels = {index: str(path) for index, path in found.items()}
    else:
        raise MaskError(f"masks of several frames must be a dict frame index -> mask or a folder of PNGs, not {type(source).__name__}")
    if not found:
        raise MaskError("no masks were given: the dict is empty. Pass {0: mask} for a mask on the first frame")
    for index, label in labels.items():
        if length is not None and index >= length:
            raise MaskError(
                f"there is a mask for frame {index} ({label}), but the video has {length} frames (0 to "
                f"{length - 1}): number masks from 0, or name them like the frames"
            )
    return dict(sorted(found.items()))


def mask_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise MaskError(f"the folder of masks {folder} {what}. Give a folder of .png or .npy files")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".npy") and not path.name.startswith("."))
    if not files:
        others = sorted({path.suffix for path in folder.iterdir() if path.is_file() and path.suffix})
        hint = f"; it holds {', '.join(others)} files, which are not read as masks" if others else ""
        raise MaskError(f"the folder {folder} has no masks (.png or .npy){hint}")
    stems: dict[str, Path] = {}
    for path in files:
        if path.stem in stems:
            raise MaskError(f"{stems[path.stem].name} and {path.name} in {folder} are of one frame: remove one")
        stems[path.stem] = path
    return files


def _by_name(files: Sequence[Path], frame_names: Sequence[str]) -> dict[int, Path]:
    index_of = {frame: index for index, frame in enumerate(frame_names)}
    unknown = [path.name for path in files if path.stem not in index_of]
    if unknown:
        raise MaskError(
            f"there is no frame for the mask {unknown[0]} ({len(unknown)} of {len(files)} masks are so): "
            f"the frames are named {frame_names[0]} ... {frame_names[-1]}. Name masks like their frames, or "
            "pass {frame index: mask}"
        )
    return {index_of[path.stem]: path for path in files}


def _by_number(files: Sequence[Path]) -> dict[int, Path]:
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if not any(numbers):
        return dict(enumerate(files))
    found: dict[int, Path] = {}
    for path, groups in zip(files, numbers, strict=True):
        if not groups:
            raise MaskError(f"the mask {path} has no frame number in its name, though others have: rename it")
        index = int(groups[-1])
        if index in found:
            raise MaskError(f"{found[index].name} and {path.name} are both of frame {index}: rename or remove one")
        found[index] = path
    return found


def _frame_index(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or key < 0:
        raise MaskError(f"masks={{...}} has the key {key!r}, but keys are frame indices from 0")
    return int(key)
