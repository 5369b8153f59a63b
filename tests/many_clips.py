"""Clips for tests of many at once, and segmenters that need no model: the first mask held still, slowly, or until something breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, ModelNotFoundError, VosZooWarning
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter

SIZE = (48, 64)


def frames(count: int = 4, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3): a red square on noise, four pixels further right in every frame."""
    made = np.random.default_rng(seed).integers(90, 160, (count, *SIZE, 3), dtype=np.uint8)
    for t in range(count):
        made[t, 10:30, 8 + 4 * t : 28 + 4 * t] = (200, 40, 30)
    return made


def touch(*paths: str) -> None:
    """Files that hold something, but nothing that can be read."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def write_video(path: Path, count: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=10, size=SIZE) as writer:
        for frame in frames(count):
            writer.write(frame)


def write_frames(folder: Path, count: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames(count)):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")


def write_mask(path: Path, left: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, left : left + 20] = 1
    if path.suffix == ".npy":
        np.save(path, mask)
    else:
        image = Image.fromarray(mask)
        image.putpalette([0, 0, 0, 128, 0, 0])
        image.save(path)


def write_clips(root: Path, *names: str, count: int = 4) -> Path:
    """ROOT/<name>/, frames, and ROOT/<name>.png."""
    for n, name in enumerate(names):
        write_frames(root / name, count)
        write_mask(root / f"{name}.png", left=8 + n)
    return root


class Still:
    """The part of a Segmenter that is used: the first mask in every frame. `began` gets a line a clip; `pause` is of a frame."""

    def __init__(self, began: Path | None = None, pause: float = 0.0):
        self.config, self.device, self.dtype = SimpleNamespace(name="still"), SimpleNamespace(type="cpu"), "torch.float32"
        self.began, self.pause = began, pause

    def propagate(
        self, video: Any, first_mask: Any = None, *, masks: Any = None, progress: Callable[..., None] | None = None, **options: Any
    ) -> MaskSequence:
        video = open_video(video)
        if self.began is not None:
            with open(self.began, "a") as file:
                file.write(f"{video.name}\n")
        self.meet(video.name)
        first, given = (0, first_mask) if masks is None else min(masks.items())
        labels = read_mask(given, size=(video.height, video.width)).labels
        result = MaskSequence(labels.shape, fps=video.fps, frame_names=video.frame_names)
        for index, _ in enumerate(video):
            time.sleep(self.pause)
            if index >= first:
                result.set(index, labels, lost=[1] if index == 3 else [])
            if progress is not None:
                progress(5 * index, None)
        return result

    def meet(self, name: str) -> None:
        """Something may go wrong with that video."""


class Fragile(Still):
    """Its process dies of the video "crash"; "bug" is an error nobody expects, "refused" one of ours, "odd" a warning."""

    def meet(self, name: str) -> None:
        if name == "crash":
            os._exit(9)
        if name == "bug":
            raise ZeroDivisionError("a bug")
        if name == "refused":
            raise MaskError("refused does not fit; make it fit")
        if name == "odd":
            import warnings

            warnings.warn("odd is odd", VosZooWarning, stacklevel=2)


def unable() -> Still:
    """A model that can't be loaded."""
    raise ModelNotFoundError("no model is called 'nobody'")
