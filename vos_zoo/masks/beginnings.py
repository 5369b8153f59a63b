"""Where objects begin: of the masks of several frames, each object's first, as the YouTube-VOS, MOSE and LVOS releases give them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.labels import ObjectMasks
from vos_zoo.masks.read import read_mask


def smaller_on_top(objects: Mapping[int, Any]) -> dict[int, np.ndarray]:
    """Objects that may overlap, a mask each, as booleans in the order in which they are painted: the largest first, so that a hand is not
    lost behind the person.

    Args:
        objects: id -> ObjectMasks, or a map (H, W) of which what is not 0 is the object.

    Example:
        >>> list(smaller_on_top({1: numpy.eye(2), 2: numpy.ones((2, 2))}))
        [2, 1]
    """
    layers = {k: np.asarray(mask.labels if isinstance(mask, ObjectMasks) else mask) > 0 for k, mask in objects.items()}
    return dict(sorted(layers.items(), key=lambda item: -int(item[1].sum())))


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
        layers: dict[int, np.ndarray] = {}
        if isinstance(source, Mapping) and source and all(isinstance(key, int) for key in source):
            alone = {k: read_mask(each, size=size, resize=resize, allow_empty=True, name=name) for k, each in source.items()}
            source = layers = smaller_on_top(alone)
        given = read_mask(source, size=size, resize=resize, allow_empty=True, name=name)
        seen = set(np.unique(given.labels).tolist())
        if hidden := [k for k, layer in layers.items() if layer.any() and k not in seen and k not in known]:
            raise MaskError(f"{name}: object {hidden[0]} lies wholly under others, so that no pixel of it is left: take it out, or them")
        new = [k for k in given.ids if k in seen and k not in known]
        if new:
            known.update(new)
            found[index] = ObjectMasks(np.where(np.isin(given.labels, new), given.labels, 0).astype(np.int32), tuple(new))
    return found
