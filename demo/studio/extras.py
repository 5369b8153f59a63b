"""What a visitor can have made of a result beside the usual files: transparent videos, and other backgrounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, UnidentifiedImageError

import vos_zoo
from studio.clips import Clip, refuse_giants, told_by_name
from studio.looks import USUAL, Looks
from studio.results import Part, read_part, tinted, write_video

PICTURE = "picture"  # the form that wants one
FORMS = {
    "overlay": "Overlay as above: these objects, these colours",
    "webm": "Transparent video, WebM",
    "mov": "Transparent video, ProRes 4444",
    "white": "White background",
    "green": "Green background",
    "blur": "Blurred background",
    PICTURE: "A picture of yours as background",
}
COLOURS = {"white": (255, 255, 255), "green": (0, 177, 64)}
BLUR = 40  # the picture's shorter side, over the blur's radius
LARGEST_PICTURE = 8192  # pixels a side


def make_extra(folder: Path, clip: Clip, part: Part, form: str, picture: str | None = None, looks: Looks = USUAL) -> Path:
    """Writes one of FORMS into the folder and returns its path. picture: an image file, for PICTURE. Hidden objects are left out.

    Raises:
        vos_zoo.VosZooError: there is no object to show, or the picture can't be read.
    """
    if not part.masks.object_ids:
        raise vos_zoo.MaskError("there is no object in this result: mark one and follow it first")
    stem = Path(clip.name).stem[:40] or "clip"
    part = replace(part, masks=looks.only_shown(part.masks))
    with told_by_name(clip.path):
        if form in ("webm", "mov"):
            return part.masks.save_video(folder / f"{stem}_cutout.{form}", clip.path, style="cutout")
        if form == "overlay":
            frames = tinted(clip, part, looks)
            return Path(write_video(folder / f"{stem}_chosen_overlay.mp4", clip, frames, clip.size, len(part.masks)))
        behind = _fitted(picture, clip.size) if form == PICTURE else None
        frames = _replaced(clip, part, form, behind)
        return Path(write_video(folder / f"{stem}_{form}.mp4", clip, frames, clip.size, len(part.masks)))


def _replaced(clip: Clip, part: Part, form: str, behind: np.ndarray | None) -> Iterator[np.ndarray]:
    """Frames with the objects as they are, and another background."""
    for at, frame in read_part(clip, part):
        ground = behind
        if form in COLOURS:
            ground = np.broadcast_to(np.array(COLOURS[form], np.uint8), frame.shape)
        elif form == "blur":
            ground = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(min(frame.shape[:2]) / BLUR)))
        assert ground is not None
        yield np.where((part.masks[at] > 0)[..., None], frame, ground)


def _fitted(picture: str | None, size: tuple[int, int]) -> np.ndarray:
    """A picture that fills the size, cut where it is too wide or too high."""
    if not picture:
        raise vos_zoo.VideoError("which picture? Choose an image file for the background")
    name = Path(picture).name
    refuse_giants(picture, name, LARGEST_PICTURE, vos_zoo.VideoError, f"more than {LARGEST_PICTURE}: save it smaller")
    try:
        with Image.open(picture) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise vos_zoo.VideoError(f"{name} can't be read as a picture ({error}): save it as JPEG or PNG") from error
    height, width = size
    scale = max(width / image.width, height / image.height)
    image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))), Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))
