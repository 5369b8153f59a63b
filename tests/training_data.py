"""Tiny training data: stills with masks and clips, laid out as documented or as published, and a CRVOS small enough to train in a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vos_zoo.models.crvos import CRVOS
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.sources.clips import AnyClip, load_clips
from vos_zoo.train.sources.layouts import files_of
from vos_zoo.train.sources.problems import Problems
from vos_zoo.train.sources.stills import StillBank, load_stills

RED = (230, 20, 30)
MODEL_ARGS: dict[str, Any] = {
    "backbone": "resnet18",
    "backbone_stages": 3,
    "batch_norm": "folded",
    "reduced": [8, 8, 8],
    "blended": [8, 8, 8],
}


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth blotches of green and blue, with little red."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (5, 6, 3), dtype=np.uint8)
    coarse[..., 0] //= 4
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def still(seed: int, size: tuple[int, int] = (72, 96), colour: tuple[int, int, int] = RED) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask of 0 and 1: an ellipse of one colour that no other pixel has."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    inside = ((y - 0.5 * height) / (0.28 * height)) ** 2 + ((x - 0.45 * width) / (0.22 * width)) ** 2 < 1
    image = texture(height, width, seed).copy()
    image[inside] = colour
    return image, inside.astype(np.uint8)


def write_stills(folder: Path, count: int = 3, **options: Any) -> Path:
    for n in range(count):
        image, mask = still(n, **options)
        save(folder / "images" / f"{n:03}.png", image)
        save(folder / "masks" / f"{n:03}.png", mask)
    return folder


def write_clip(
    folder: Path, frames: int = 5, size: tuple[int, int] = (64, 96), ids: dict[int, list[tuple[int, int]]] | None = None
) -> Path:
    """A clip in which square n stands at ids[n][t] = (top, left); outside the frame, or None, it is not seen."""
    for t in range(frames):
        image = texture(*size, seed=99).copy()
        mask = np.zeros(size, np.uint8)
        for number, places in (ids or {1: [(20, 10 + 4 * t) for t in range(frames)]}).items():
            if places[t] is not None:
                top, left = places[t]
                image[top : top + 24, left : left + 24] = RED if number == 1 else (20, 60, 240)
                mask[top : top + 24, left : left + 24] = number
        save(folder / "frames" / f"{t:05}.png", image)
        save(folder / "masks" / f"{t:05}.png", mask)
    return folder


def write_davis(root: Path, splits: dict[str, str], objects: int, size: tuple[int, int] = (64, 96), frames: int = 5) -> Path:
    """The DAVIS release at 480p (only smaller): JPEGImages, Annotations, and lists of names for 2016 and 2017."""
    for name in splits:
        places = {n: [(4 + 30 * (n - 1), 4 + (3 + n) * t) for t in range(frames)] for n in range(1, objects + 1)}
        _write_frames(root / "JPEGImages/480p" / name, root / "Annotations/480p" / name, places, size, range(frames))
    for year in ("2016", "2017"):
        for subset in ("train", "val"):
            listing = root / "ImageSets" / year / f"{subset}.txt"
            listing.parent.mkdir(parents=True, exist_ok=True)
            listing.write_text("".join(f"{name}\n" for name, split in splits.items() if split == subset))
    return root


def write_youtubevos(root: Path, names: list[str], size: tuple[int, int] = (64, 96)) -> Path:
    """YouTube-VOS's training set, 2018 or 2019: every fifth frame with its mask, and meta.json."""
    numbers = range(0, 20, 5)
    places = {n: [(4 + 30 * (n - 1), 4 + (3 + n) * t) for t in range(len(numbers))] for n in (1, 2)}
    stems = [f"{number:05}" for number in numbers]
    for name in names:
        _write_frames(root / "JPEGImages" / name, root / "Annotations" / name, places, size, numbers)
    objects = {str(n): {"category": "square", "frames": stems} for n in places}
    (root / "meta.json").write_text(json.dumps({"videos": {name: {"objects": objects} for name in names}}))
    return root


def _write_frames(
    frames: Path, masks: Path, places: dict[int, list[tuple[int, int]]], size: tuple[int, int], numbers: Sequence[int]
) -> None:
    colours = [RED, (20, 60, 240), (240, 220, 20)]
    masks.mkdir(parents=True)
    for t, number in enumerate(numbers):
        image, mask = texture(*size, seed=7).copy(), np.zeros(size, np.uint8)
        for n, at in places.items():
            top, left = at[t]
            image[top : top + 24, left : left + 24] = colours[n - 1]
            mask[top : top + 24, left : left + 24] = n
        save(frames / f"{number:05}.jpg", image)
        palette = Image.fromarray(mask, "P")
        palette.putpalette([v for colour in ((0, 0, 0), *colours) for v in colour])
        palette.save(masks / f"{number:05}.png")


def bank_of(*folders: Path, cache: Path, **options: Any) -> StillBank:
    """A bank of these folders; DataError at the first thing that is wrong with them."""
    problems = Problems()
    bank = load_stills(folders, cache, problems, **options)
    problems.settle("stop")
    return bank


def clips_of(*folders: Path, **options: Any) -> list[AnyClip]:
    """Clips of these folders; DataError at the first thing that is wrong with them."""
    problems = Problems()
    clips = load_clips([files_of(f.name, f / "frames", f / "masks", problems) for f in folders], problems, **options)
    problems.settle("stop")
    return clips


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def core(masks: Tensor) -> Tensor:
    """masks (T, H, W) of 0 and 1 -> bool: two pixels and more inside, and inside the frame."""
    return F.max_pool2d(F.pad(1 - masks, [2] * 4, value=1.0)[:, None], 5, 1)[:, 0] == 0


def around(masks: Tensor) -> Tensor:
    """masks (T, H, W) of 0 and 1 -> bool: inside or up to two pixels away."""
    return F.max_pool2d(masks[:, None], 5, 1, 2)[:, 0] > 0


def recipe(**changes: Any) -> Recipe:
    """Six steps in two stages, frozen as the shipped recipe is, with warm frames and a cosine."""
    stages = [
        Stage("single", steps=2, size=(32, 48), batch=2, frames=2, corrupt=0.9, real=0.5, lr=1e-3),
        Stage("drift", steps=4, size=(32, 48), batch=1, frames=4, warm=1, corrupt=0.5, real=0.5, lr=1e-3, lr_end=1e-4),
    ]
    values: dict[str, Any] = {
        "architecture": "CRVOS",
        "model_args": MODEL_ARGS,
        "stages": stages,
        "seed": 3,
        "warmup": 2,
        "stills": ("stills",),
        "frozen": ("trunk.net.conv1", "trunk.net.layer1"),
    }
    return Recipe(**{**values, **changes})


def tiny_crvos(**changes: Any) -> CRVOS:
    return CRVOS(CRVOS.Config(**{**MODEL_ARGS, **changes}))
