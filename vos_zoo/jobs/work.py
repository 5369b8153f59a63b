"""What is done with one clip of many: its masks found and saved as a single run would, and a record of it."""

from __future__ import annotations

import json
import secrets
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from vos_zoo.errors import MaskError, SaveError, VosZooError, VosZooWarning
from vos_zoo.jobs.destination import RECORD, Place, Record, place_of
from vos_zoo.jobs.run import unchanged
from vos_zoo.jobs.task import Task
from vos_zoo.masks.beginnings import first_of_each
from vos_zoo.masks.outputs import FILES, check_forms, save_form
from vos_zoo.masks.read import read_masks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import Video, open_video


class Propagates(Protocol):
    """What is needed of a model: a Segmenter has it."""

    config: Any
    device: Any
    dtype: Any

    @property
    def propagate(self) -> Callable[..., MaskSequence]: ...


@dataclass(frozen=True)
class Propagating:
    """A job, see `vos_zoo.system.workers`: it may be handed to another process or machine. A clip that fails gives a record too."""

    load: Callable[[], Propagates]
    options: Mapping[str, Any]  # for propagate
    forms: tuple[str, ...]
    out: str  # see `place_of`
    run: str  # the id of the run
    backend: str = "auto"

    def begin(self) -> Callable[[Task, Callable[[int], None]], Record]:
        """Loads the model."""
        segmenter, place = self.load(), place_of(self.out)
        return lambda task, report: self.one(segmenter, place, task, report)

    def one(self, segmenter: Propagates, place: Place, task: Task, report: Callable[[int], None]) -> Record:
        """Its record, which is at the place with the result. Nothing is done if another process has done it already.

        Raises what concerns the other clips too: SaveError if the place takes nothing more, and what torch raises if the GPU is lost.
        """
        older = place.records([task.name]).get(task.name)
        if older is not None and older.get("run") == self.run and older.get("status") == "done" and unchanged(older, task):
            return older
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", VosZooWarning)
            try:
                record = self._done(segmenter, place, task, report, heard)
            except Exception as error:  # of this clip; the others go on
                if (
                    isinstance(error, SaveError) and error.__cause__ is not None
                ):  # the disk is full, the network gone: it would be so for all
                    raise
                _still_works(segmenter.device)
                record = failed(task, str(error) if isinstance(error, VosZooError) else f"{type(error).__name__}: {error}", run=self.run)
                if not isinstance(error, VosZooError):
                    record["traceback"] = traceback.format_exc()
        for each in heard:
            if not issubclass(each.category, VosZooWarning):
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return record

    def _done(
        self, segmenter: Propagates, place: Place, task: Task, report: Callable[[int], None], heard: list[warnings.WarningMessage]
    ) -> Record:
        inputs, begun = task.digest(), time.perf_counter()
        with open_video(task.video, backend=self.backend) as video:
            check_forms(self.forms, video)
            options = {**self.options, **_given(task, video, bool(self.options.get("resize_mask")))}
            masks = segmenter.propagate(video, **options, progress=lambda done, total: report(done))
            with place.writing(task.name) as folder:
                for form in self.forms:
                    save_form(form, masks, video, folder)
                record = {
                    **_about(task, "done", self.run),
                    "frames": int(masks.computed.sum()),
                    "objects": list(masks.object_ids),
                    "seconds": round(time.perf_counter() - begun, 3),
                    "lost": _lost(masks),
                    "model": segmenter.config.name,
                    "device": str(segmenter.device),
                    "dtype": str(segmenter.dtype).removeprefix("torch."),
                    "files": {form: FILES[form] for form in self.forms},
                    "warnings": [str(each.message) for each in heard if issubclass(each.category, VosZooWarning)],
                    "inputs": inputs,
                }
                (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return record


def failed(task: Task, reason: str, *, run: str = "") -> Record:
    """The record of a clip that could not be done."""
    return {**_about(task, "failed", run), "error": reason}


def _about(task: Task, status: str, run: str) -> Record:
    paths = {name: getattr(task, name) for name in ("video", "mask", "masks", "first_of")}
    return {
        "name": task.name,
        "status": status,
        **{name: str(path) for name, path in paths.items() if path is not None},
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "id": secrets.token_hex(8),
        "run": run,
    }


def _given(task: Task, video: Video, resize: bool) -> dict[str, Any]:
    """The masks, as arguments of propagate."""
    if task.first_of is None:
        return {"first_mask": task.mask, "masks": task.masks}
    found = read_masks(task.first_of, frame_names=video.frame_names, length=video.length if video.exact_length else None)
    firsts: dict[int, Any] = dict(first_of_each(found, size=(video.height, video.width), resize=resize))
    if not firsts:
        raise MaskError(f"the {len(found)} masks in {task.first_of} hold no object: every pixel in them is background (0)")
    return {"first_mask": firsts.pop(0, None), "masks": firsts or None}


def _lost(masks: MaskSequence) -> dict[str, dict[str, int]]:
    """Of each object that was out of sight or uncertain: in how many frames, and the first of them."""
    found = {}
    for n, k in enumerate(masks.object_ids):
        frames = masks.lost[:, n].nonzero()[0]
        if len(frames):
            found[str(k)] = {"frames": len(frames), "first": masks.frame_indices[int(frames[0])]}
    return found


def _still_works(device: object) -> None:
    """After some errors a GPU does nothing more in this process, which then has to end. Raises what torch raises."""
    if getattr(device, "type", "") == "cuda":
        torch = sys.modules["torch"]
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
