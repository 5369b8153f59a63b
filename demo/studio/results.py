"""The files of a finished run, in two passes over the clip: one at full size, one as large as a browser needs."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

import vos_zoo
from studio.clips import Clip, told_by_name
from studio.drawing import as_uri, cut_out, fitted, shrink, shrink_labels, tint
from studio.limits import Limits

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
    strip: list[tuple[int, str]] = field(default_factory=list)  # (frame, small picture as a data URI)


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


def write_files(folder: Path, clip: Clip, parts: list[Part], limits: Limits) -> Files:
    """Everything that the page offers, of the frames that were computed."""
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
                    write_video(folder / f"{name}_overlay.mp4", clip, _full(clip, part, archive), clip.size, len(part.masks))
                )
        files.panel = fitted(clip.size, limits.preview, even=True)
        height, width = files.panel
        cutouts: list[Image.Image] = []
        panels = _panels(clip, parts, files, cutouts)
        files.player = write_video(folder / "player.mp4", clip, panels, (height, width * (1 + len(parts))), len(main.masks))
        if main.masks.object_ids:
            files.cutout = str(folder / f"{stem}_cutout.webp")
            milliseconds = round(1000 * _cutout_step(main) / clip.fps)
            cutouts[0].save(files.cutout, save_all=True, append_images=cutouts[1:], duration=milliseconds, loop=0, quality=70, method=2)
    return files


def read_part(clip: Clip, part: Part) -> Iterator[tuple[int, np.ndarray]]:
    """(number in the part, frame)."""
    with vos_zoo.open_video(clip.path) as video:
        yield from enumerate(islice(video, part.begin, part.begin + len(part.masks)))


def _full(clip: Clip, part: Part, archive: zipfile.ZipFile | None) -> Iterator[np.ndarray]:
    """Frames with their objects tinted; on the way the objects cut out go to the archive."""
    lost = part.lost
    for at, frame in read_part(clip, part):
        labels = part.masks[at]
        if archive is not None:
            with archive.open(f"{part.begin + at:05d}.png", "w") as file:
                Image.fromarray(cut_out(frame, labels)).save(file, "PNG", compress_level=3)
        yield tint(frame, labels, lost[at])


def _panels(clip: Clip, parts: list[Part], files: Files, cutouts: list[Image.Image]) -> Iterator[np.ndarray]:
    """The frame and each model's overlay beside each other, small; on the way the strip and the moving cut-out are gathered."""
    main, lost = parts[0], [part.lost for part in parts]
    count = len(main.masks)
    in_strip = {round(k) for k in np.linspace(0, count - 1, min(STRIP_FRAMES, count))}
    strip_size, cutout_size = fitted(clip.size, STRIP_SIDE), fitted(clip.size, CUTOUT_SIDE)
    for at, frame in read_part(clip, main):
        small = shrink(frame, files.panel)
        views = [tint(small, shrink_labels(part.masks[at], files.panel), gone[at]) for part, gone in zip(parts, lost, strict=True)]
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
