"""Masks as a COCO JSON file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vos_zoo.errors import SaveError
from vos_zoo.masks.outlines import box_of
from vos_zoo.masks.rle import encode_rle
from vos_zoo.masks.stored import StoredMasks, frame_files
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.paths import user_path


def save_coco(masks: StoredMasks, path: str | os.PathLike[str]) -> Path:
    """See `MaskSequence.save_coco`. Annotations are written one by one, so that long videos need no
    memory."""
    if not len(masks):
        raise SaveError(f"nothing to save to {os.fspath(path)}: the sequence has no frames yet")
    height, width = masks.size
    images = [
        {"id": i + 1, "file_name": f"{name}.png", "width": width, "height": height, "frame_index": index}
        for i, (name, index, computed) in enumerate(zip(frame_files(masks), masks.frame_indices, masks.computed.tolist(), strict=True))
        if computed
    ]
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write('{"info": {"description": "made by vos_zoo"},\n')
        file.write('"categories": [{"id": 1, "name": "object"}],\n')
        file.write(f'"images": {json.dumps(images)},\n"annotations": [')
        for number, annotation in enumerate(_annotations(masks)):
            file.write(",\n" if number else "\n")
            file.write(json.dumps({"id": number + 1, **annotation}, allow_nan=False))
        file.write("\n]}\n")
    return user_path(path)


def _annotations(masks: StoredMasks) -> Iterator[dict[str, Any]]:
    scores, areas = masks.confidence, masks.area
    for i, labels in enumerate(masks):
        for k, object_id in enumerate(masks.object_ids):
            if not areas[i, k]:
                continue
            mask = labels == object_id
            annotation: dict[str, Any] = {
                "image_id": i + 1,
                "category_id": 1,
                "track_id": object_id,
                "segmentation": encode_rle(mask),
                "bbox": box_of(mask),
                "area": int(areas[i, k]),
                "iscrowd": 0,
            }
            if math.isfinite(scores[i, k]):
                annotation["score"] = float(scores[i, k])
            yield annotation
