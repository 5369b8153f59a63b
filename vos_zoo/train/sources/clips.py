"""Real clips with masks, in memory or in their files, and where in them an object can be followed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.train.sources.layouts import ClipFiles, find_clips
from vos_zoo.train.sources.pictures import VOID, BadFile, read_index_mask, read_picture
from vos_zoo.train.sources.problems import Problems

JUMP = 0.2  # an object whose masks overlap less than this from one frame to the next has jumped: its label, not the object
Runs = dict[int, list[tuple[int, int]]]  # object id -> unbroken stretches [start, stop) in which it is seen and does not jump


class AnyClip(Protocol):
    """What is needed of a clip: its annotated frames, in order, and its objects' runs."""

    @property
    def name(self) -> str: ...

    @property
    def runs(self) -> Runs: ...

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (n, 3, H, W) and object ids (n, H, W), uint8, of these numbers."""
        ...


Named = TypeVar("Named", AnyClip, ClipFiles)


@dataclass
class Clip:
    """A clip in memory."""

    name: str
    frames: Tensor  # (T, 3, H, W) uint8: annotated frames only, in order
    ids: Tensor  # (T, H, W) uint8
    runs: Runs

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.frames[index], self.ids[index]


@dataclass
class ClipOnDisk:
    """A clip whose frames are decoded when they are drawn."""

    files: ClipFiles
    short_side: int
    indexed: bool  # some mask has a number that is neither 0 nor void
    runs: Runs

    @property
    def name(self) -> str:
        return self.files.name

    def __len__(self) -> int:
        return len(self.files.pairs)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        numbers, place = index.unique(return_inverse=True)
        frames, masks = read_pairs([self.files.pairs[n] for n in numbers.tolist()], self.short_side)
        ids = numbers_of(masks, self.files.merged, self.indexed)
        return torch.from_numpy(frames)[place], torch.from_numpy(ids)[place]


def training_clips(root: str | Path, index: str | Path | None, problems: Problems) -> list[ClipFiles]:
    """The clips of a plain folder; with an index (JSON: name -> {"split": ...}) only those whose split is "train".

    DataError if there is no such folder, the index can't be read, or it does not know a clip.
    """
    everything = Problems()
    found = find_clips("folder", root, everything)
    train = {files.name for files in found}
    if index is not None:
        try:
            split = {name: row["split"] for name, row in json.loads(Path(index).read_text(encoding="utf-8")).items()}
        except OSError as error:
            raise DataError(f"the index of clips {index} can't be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f'{index} is no index of clips: expected JSON, clip name -> {{"split": "train" or "val"}}') from error
        unknown = [files.name for files in found if files.name not in split]
        if unknown:
            raise DataError(f"{index} does not say which split these clips belong to: {', '.join(unknown[:5])}")
        train = {name for name in train if split[name] == "train"}
    for path, what in everything.found:
        if path.relative_to(root).parts[0] in train:
            problems.add(path, what)
    return [files for files in found if files.name in train]


def without(clips: Iterable[Named], words: Sequence[str]) -> list[Named]:
    """Those whose name holds none of the words."""
    return [each for each in clips if not any(word in each.name for word in words)]


def load_clips(
    files: Sequence[ClipFiles],
    problems: Problems,
    *,
    short_side: int = 360,
    min_area: float = 0.002,
    skip: tuple[str, ...] = (),
    memory: float = 4.0,
    cache: Path | None = None,
) -> list[AnyClip]:
    """Read every frame and mask once, shrunk to `short_side` pixels, and keep the clips that can be trained on.

    The first `memory` GiB stay in memory, further clips are read again when they are drawn; what is known of those is kept under
    `cache`. Clips whose name holds a word of `skip` are not read. Left out, as a problem: clips with a file that can't be read, with
    frames of several sizes, without two annotated frames, and without an object that covers `min_area` of two neighbouring ones.
    """
    clips: list[AnyClip] = []
    room = memory * 2**30
    for each in without(files, skip):
        if len(each.pairs) < 2:
            continue
        record = None if cache is None else cache / f"clip-{_fingerprint(each, short_side, min_area)}.json"
        if room <= 0 and record is not None and record.exists():
            known = json.loads(record.read_text(encoding="utf-8"))
            clips.append(ClipOnDisk(each, short_side, known["indexed"], {int(k): [(a, b) for a, b in v] for k, v in known["runs"].items()}))
            continue
        try:
            frames, masks = read_pairs(each.pairs, short_side)
        except BadFile as error:
            problems.add(error.path, f"{error.what} (clip {each.name} is left out)")
            continue
        indexed = bool(np.any((masks > 0) & (masks < VOID)))
        ids = numbers_of(masks, each.merged, indexed)
        runs = {int(k): unbroken_runs(ids == k, min_area) for k in np.unique(ids) if k}
        runs = {k: stretches for k, stretches in runs.items() if stretches}
        if not runs:
            problems.add(each.folder, "no object is seen in two neighbouring annotated frames")
        elif room > 0:
            clips.append(Clip(each.name, torch.from_numpy(frames), torch.from_numpy(ids), runs))
            room -= frames.nbytes + ids.nbytes
        else:
            clips.append(ClipOnDisk(each, short_side, indexed, runs))
            if record is not None:
                with atomic_write(record) as temporary:
                    temporary.write_text(json.dumps({"indexed": indexed, "runs": runs}), encoding="utf-8")
    return clips


def read_pairs(pairs: Sequence[tuple[Path, Path]], short_side: int) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, H, W) frames and (T, H, W) masks as they are in the files, uint8. BadFile names what can't be used."""
    frames: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    first_size: tuple[int, int] | None = None
    for image_path, mask_path in pairs:
        image = read_picture(image_path)
        mask = read_index_mask(mask_path, image, image_path)
        first_size = first_size or image.size
        if image.size != first_size:
            size = f"{first_size[1]}x{first_size[0]}"
            raise BadFile(image_path, f"is {image.height}x{image.width}, the clip's first frame {size}; the frames of a clip have one size")
        factor = min(1.0, short_side / min(image.size))
        smaller = (round(image.width * factor), round(image.height * factor))
        frames.append(np.asarray(image.resize(smaller, Image.Resampling.BILINEAR)).transpose(2, 0, 1))
        masks.append(np.asarray(mask.resize(smaller, Image.Resampling.NEAREST)).astype(np.uint8))
    return np.stack(frames), np.stack(masks)


def numbers_of(masks: np.ndarray, merged: bool, indexed: bool) -> np.ndarray:
    """Object numbers of a clip's masks, or of some of them; `indexed` is said of the whole clip."""
    if not indexed:
        return (masks == VOID).astype(np.uint8)
    ids = np.where(masks == VOID, 0, masks).astype(np.uint8)
    return (ids > 0).astype(np.uint8) if merged else ids


def _fingerprint(files: ClipFiles, short_side: int, min_area: float) -> str:
    """Changes with the files' names, sizes and times."""
    facts = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for pair in files.pairs for path in pair]
    return hashlib.sha256(json.dumps([short_side, min_area, files.merged, facts]).encode()).hexdigest()[:16]


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
