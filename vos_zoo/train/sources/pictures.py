"""Images and index masks of the training data, read from files and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from vos_zoo.errors import DataError
from vos_zoo.system.file_order import in_order
from vos_zoo.system.limits import check_picture
from vos_zoo.system.upright import upright
from vos_zoo.system.whole_pictures import whole_pictures

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
VOID = 255  # pixels that nobody labelled


class BadFile(DataError):
    """One file of the training data can't be used; `path`, and `what` is wrong with it."""

    def __init__(self, path: Path, what: str):
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what


def read_picture(path: Path) -> Image.Image:
    """The image at path as RGB. BadFile if it can't be decoded."""
    return _decoded(path).convert("RGB")


def read_index_mask(path: Path, picture: Image.Image, picture_path: Path) -> Image.Image:
    """The mask at path, one 8-bit number a pixel. BadFile if it is none, or of another size than its picture."""
    mask = _decoded(path)
    if mask.mode not in ("P", "L", "1"):
        raise BadFile(path, f"is a mask of mode {mask.mode}; masks are indexed or 8-bit grey PNGs, one object number a pixel")
    if mask.size != picture.size:
        raise BadFile(path, f"is {_size(mask)}, its image {picture_path} {_size(picture)}; make them the same size, or take the pair out")
    return mask


def object_numbers(mask: np.ndarray) -> np.ndarray:
    """uint8 of any shape -> the same with 0 for background and void. A mask of 0 and 255 alone is one object, number 1.

    Hand over all masks of a clip at once: a frame of background and void among indexed ones is not an object.
    """
    if mask.dtype != bool and not np.any((mask > 0) & (mask < VOID)):
        return (mask == VOID).astype(np.uint8)
    return np.where(mask == VOID, 0, mask).astype(np.uint8)


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in order of time; none if there is no such folder. Hidden files don't count."""
    return in_order(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))


@whole_pictures()
def _decoded(path: Path) -> Image.Image:
    try:
        image: Image.Image = Image.open(path)
        check_picture(image.height, image.width, "the image", DataError)
        image.load()
        image = upright(image)
    except Exception as error:  # decoders raise all kinds; the other files go on
        raise BadFile(path, f"can't be read as an image ({error}); replace it or take it out") from error
    return image


def _size(image: Image.Image) -> str:
    return f"{image.height}x{image.width}"
