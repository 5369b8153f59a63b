"""Real clips with masks, read into memory, and where in them an object can be followed.

Layout: FOLDER/<clip>/frames/* and FOLDER/<clip>/masks/*.png (indexed, 0 background, 255 void), matched by stem; only annotated
frames need a mask.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vos_zoo.errors import DataError, VosZooWarning
from vos_zoo.train.pictures import IMAGE_SUFFIXES, object_numbers, read_index_mask, read_picture

JUMP = 0.2  # an object whose masks overlap less than this from one frame to the next has jumped: its label, not the object


@dataclass
class Clip:
    name: str
    frames: Tensor  # (T, 3, H, W) uint8: annotated frames only, in order
    ids: Tensor  # (T, H, W) uint8
    runs: dict[int, list[tuple[int, int]]]  # object id -> unbroken stretches [start, stop) in which it is seen and does not jump


def training_clips(root: str | Path, index: str | Path | None = None) -> list[Path]:
    """Clip folders under root; with an index (JSON: name -> {"split": ...}) only those whose split is "train".

    DataError if there is no such folder, the index can't be read, or it does not know a clip.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root} to take clips from")
    folders = sorted(p for p in root.iterdir() if (p / "frames").is_dir() and (p / "masks").is_dir())
    if index is None:
        return folders
    try:
        split = {name: row["split"] for name, row in json.loads(Path(index).read_text(encoding="utf-8")).items()}
    except OSError as error:
        raise DataError(f"the index of clips {index} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f'{index} is no index of clips: expected JSON, clip name -> {{"split": "train" or "val"}}') from error
    unknown = [p.name for p in folders if p.name not in split]
    if unknown:
        raise DataError(f"{index} does not say which split these clips belong to: {', '.join(unknown[:5])}")
    return [p for p in folders if split[p.name] == "train"]


def load_clips(folders: Sequence[str | Path], short_side: int = 360, min_area: float = 0.002, skip: tuple[str, ...] = ()) -> list[Clip]:
    """Read clips into memory, shrunk to `short_side` pixels. Clips whose name holds a word of `skip` are not read.

    Left out with a warning: clips without two annotated frames, and clips without an object that covers `min_area` of the frame
    in two neighbouring ones. DataError names a mask without a frame, files that can't be read, and sizes that differ.
    """
    clips = []
    for folder in map(Path, folders):
        if any(word in folder.name for word in skip):
            continue
        masks = sorted((folder / "masks").glob("*.png"))
        images = {p.stem: p for p in (folder / "frames").glob("*") if p.suffix.lower() in IMAGE_SUFFIXES}
        lost = [m.name for m in masks if m.stem not in images]
        if lost:
            raise DataError(f"{folder}: {len(lost)} masks have no frame, the first is {lost[0]}; a frame has its mask's name")
        if len(masks) < 2:
            warnings.warn(f"{folder}: {len(masks)} annotated frames, at least 2 are needed; left out", VosZooWarning, stacklevel=2)
            continue
        frames, ids = _read([(images[mask.stem], mask) for mask in masks], short_side)
        runs = {int(k): unbroken_runs(ids == k, min_area) for k in np.unique(ids) if k}
        runs = {k: stretches for k, stretches in runs.items() if stretches}
        if not runs:
            warnings.warn(f"{folder}: no object is seen in two neighbouring annotated frames; left out", VosZooWarning, stacklevel=2)
            continue
        clips.append(Clip(folder.name, torch.from_numpy(frames), torch.from_numpy(ids), runs))
    return clips


def _read(pairs: list[tuple[Path, Path]], short_side: int) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, H, W) frames and (T, H, W) object numbers, both uint8."""
    frames: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    first_size: tuple[int, int] | None = None
    for image_path, mask_path in pairs:
        image = read_picture(image_path)
        mask = read_index_mask(mask_path, image, image_path)
        first_size = first_size or image.size
        if image.size != first_size:
            raise DataError(
                f"{image_path} is {image.height}x{image.width}, the clip's first frame {first_size[1]}x{first_size[0]}; "
                "the frames of a clip have one size"
            )
        factor = min(1.0, short_side / min(image.size))
        size = (round(image.width * factor), round(image.height * factor))
        frames.append(np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1))
        masks.append(np.asarray(mask.resize(size, Image.Resampling.NEAREST)))
    return np.stack(frames), object_numbers(np.stack(masks))


def unbroken_runs(masks: np.ndarray, min_area: float) -> list[tuple[int, int]]:
    """Stretches [start, stop) of two frames or more in which one object is seen and does not jump.

    masks (T, H, W) bool. Seen: at least min_area of the frame. A jump: IoU with the frame before below JUMP.
    """
    seen = masks.mean((1, 2)) >= min_area
    runs = []
    start: int | None = None
    for t in range(len(masks) + 1):
        broken = t == len(masks) or not seen[t]
        if not broken and start is not None:
            both, either = (masks[t] & masks[t - 1]).sum(), (masks[t] | masks[t - 1]).sum()
            if both / max(either, 1) < JUMP:
                runs.append((start, t))
                start = t
        if broken and start is not None:
            runs.append((start, t))
            start = None
        elif not broken and start is None:
            start = t
    return [(a, b) for a, b in runs if b - a >= 2]
