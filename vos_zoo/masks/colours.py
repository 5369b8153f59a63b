"""A mask in any colours, one an object: its objects are numbered, and it is told which colour became which number."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.videos.images import read_frame

MOST = 64  # colours of a mask; a photo has thousands
SMALLEST = 1e-4  # of the picture: a colour with less is an edge

Colour = tuple[int, int, int]


class Numbered(NamedTuple):
    """The objects of a picture by their colours."""

    labels: np.ndarray  # (H, W) uint8 ids, 0 background
    colours: dict[int, Colour]  # of each id


def number_colours(path: str | os.PathLike[str]) -> Numbered:
    """The objects of a picture in which each has one colour, numbered from 1, the largest first.

    Black is the background, or the colour of most of the picture's edge where there is no black.

    Args:
        path: the picture.

    Raises:
        MaskError: it can't be read, has no object, or too many colours: it is a photo, a JPEG, or has soft edges.

    Example:
        >>> from vos_zoo.masks.colours import number_colours
        >>> labels, colours = number_colours("mask.png")  # doctest: +SKIP
    """
    name = os.fspath(path)
    try:
        picture = read_frame(path, name)
    except Exception as error:
        raise MaskError(f"{name} can't be read as a picture ({error})") from error
    codes, where, counts = np.unique(picture.reshape(-1, 3).astype(np.int32) @ (65536, 256, 1), return_inverse=True, return_counts=True)
    soft = int((counts < SMALLEST * counts.sum()).sum())
    if len(codes) > MOST or soft > len(codes) / 2:
        raise MaskError(
            f"{name} has {len(codes)} colours: --colours takes pictures with one colour an object and sharp edges. Save it as a PNG, "
            "without antialiasing"
        )
    where = where.reshape(picture.shape[:2])
    ground = int(np.flatnonzero(codes == 0)[0]) if (codes == 0).any() else _of_the_edge(where)
    order = [n for n in np.argsort(-counts, kind="stable").tolist() if n != ground]
    if not order:
        raise MaskError(f"{name} has one colour, so it shows no object: paint each object in a colour of its own, on black")
    ids = np.zeros(len(codes), np.uint8)
    ids[order] = np.arange(1, 1 + len(order))
    colours = {k: (int(codes[n]) >> 16, (int(codes[n]) >> 8) & 255, int(codes[n]) & 255) for k, n in enumerate(order, 1)}
    return Numbered(ids[where], colours)


def _of_the_edge(where: np.ndarray) -> int:
    edge = np.concatenate([where[0], where[-1], where[:, 0], where[:, -1]])
    return int(np.bincount(edge).argmax())
