"""The colours in which masks are drawn and saved: the palette of PASCAL VOC and DAVIS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.system.shown import shown
from vos_zoo.system.values import whole


def davis_palette() -> np.ndarray:
    """The 256 colours as (256, 3) uint8 RGB; row i is the colour of id i, row 0 (background) is black.

    Bits 0, 3, 6 of an id go to the top bits of red, bits 1, 4, 7 to green and bits 2, 5 to blue, each from
    the
    highest down, so that small ids lie far apart: 1 is dark red, 2 dark green, 3 olive, 4 dark blue.
    """
    return _palette().copy()


def colours_of(labels: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of ids (...) of any integer type; ids above 255 start over at the colour of id
    1."""
    if labels.dtype != np.uint8:
        labels = np.where(labels > 255, (labels - 1) % 255 + 1, labels)
    return _palette()[labels]


def read_colours(given: object) -> dict[int, tuple[int, int, int]]:
    """Colours that a caller chose, {1: "#2f9bff"}, as id -> (red, green, blue). MaskError if they are something else."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise MaskError(f"colours must say which object has which, as in {{1: '#2f9bff'}}, and not {shown(given)}")
    read = {}
    for k, colour in given.items():
        if not isinstance(colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise MaskError(f"the colour of object {shown(k)} must be like '#2f9bff', not {shown(colour)}")
        read[whole(k, "an object in colours", 1, 2**31 - 1, error=MaskError)] = (
            int(colour[1:3], 16),
            int(colour[3:5], 16),
            int(colour[5:], 16),
        )
    return read


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    ids = np.arange(256)
    channels = [sum(((ids >> (3 * k + channel)) & 1) << (7 - k) for k in range(3)) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)
