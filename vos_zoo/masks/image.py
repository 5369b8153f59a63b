"""What the pixels of an image mean as a mask: indexed, grey, colour and alpha masks -> a map of ids."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.palette import davis_palette

_VOID = 255
_MOTS_IGNORED = 10_000  # beside ids of 1000 * class + number: a region that is left out
_MANY_LEVELS = 32
_THRESHOLD_FIX = (
    "Threshold it first (numpy: mask > 127), or export the mask as PNG without antialiasing. If its values "
    "really are ids, save it as an indexed (mode P) PNG or as .npy of dtype int32"
)


def image_labels(image: Image.Image, name: str) -> np.ndarray:
    """The ids (H, W), an integer array with 0 = background, that an image stands for.

    Indexed (mode P): the indices are the ids; 255, the void of DAVIS and PASCAL, becomes background. Alpha
    that varies: alpha > 127 is object 1. Grey: see `grey_labels`. Colour: only those of the DAVIS palette.

    Raises:
        MaskError: soft edges (antialiasing, JPEG), or colours whose ids can't be known.
    """
    if image.mode in ("P", "PA"):
        return _indexed_labels(image, name)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        rgba = np.asarray(image.convert("RGBA"))
        alpha = rgba[..., 3]
        if alpha.min() != alpha.max():
            return (alpha > 127).astype(np.uint8)
        return colour_labels(rgba[..., :3], name)
    if image.mode in ("L", "I;16", "I;16L", "I;16B", "I"):
        return grey_labels(np.asarray(image), name, lossy=image.format == "JPEG")
    if image.mode == "F":
        return np.asarray(image)
    return colour_labels(np.asarray(image.convert("RGB")), name, lossy=image.format == "JPEG")


def grey_labels(levels: np.ndarray, name: str, *, lossy: bool = False) -> np.ndarray:
    """The ids (H, W) that a grey mask (H, W) of unsigned integers stands for.

    White alone (0 and 255; 0 and 65535 in 16 bits) is object 1. Otherwise the levels are the ids as they
    stand; in 8 bits 255 beside small ids is void and becomes background, and so does 10000 beside the ids of MOTS, 1001 and more.

    Raises:
        MaskError: many levels which have no inside: soft edges, which would turn into hundreds of thin
            objects.
    """
    present = np.unique(levels)
    objects = present[present > 0]
    if objects.size > 1 and objects[-1] == _MOTS_IGNORED and objects[0] > 1000 and objects[-2] < 3000:
        return np.where(levels == _MOTS_IGNORED, 0, levels)
    white = 65535 if levels.dtype.itemsize > 1 and present.max() > _VOID else 255
    if objects.size == 1 and objects[0] == white:
        return (levels == white).astype(np.uint8)
    if lossy and objects.size:
        raise MaskError(
            f"{name} is a JPEG with {present.size} grey levels ({_some(present)}): JPEG blurs ids into their neighbours. {_THRESHOLD_FIX}"
        )
    looks_grey = objects.size >= 2 and (objects[-1] >= white - 5 or objects.size > _MANY_LEVELS)
    if looks_grey and 2 * _count_hollow(levels, objects) >= objects.size:
        raise MaskError(
            f"{name} has {present.size} grey levels ({_some(present)}), and most of them only along edges: "
            f"an antialiased mask or one from a JPEG, not a map of ids. {_THRESHOLD_FIX}"
        )
    if levels.dtype.itemsize == 1 and objects.size >= 2 and objects[-1] == _VOID and objects[-2] <= _MANY_LEVELS:
        return np.where(levels == _VOID, 0, levels)
    return levels


def colour_labels(colours: np.ndarray, name: str, *, lossy: bool = False) -> np.ndarray:
    """The ids (H, W) whose DAVIS palette colours (H, W, 3) uint8 are; a picture in greys goes to
    `grey_labels`.

    Raises:
        MaskError: a colour which is not in the palette.
    """
    if (colours[..., 0] == colours[..., 1]).all() and (colours[..., 0] == colours[..., 2]).all():
        return grey_labels(colours[..., 0], name, lossy=lossy)
    weights = np.array([65536, 256, 1], dtype=np.int32)
    codes, where = np.unique(colours.astype(np.int32) @ weights, return_inverse=True)
    found = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1)
    if len(found) <= 256:
        distance = np.abs(found[:, None] - davis_palette().astype(np.int32)).max(axis=2)
        ids = distance.argmin(axis=1)
        if (distance.min(axis=1) <= 1).all():  # some tools write 191 where the formula gives 192
            ids[ids == _VOID] = 0
            return ids[where].reshape(colours.shape[:2])
    example = ", ".join(str(tuple(int(v) for v in colour)) for colour in found[:4])
    raise MaskError(
        f"{name} is a colour picture with {len(found)} colours "
        f"({example}{', ...' if len(found) > 4 else ''}) which are not those of the DAVIS palette, so their "
        "ids can't be known. Save the mask as an indexed (mode P) PNG, as grey (0 = background, 255 or 1, "
        "2, ... = objects), pass {id: mask}, e.g. {1: (picture == colour).all(-1)}, or number the colours: --colours on the command line, "
        "vos_zoo.masks.colours.number_colours in Python"
    )


def _indexed_labels(image: Image.Image, name: str) -> np.ndarray:
    indices = np.asarray(image if image.mode == "P" else image.getchannel(0))
    present = np.unique(indices)
    flat = image.getpalette("RGB") or []
    colours = np.array(flat, dtype=np.uint8).reshape(-1, 3)
    if present[-1] < len(colours):
        used = colours[present]
        grey = bool((used == used[:, :1]).all())
        renumbered = colours[0].any() and not used.sum(axis=1).min()  # black is there, but has not index 0
        if grey and (renumbered or (used[:, 0] == present).all()):
            return grey_labels(colours[indices][..., 0], name)  # a grey picture, only stored as an indexed one
    objects = present[(present > 0) & (present != _VOID)]
    if objects.size > _MANY_LEVELS and 2 * _count_hollow(indices, objects) >= objects.size:
        raise MaskError(
            f"{name} is an indexed picture with {present.size} colours, most of them only along edges: a "
            f"picture or an antialiased mask, not a map of ids. {_THRESHOLD_FIX}"
        )
    return np.where(indices == _VOID, 0, indices)


def _count_hollow(levels: np.ndarray, objects: np.ndarray) -> int:
    """How many of the values `objects` nowhere fill 3 x 3 pixels, as an object would and a soft edge does
    not."""
    columns = (levels[:, 2:] == levels[:, 1:-1]) & (levels[:, :-2] == levels[:, 1:-1])  # (H, W - 2)
    centre = levels[1:-1, 1:-1]
    rows = (centre == levels[2:, 1:-1]) & (centre == levels[:-2, 1:-1])
    filled = columns[2:] & columns[1:-1] & columns[:-2] & rows
    return int(np.setdiff1d(objects, centre[filled]).size)


def _some(levels: np.ndarray) -> str:
    shown = [str(level) for level in levels.tolist()]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]])
