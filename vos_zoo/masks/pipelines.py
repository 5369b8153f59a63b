"""What model libraries give beside plain arrays: results of Hugging Face's pipelines as masks by object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_PICTURE_KEYS = ("mask", "label", "score")


def pipeline_masks(source: object) -> dict[int, Any] | None:
    """The objects 1..K of a pipeline's result, in its order; None if it is none.

    image-segmentation gives a list of {"mask": image, "label", "score"}, mask-generation {"masks": [...], "scores": ...}, which overlap:
    the largest is painted first.

    Example:
        >>> sorted(pipeline_masks({"masks": [numpy.eye(2) > 0], "scores": [0.9]}))
        [1]
    """
    if isinstance(source, (list, tuple)) and source and all(isinstance(each, Mapping) and "mask" in each for each in source):
        return {n: each["mask"] for n, each in enumerate(source, 1) if set(each) <= {*_PICTURE_KEYS, "box"}} or None
    if isinstance(source, Mapping) and "masks" in source and set(source) <= {"masks", "scores", "bounding_boxes", "rle_mask"}:
        layers = [np.asarray(each) for each in source["masks"]]
        order = sorted(range(len(layers)), key=lambda n: -int(np.count_nonzero(layers[n])))
        return {n + 1: layers[n] for n in order} or None
    return None
