"""From the folders of one video to a Clip: true masks are matched with frames by name or number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.io.video import open_video


@dataclass(frozen=True)
class Place:
    """Where the frames and the true masks of a video lie."""

    name: str
    frames: Path
    masks: Path
    rules: Mapping[str, Any] = field(default_factory=dict)  # fields of Clip
    starts: Mapping[int, str] | None = None  # object id -> name of the frame in which it is given


def clip_of(place: Place) -> Clip:
    """The Clip that lies there. EvaluationError names a folder that is missing and a mask that fits no frame."""
    for folder in (place.frames, place.masks):
        if not folder.is_dir():
            raise EvaluationError(f"clip {place.name!r}: there is no folder {folder}")
    with open_video(place.frames) as video:
        names = tuple(video.frame_names or ())
    files = sorted(path for path in place.masks.iterdir() if path.suffix.lower() == ".png")
    if not files:
        raise EvaluationError(f"clip {place.name!r}: {place.masks} holds no .png")
    index_of: dict[str | int, int] = {int(name): index for index, name in enumerate(names) if name.isdecimal()}
    index_of.update({name: index for index, name in enumerate(names)})
    masks: dict[int, Path] = {}
    for file in files:
        index = index_of.get(file.stem, index_of.get(int(file.stem)) if file.stem.isdecimal() else None)
        if index is None:
            raise EvaluationError(f"clip {place.name!r}: {file} fits no frame of {place.frames} by name or number")
        if index in masks:
            raise EvaluationError(f"clip {place.name!r}: {masks[index].name} and {file.name} are both frame {index}")
        masks[index] = file
    starts = None if place.starts is None else {k: _start(place, k, name, index_of, masks) for k, name in place.starts.items()}
    return Clip(place.name, place.frames, masks, names, starts=starts, **place.rules)


def _start(place: Place, object_id: int, name: str, index_of: Mapping[str | int, int], masks: Mapping[int, Path]) -> int:
    index = index_of.get(name)
    if index is None or index not in masks:
        what = f"no frame of {place.frames}" if index is None else f"without a mask in {place.masks}"
        raise EvaluationError(f"clip {place.name!r}: object {object_id} begins in frame {name!r} by meta.json, which is {what}")
    return index
