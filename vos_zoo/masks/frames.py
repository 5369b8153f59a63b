"""Which mask belongs to which frame: by the frame's name, by number, or in order."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.annotations import AnnotatedFrame
from vos_zoo.masks.exports import SUFFIXES, read_export, read_labelme_files
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.values import whole
from vos_zoo.system.file_order import in_order, told_order
from vos_zoo.system.limits import limit
from vos_zoo.system.paths import user_path
from vos_zoo.system.shown import shown

if TYPE_CHECKING:
    from vos_zoo.masks.source import MasksLike


OTHER_IMAGES = (".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".gif")
LOSSY = (".jpg", ".jpeg", ".webp", ".gif")  # or of several pictures: not taken as masks


def read_masks(source: MasksLike, *, frame_names: Sequence[str] | None = None, length: int | None = None) -> dict[int, Any]:
    """The masks of several frames as a dict frame index -> mask, ascending; masks are read later, by
    `read_mask`.

    Args:
        source: a dict frame index -> mask; a folder of .png and .npy files, or of LabelMe's .json files; a folder of such folders, one
            an object, as SA-V has them (000/ is object 1); or a COCO, YouTube-VIS, CVAT or
            Label Studio file. A mask belongs to the frame of the same name if `frame_names` is given; else to the frame whose number
            its name holds (00012.png, frame_12.png: 12); names without numbers are taken in order. Files that number their frames
            themselves (YouTube-VIS, CVAT for video) are taken at their word.
        frame_names: names of the video's frames, without suffix, if it has them.
        length: number of frames of the video, if known.

    Returns:
        frame index -> what `read_mask` takes.

    Raises:
        MaskError: no mask there, a mask of a frame that does not exist, or two masks of one frame.
    """
    if frame_names is not None:
        length = len(frame_names)
    if isinstance(source, Mapping):
        found = {_frame_index(key): mask for key, mask in source.items()}
        labels = {index: f"frame {index}" for index in found}
    elif isinstance(source, (str, os.PathLike)):
        found, labels = _read_path(user_path(source, MaskError), frame_names)
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


def _read_path(path: Path, frame_names: Sequence[str] | None) -> tuple[dict[int, Any], dict[int, str]]:
    """Masks by frame, and what messages call them."""
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return _placed(read_export(path), frame_names, f"the file {path}")
    if folders := object_folders(path):
        return _of_objects(folders, frame_names)
    files = mask_files(path)
    if files[0].suffix.lower() == ".json":
        return _placed(read_labelme_files(files), frame_names, f"the folder {path}")
    tell_others(path, files)
    found = dict(_by_name(files, frame_names) if frame_names is not None else _by_number(files))
    return found, {index: str(file) for index, file in found.items()}


def _placed(frames: Sequence[AnnotatedFrame], frame_names: Sequence[str] | None, where: str) -> tuple[dict[int, Any], dict[int, str]]:
    names = [Path(f"{frame.name}.png") for frame in frames]
    if frame_names is not None and all(frame.name in frame_names for frame in frames):
        known = _by_name(names, frame_names)
    elif all(frame.number is not None for frame in frames):
        known = {int(frame.number or 0): name for frame, name in zip(frames, names, strict=True)}
    else:
        known = _by_name(names, frame_names) if frame_names is not None else _by_number(names)
    if len(known) < len(frames):
        raise MaskError(f"two frames in {where} have the same name: give each its own")
    found = dict(zip(known, frames, strict=True))
    return dict(found), {index: f"{frame.name or 'a frame'} in {where}" for index, frame in found.items()}


def _of_objects(folders: Mapping[int, Path], frame_names: Sequence[str] | None) -> tuple[dict[int, Any], dict[int, str]]:
    found: dict[int, dict[int, Path]] = {}
    labels: dict[int, str] = {}
    for object_id, folder in folders.items():
        files = mask_files(folder)
        for index, file in (_by_name(files, frame_names) if frame_names is not None else _by_number(files)).items():
            found.setdefault(index, {})[object_id] = file
            labels.setdefault(index, str(file))
    return dict(found), labels


def object_folders(folder: Path) -> dict[int, Path]:
    """Object id -> its folder of masks, where a folder holds one for each, as SA-V has them: 000/, 001/, ... are objects 1, 2, ...

    Empty where the folder holds masks itself, or something else than such folders.
    """
    if not folder.is_dir():
        return {}
    visible = in_order(path for path in folder.iterdir() if not path.name.startswith("."))
    if not visible or not all(path.is_dir() and re.fullmatch(r"[0-9]{1,6}", path.name) for path in visible):
        return {}
    return {int(path.name) + 1: path for path in visible}


def mask_paths(folder: Path) -> list[Path]:
    """All files with masks in a folder, those of its objects' folders included. Raises MaskError if there is none."""
    folders = object_folders(folder)
    return [file for each in folders.values() for file in mask_files(each)] if folders else mask_files(folder)


def mask_files(folder: Path) -> list[Path]:
    """The masks in a folder in natural order: .png and .npy files, or where there is none TIFF and BMP, or else LabelMe's .json.

    Raises:
        MaskError: there is none, or there are two of one frame.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise MaskError(f"the folder of masks {folder} {what}. Give a folder of .png or .npy files")
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    files = [path for path in visible if path.suffix.lower() in (".png", ".npy")]
    files = files or [path for path in visible if path.suffix.lower() in OTHER_IMAGES and path.suffix.lower() not in LOSSY]
    files = files or [path for path in visible if path.suffix.lower() == ".json" and path.name != "sequence.json"]
    if not files:
        others = sorted({path.suffix for path in visible if path.is_file() and path.suffix})
        hint = f"; it holds {', '.join(others)} files, which are not read as masks" if others else ""
        raise MaskError(f"the folder {folder} has no masks (.png or .npy){hint}")
    files = in_order(files)
    stems: dict[str, Path] = {}
    for path in files:
        if path.stem in stems:
            raise MaskError(f"{stems[path.stem].name} and {path.name} in {folder} are of one frame: remove one")
        stems[path.stem] = path
    return files


def tell_others(folder: Path, files: Sequence[Path]) -> None:
    """Warns of images in a folder of masks that are of a kind which is not read beside the others."""
    stems = {path.stem for path in files}
    others = in_order(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in OTHER_IMAGES and path.stem not in stems and not path.name.startswith(".")
    )
    if others:
        some = ", ".join(path.name for path in others[:3]) + (", ..." if len(others) > 3 else "")
        what = f"{len(others)} images that are not read as masks passed over ({some})"
        warnings.warn(f"the folder {folder}: {what}; save them as {files[0].suffix} like the others", VosZooWarning, stacklevel=4)


def _by_name(files: Sequence[Path], frame_names: Sequence[str]) -> dict[int, Path]:
    """By the frame's name, or where no mask has one by the last number in both: mask_12.png or 12.png is of frame_0012."""
    index_of = {frame: index for index, frame in enumerate(frame_names)}
    unknown = [path.name for path in files if path.stem not in index_of]
    if len(unknown) == len(files) and (found := _by_number_of_names(files, frame_names)):
        return found
    if unknown:
        raise MaskError(
            f"there is no frame for the mask {unknown[0]} ({len(unknown)} of {len(files)} masks are so): "
            f"the frames are named {frame_names[0]} ... {frame_names[-1]}. Name masks like their frames, or "
            "pass {frame index: mask}"
        )
    return {index_of[path.stem]: path for path in files}


def _by_number_of_names(files: Sequence[Path], frame_names: Sequence[str]) -> dict[int, Path]:
    """Empty unless each mask has one frame, and none is of two."""
    index_of = {_last_number(frame): index for index, frame in enumerate(frame_names)}
    numbers = [_last_number(path.stem) for path in files]
    if None in index_of or len(index_of) < len(frame_names) or len(set(numbers)) < len(files):
        return {}
    return {index_of[n]: path for n, path in zip(numbers, files, strict=True)} if set(numbers) <= set(index_of) else {}


def _last_number(name: str) -> int | None:
    groups = re.findall(r"[0-9]{1,18}", name)
    return int(groups[-1]) if groups else None


def _by_number(files: Sequence[Path]) -> dict[int, Path]:
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if not any(numbers):
        return dict(enumerate(told_order(files, f"the folder {files[0].parent}")))
    found: dict[int, Path] = {}
    for path, groups in zip(files, numbers, strict=True):
        if not groups:
            raise MaskError(f"the mask {path} has no frame number in its name, though others have: rename it")
        index = whole(int(groups[-1][:19]), f"the frame number of {path}", 0, limit("frames"))
        if index in found:
            raise MaskError(f"{found[index].name} and {path.name} are both of frame {index}: rename or remove one")
        found[index] = path
    return found


def _frame_index(key: object) -> int:
    if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key <= LARGEST_ID:
        raise MaskError(f"masks={{...}} has the key {shown(key)}, but keys are frame indices from 0")
    return int(key)
