"""The colours in which masks are drawn and saved: the palette of PASCAL VOC and DAVIS."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


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


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    ids = np.arange(256)
    channels = [sum(((ids >> (3 * k + channel)) & 1) << (7 - k) for k in range(3)) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)
