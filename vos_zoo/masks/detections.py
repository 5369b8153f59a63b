"""Masks of one frame for the library supervision."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from vos_zoo.errors import VosZooError
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.stored import StoredMasks
from vos_zoo.masks.values import whole


def to_supervision(masks: StoredMasks, index: int) -> Any:
    """See `MaskSequence.to_supervision`.

    xyxy (N, 4) float32: first and last column and row of each object, as supervision itself derives boxes
    from masks;
    mask (N, H, W) bool; tracker_id (N,) int; confidence (N,) float32, or None unless known for all N.
    """
    try:
        supervision = importlib.import_module("supervision")
    except ImportError as error:
        raise VosZooError("to_supervision needs the library supervision, which is not installed: pip install supervision") from error
    index = whole(index, "the number of the frame", -LARGEST_ID, LARGEST_ID)
    labels = masks[index]
    seen = [k for k, object_id in enumerate(masks.object_ids) if (labels == object_id).any()]
    ids = [masks.object_ids[k] for k in seen]
    layers = np.stack([labels == i for i in ids]) if ids else np.zeros((0, *masks.size), dtype=bool)
    scores = masks[index:][:1].confidence[0, seen] if seen else np.zeros(0, dtype=np.float32)
    return supervision.Detections(
        xyxy=np.array([_corners(layer) for layer in layers], dtype=np.float32).reshape(-1, 4),
        mask=layers,
        tracker_id=np.array(ids, dtype=int),
        confidence=scores if np.isfinite(scores).all() else None,
    )


def _corners(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]
