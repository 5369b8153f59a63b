"""Tiny data sets laid out as DAVIS and YouTube-VOS are, and segmenters that know the answer or stand still."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import open_video

SIZE = (40, 60)


def labels(index: int, ids: tuple[int, ...] = (1, 3)) -> np.ndarray:
    """One square an object, two pixels further right in every frame."""
    mask = np.zeros(SIZE, dtype=np.uint8)
    for k, object_id in enumerate(ids):
        mask[5 + 15 * k : 15 + 15 * k, 4 + 2 * index : 14 + 2 * index] = object_id
    return mask


def write_mask(path: Path, mask: np.ndarray, indexed: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if indexed:
        image.putpalette(davis_palette().tobytes())
    image.save(path)


def write_frames(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), 9 * k, dtype=np.uint8)).save(folder / name)


def write_clip(root: Path, name: str, frames: int = 8, ids: tuple[int, ...] = (1, 3)) -> None:
    """ROOT/<clip>/frames and masks."""
    write_frames(root / name / "frames", [f"{i:05d}.jpg" for i in range(frames)])
    for index in range(frames):
        write_mask(root / name / "masks" / f"{index:05d}.png", labels(index, ids))


def write_davis(root: Path, frames: int = 5, annotations: str = "Annotations") -> Path:
    """Two sequences, cat and dog, the first of which is in 2016 too; row 0 of all masks is void."""
    for year, names in (("2016", "cat\n"), ("2017", "cat\ndog\n")):
        (root / "ImageSets" / year).mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / year / "val.txt").write_text(names)
    for name in ("cat", "dog"):
        write_frames(root / "JPEGImages" / "480p" / name, [f"{i:05d}.jpg" for i in range(frames)])
        for index in range(frames):
            mask = labels(index, (1, 2))
            mask[0] = 255
            write_mask(root / annotations / "480p" / name / f"{index:05d}.png", mask)
    return root


YOUTUBE = {  # video -> object id -> category, number of the annotated frame in which it begins
    "0a": {4: ("person", 0), 2: ("panda", 2)},
    "1b": {1: ("person", 1)},
}


def youtube_labels(video: str, nth: int) -> np.ndarray:
    """The true mask of the nth annotated frame: the objects that have begun."""
    mask = np.zeros(SIZE, np.uint8)
    for row, (k, (_, begin)) in enumerate(YOUTUBE[video].items()):
        if nth >= begin:
            mask[5 + 15 * row : 15 + 15 * row, 4 + 3 * nth : 14 + 3 * nth] = k
    return mask


def write_youtubevos(root: Path, annotated: int = 6, every: int = 5) -> Path:
    """Frames 00000, 00001, ... with masks on every fifth; objects begin at different ones, and their ids are neither 1..N nor in order."""
    videos = {}
    for video, objects in YOUTUBE.items():
        write_frames(root / "JPEGImages" / video, [f"{i:05d}.jpg" for i in range(every * (annotated - 1) + 1)])
        for nth in range(annotated):
            write_mask(root / "Annotations" / video / f"{every * nth:05d}.png", youtube_labels(video, nth))
        about = {
            str(k): {"category": category, "frames": [f"{every * n:05d}" for n in range(begin, annotated)]}
            for k, (category, begin) in objects.items()
        }
        videos[video] = {"objects": about}
    (root / "meta.json").write_text(json.dumps({"videos": videos}))
    return root


class Still:
    """Holds what it is given still."""

    def __init__(self) -> None:
        self.options: list[dict] = []
        self.given: list[dict] = []

    def label(self, clip_name: str, index: int, given: np.ndarray) -> np.ndarray:
        return given

    def propagate(self, video, first_mask=None, *, masks=None, **options):
        self.options.append(options)
        told = {0: first_mask} if masks is None else masks
        self.given.append(told)
        opened = open_video(video)
        result = MaskSequence(SIZE, frame_names=opened.frame_names)
        assert opened.length is not None
        now = np.zeros(SIZE, np.int32)
        name = Path(video).parent.name if Path(video).name == "frames" else Path(video).name
        for index in range(min(told), opened.length):
            new = told.get(index)
            for k, mask in (new if isinstance(new, dict) else {}).items():
                now[mask] = k
            if isinstance(new, np.ndarray):
                now = new
            result.set(index, self.label(name, index, now))
        return result


class Knows(Still):
    """Reads the truth."""

    def label(self, clip_name, index, given):
        return labels(index, (2,) if clip_name == "dog" else (1, 3))


class Slow(Still):
    """Takes its time, so that it can be interrupted; a file in `began` says which clips were begun."""

    def __init__(self, began: Path, seconds: float) -> None:
        super().__init__()
        self.began, self.seconds = began, seconds

    def propagate(self, video, first_mask=None, *, progress=None, **options):
        name = Path(video).parent.name
        with open(self.began, "a") as file:
            file.write(f"{name}\n")
        for frame in range(10):
            time.sleep(self.seconds / 10)
            if progress:
                progress(frame + 1, 10)
        return super().propagate(video, first_mask, **options)
