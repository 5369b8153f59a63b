"""The files of a finished run, in two passes over the clip: one at full size, one as large as a browser needs."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

import vos_zoo
from studio.clips import Clip, told_by_name
from studio.drawing import as_uri, cut_out, fitted, shrink, shrink_labels, tint
from studio.limits import Limits
from studio.looks import USUAL, Looks

CUTOUT_SIDE, CUTOUT_FRAMES = 360, 120  # of the moving picture; its frames are held in memory while it is made
STRIP_SIDE, STRIP_FRAMES = 240, 8


@dataclass
class Files:
    """Paths in the run's folder, and what goes into the page itself."""

    overlays: list[str] = field(default_factory=list)  # one a model
    zips: list[str] = field(default_factory=list)  # of masks, one a model
    cocos: list[str] = field(default_factory=list)
    player: str = ""  # the clip and each model's overlay beside each other
    panel: tuple[int, int] = (0, 0)  # (height, width) of each of them
    cutout: str | None = None  # WebP, transparent; None without an object
    cutouts: str | None = None  # PNGs in a zip; None where they would be too many pixels
    objects: list[str] = field(default_factory=list)  # where they are in the player's frames, one a model: see `pack`
    strip: list[tuple[int, str]] = field(default_factory=list)  # (frame, small picture as a data URI)

    def are_there(self) -> bool:
        """Whether none of them was deleted."""
        paths = (*self.overlays, *self.zips, *self.cocos, *self.objects, self.player, self.cutout, self.cutouts)
        return all(Path(path).exists() for path in paths if path is not None)


@dataclass(frozen=True)
class Part:
    """The computed stretch of one model's masks."""

    title: str
    begin: int  # number of its first frame in the clip
    masks: vos_zoo.MaskSequence

    @classmethod
    def of(cls, title: str, masks: vos_zoo.MaskSequence) -> Part:
        done = np.flatnonzero(masks.computed)
        return cls(title, int(done[0]), masks[int(done[0]) : int(done[-1]) + 1])

    @property
    def lost(self) -> list[list[int]]:
        """For each frame the ids of the objects that are out of sight or uncertain."""
        return [[k for k, gone in zip(self.masks.object_ids, row, strict=True) if gone] for row in self.masks.lost]


def write_files(folder: Path, clip: Clip, parts: list[Part], limits: Limits, looks: Looks = USUAL) -> Files:
    """Everything that the page offers, of the frames that were computed. All objects are in it, also hidden ones."""
    files, stem, main = Files(), Path(clip.name).stem[:40] or "clip", parts[0]
    in_full = bool(main.masks.object_ids) and len(main.masks) * clip.megapixels <= limits.cutout_megapixels
    with told_by_name(clip.path):
        for part in parts:
            name = stem if len(parts) == 1 else f"{stem}_{part.title}"
            files.zips.append(str(part.masks.save_zip(folder / f"{name}_masks.zip")))
            files.cocos.append(str(part.masks.save_coco(folder / f"{name}_coco.json")))
            with contextlib.ExitStack() as stack:
                archive = None
                if part is main and in_full:
                    files.cutouts = str(folder / f"{stem}_cutouts.zip")
                    archive = stack.enter_context(zipfile.ZipFile(files.cutouts, "w", zipfile.ZIP_STORED))
                files.overlays.append(
                    write_video(folder / f"{name}_overlay.mp4", clip, tinted(clip, part, looks, archive), clip.size, len(part.masks))
                )
        files.panel = fitted(clip.size, limits.preview, even=True)
        height, width = files.panel
        cutouts: list[Image.Image] = []
        panels = _panels(clip, parts, files, cutouts, looks)
        files.player = write_video(folder / "player.mp4", clip, panels, (height, width * (1 + len(parts))), len(main.masks))
        files.objects = [_write_objects(folder / f"objects_{n}.bin", part, files.panel) for n, part in enumerate(parts)]
        if main.masks.object_ids:
            files.cutout = str(folder / f"{stem}_cutout.webp")
            milliseconds = round(1000 * _cutout_step(main) / clip.fps)
            cutouts[0].save(files.cutout, save_all=True, append_images=cutouts[1:], duration=milliseconds, loop=0, quality=70, method=2)
    return files


def read_part(clip: Clip, part: Part) -> Iterator[tuple[int, np.ndarray]]:
    """(number in the part, frame)."""
    with vos_zoo.open_video(clip.path) as video:
        yield from enumerate(islice(video, part.begin, part.begin + len(part.masks)))


def tinted(clip: Clip, part: Part, looks: Looks, archive: zipfile.ZipFile | None = None) -> Iterator[np.ndarray]:
    """Frames with their objects tinted; on the way the objects cut out go to the archive."""
    lost = part.lost
    for at, frame in read_part(clip, part):
        labels = part.masks[at]
        if archive is not None:
            with archive.open(f"{part.begin + at:05d}.png", "w") as file:
                Image.fromarray(cut_out(frame, labels)).save(file, "PNG", compress_level=3)
        yield tint(frame, labels, lost[at], colours=looks.colours)


def pack(labels: np.ndarray, ids: Sequence[int], lost: Sequence[int]) -> bytes:
    """Where objects are in a frame (h, w), for the player's script: 32-bit words, first how many follow, then a run each, row by row.

    A run is its length in 20 bits, in ten bits the object's place in `ids` counted from 1, and in one whether it is lost there.
    """
    places = np.zeros(max([0, *ids]) + 1, np.uint32)
    for place, k in enumerate(ids, 1):
        places[k] = (place + (1024 if k in lost else 0)) << 20
    flat = places[labels.reshape(-1)]
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] + 1))
    words = flat[starts] + np.diff(starts, append=flat.size).astype(np.uint32)
    return np.concatenate([[words.size], words]).astype("<u4").tobytes()


def _write_objects(path: Path, part: Part, size: tuple[int, int]) -> str:
    with gzip.open(path, "wb", compresslevel=6) as file:
        for labels, gone in zip(part.masks, part.lost, strict=True):
            file.write(pack(shrink_labels(labels, size), part.masks.object_ids, gone))
    return str(path)


def _panels(clip: Clip, parts: list[Part], files: Files, cutouts: list[Image.Image], looks: Looks) -> Iterator[np.ndarray]:
    """The frame and each model's overlay beside each other, small; on the way the strip and the moving cut-out are gathered."""
    main, lost = parts[0], [part.lost for part in parts]
    count = len(main.masks)
    in_strip = {round(k) for k in np.linspace(0, count - 1, min(STRIP_FRAMES, count))}
    strip_size, cutout_size = fitted(clip.size, STRIP_SIDE), fitted(clip.size, CUTOUT_SIDE)
    for at, frame in read_part(clip, main):
        small = shrink(frame, files.panel)
        views = [
            tint(small, shrink_labels(part.masks[at], files.panel), gone[at], colours=looks.colours)
            for part, gone in zip(parts, lost, strict=True)
        ]
        if at in in_strip:
            files.strip.append((main.begin + at, as_uri(shrink(views[0], strip_size), 75)))
        if at % _cutout_step(main) == 0:
            cutouts.append(Image.fromarray(cut_out(shrink(small, cutout_size), shrink_labels(main.masks[at], cutout_size))))
        yield np.concatenate([small, *views], 1)


def _cutout_step(part: Part) -> int:
    return -(-len(part.masks) // CUTOUT_FRAMES)


def write_video(path: Path, clip: Clip, frames: Iterator[np.ndarray], size: tuple[int, int], count: int) -> str:
    """Writes ready-made frames: masks without an object, drawn on them, leave them as they are."""
    nothing = vos_zoo.MaskSequence(size, fps=clip.fps)
    nothing.reserve(count)
    return str(nothing.save_video(path, frames, alpha=0))
