"""A click or a box on the painter becomes a mask: what the page asks, and the answer it gets."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

import vos_zoo
from studio.drawing import PAINTABLE
from studio.marks import decode_runs, encode_runs


@dataclass(frozen=True)
class Question:
    """What was said of one object on the frame that the painter shows, in pixels of its picture."""

    frame: int
    object_id: int
    points: list[tuple[float, float, int]]
    box: tuple[float, float, float, float] | None
    before: list[int] | None  # run lengths of the object as it was before it was pointed at; None: there was nothing of it
    snap: bool = False  # what was there is loose, and is to be fitted to the object

    @classmethod
    def read(cls, data: Any) -> Question:
        """Of the event's data. ValueError if it can't have come from the painter."""
        try:
            frame, object_id = int(data["frame"]), int(data["object"])
            points = [(float(x), float(y), int(label)) for x, y, label in data["points"]]
            box = None if data.get("box") is None else tuple(map(float, data["box"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("the click can't be read") from error
        if not (frame >= 0 and 1 <= object_id <= PAINTABLE and len(points) <= 200 and (box is None or len(box) == 4)):
            raise ValueError("the click can't be read")
        return cls(frame, object_id, points, box, data.get("before"), bool(data.get("snap")))  # type: ignore[arg-type]


class Answers:
    """The model that points, loaded when it is first asked; one click at a time is worked on."""

    def __init__(self, model: vos_zoo.PointingModel | None = None):
        self._model, self._lock = model, threading.Lock()
        self.here = model is not None or any(row.name == "pointer" and row.has_weights for row in vos_zoo.list_models("pointer"))

    def look(self, picture: np.ndarray) -> vos_zoo.Pointer:
        with self._lock:
            if self._model is None:
                self._model = vos_zoo.load_pointer()
            return self._model.look(picture)

    def warm_up(self) -> None:
        """Loads the model and lets it answer once, so that nobody's first click waits for that."""
        if self.here:
            pointer = self.look(np.zeros((360, 640, 3), np.uint8))
            with self._lock:
                pointer.mask(points=[(320, 180)])

    def answer(self, pointer: vos_zoo.Pointer, asked: Question) -> dict[str, Any]:
        """The object's mask, as the painter takes it. PromptError if what was said makes none."""
        height, width = pointer.size
        x1, y1 = width - 1, height - 1
        points = [(min(max(x, 0), x1), min(max(y, 0), y1), label) for x, y, label in asked.points]
        box = asked.box
        if box is not None:
            box = (max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3]))
        before = None if asked.before is None else decode_runs(asked.before, height, width) > 0
        with self._lock:
            if asked.snap and before is not None:
                mask = pointer.snapped(before).labels
            else:
                mask = pointer.mask(points=points or None, boxes=box, mask=before)
        return {
            "mode": "mask",
            "frame": asked.frame,
            "object": asked.object_id,
            "runs": encode_runs((mask == 1).astype(np.uint8)),
            "note": "",
        }


def refused(asked: Question, why: str) -> dict[str, Any]:
    """No mask, and a sentence for the visitor."""
    return {"mode": "mask", "frame": asked.frame, "object": asked.object_id, "runs": None, "note": why}
