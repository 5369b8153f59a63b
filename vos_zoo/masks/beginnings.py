"""Where objects begin: of the masks of several frames, each object's first, as the YouTube-VOS, MOSE and LVOS releases give them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from vos_zoo.masks.labels import ObjectMasks
from vos_zoo.masks.read import read_mask


def first_of_each(masks: Mapping[int, Any], *, size: tuple[int, int] | None = None, resize: bool = False) -> dict[int, ObjectMasks]:
    """Each object on the frame where it is first seen, and nothing else: what semi-supervised segmentation is given.

    Args:
        masks: frame index -> whatever `read_mask` takes, as `read_masks` gives them.
        size: (H, W) of the video.
        resize: scale masks of another size.

    Returns:
        frame index -> the objects that begin there; frames where none does are left out.

    Raises:
        MaskError: a mask can't be read, or does not fit.

    Example:
        >>> first_of_each({0: numpy.array([[1, 0]]), 5: numpy.array([[1, 2]])})[5].ids
        (2,)
    """
    known: set[int] = set()
    found: dict[int, ObjectMasks] = {}
    for index in sorted(masks):
        source = masks[index]
        name = f"the mask of frame {index}"
        if isinstance(source, (str, os.PathLike)):
            name = f"{name} ({os.fspath(source)})"
        given = read_mask(source, size=size, resize=resize, allow_empty=True, name=name)
        seen = set(np.unique(given.labels).tolist())
        new = [k for k in given.ids if k in seen and k not in known]
        if new:
            known.update(new)
            found[index] = ObjectMasks(np.where(np.isin(given.labels, new), given.labels, 0).astype(np.int32), tuple(new))
    return found
