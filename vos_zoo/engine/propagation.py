"""A whole video through sessions: which frames are annotated, forwards, backwards, both, progress, interruption."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np

from vos_zoo.engine.read_ahead import Mode, ReadAhead, in_groups
from vos_zoo.engine.session import Engine, Session, Shown, checked_frame
from vos_zoo.errors import MaskError, VideoError, VosZooWarning
from vos_zoo.masks.packing import id_type
from vos_zoo.masks.read import ObjectMasks, read_mask, read_masks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.progress import reporter
from vos_zoo.videos.video import Video

Direction = Literal["forward", "backward", "both"]
Step = tuple[int, np.ndarray, Shown]  # index, frame, what it came to


@dataclass
class Annotations:
    """The annotated frames of one video, all of them checked; none for a model that finds the objects itself."""

    size: tuple[int, int]
    ids: dict[int, tuple[int, ...]]  # frame index -> ids annotated there, ascending by index
    _masks: dict[int, Any]  # ObjectMasks, or the path to read again
    _resize: bool

    @classmethod
    def read(cls, video: Video, first_mask: Any, masks: Any, *, direction: str, resize: bool, finder: str | None = None) -> Annotations:
        """Read and check every mask before any frame is processed. finder: the model's name, if it finds the objects itself."""
        if direction not in ("forward", "backward", "both"):
            raise MaskError(f"direction is 'forward', 'backward' or 'both', not {direction!r}")
        if direction != "forward" and not video.replayable:
            raise VideoError(
                f"{video.name} can be read only once and forwards, so direction={direction!r} needs a file, a folder or an "
                "array: save it first, or use direction='forward'"
            )
        size = (video.height, video.width)
        if finder is not None:
            if first_mask is not None or masks is not None:
                raise MaskError(
                    f"{finder} finds the objects itself and takes no masks: leave them out, or use a model that follows given ones, for "
                    "instance crvos"
                )
            if direction != "forward":
                raise MaskError(
                    f"direction={direction!r} starts from given masks, and {finder} finds the objects itself, from frame 0 on: use "
                    "direction='forward'"
                )
            return cls(size, {}, {}, resize)
        length = video.length if video.exact_length else None
        found: dict[int, Any] = {}
        if masks is not None:
            found.update(read_masks(masks, frame_names=video.frame_names, length=length))
        if first_mask is not None:
            if 0 in found:
                raise MaskError("frame 0 has two masks, first_mask and masks[0]: give one of them")
            found[0] = first_mask
        if not found:
            raise MaskError(
                "no mask was given: pass first_mask, the objects of frame 0, or masks={index: mask}; a model that finds objects itself is "
                "rvos-zeroshot"
            )
        kept: dict[int, Any] = {}
        ids: dict[int, tuple[int, ...]] = {}
        for index in sorted(found):
            source = found[index]
            name = "first_mask" if index == 0 and first_mask is not None else f"the mask of frame {index}"
            if isinstance(source, (str, os.PathLike)):
                name = f"{name} ({os.fspath(source)})"
            given = read_mask(source, size=size, resize=resize, name=name, allow_empty=bool(ids))
            if not given.ids:
                warnings.warn(
                    f"{name} is empty and was passed over; to say that an object is gone pass {{id: an empty mask}}",
                    VosZooWarning,
                    stacklevel=4,
                )
                continue
            ids[index] = given.ids
            kept[index] = source if isinstance(source, (str, os.PathLike)) else given
        if direction == "backward" and max(ids) == 0 and length != 1:
            raise MaskError(
                "direction='backward' has nothing to go back to from frame 0, the only one with a mask: pass the masks of later frames, "
                "masks={index: mask}, or use direction='forward'"
            )
        return cls(size, ids, kept, resize)

    @property
    def begin(self) -> int:
        """The frame that a forward pass begins with."""
        return min(self.ids, default=0)

    def at(self, index: int) -> ObjectMasks | None:
        """The masks of an annotated frame; None for the first of a model that finds the objects itself."""
        if index not in self.ids:
            return None
        return read_mask(self._masks[index], size=self.size, resize=self._resize, allow_empty=True)

    @property
    def object_ids(self) -> list[int]:
        return sorted({k for ids in self.ids.values() for k in ids})

    def of(self, object_id: int) -> list[int]:
        return [index for index, ids in self.ids.items() if object_id in ids]

    def reached(self, video: Video, length: int) -> list[int]:
        """The annotated frames that lie within the video's length; the others get a warning, and VideoError if they are all."""
        if not self.ids and not length:
            raise VideoError(f"{video.name} has no frame: look whether the file is complete")
        within = [i for i in self.ids if i < length]
        if self.ids and not within:
            raise VideoError(
                f"{video.name} ended before frame {self.begin}, the first that has a mask: number masks from 0, or "
                "look whether the file is complete"
            )
        if len(within) < len(self.ids):
            unused = [i for i in self.ids if i >= length]
            warnings.warn(
                f"{video.name} ended after {length} frames: the masks of frames {unused} were not used", VosZooWarning, stacklevel=3
            )
        return within

    def sequence(self, video: Video) -> MaskSequence:
        """For the result: no frame yet."""
        return MaskSequence(self.size, self.object_ids, fps=video.fps, frame_names=video.frame_names)


class Propagation:
    """One run of `Segmenter.propagate`."""

    def __init__(
        self,
        engine: Engine,
        video: Video,
        annotations: Annotations,
        direction: str,
        *,
        size: Any,
        tta: Any = None,
        mode: Mode = "auto",
        progress: Any = False,
        stop: Callable[[], bool] | None = None,
        drop: str | None = None,
    ):
        self.engine, self.video, self.annotations = engine, video, annotations
        self.direction, self.size, self.tta, self.progress, self.stop = direction, size, tta, progress, stop
        self.hurried = video.replayable if mode == "auto" else mode == "throughput"  # frames are read before they are due
        if drop not in (None, "late"):
            raise VideoError(f"drop is None or 'late', not {drop!r}")
        if drop and video.replayable:
            raise VideoError(f"{video.name} waits until its frames are wanted, so none is late: leave out drop='late'")
        self.newest = drop == "late"  # frames of a live source that came meanwhile are left out
        self.stopped = False

    def forward(self) -> Iterator[Step]:
        """From the first annotated frame to the end."""
        index = -1
        numbered = (lambda: self.video.newest({*self.annotations.ids, 0})) if self.newest else (lambda: enumerate(self.video))
        for index, frame, shown in self._follow(numbered, self.annotations.begin):
            yield index, frame, shown
        self.annotations.reached(self.video, index + 1)

    def backward(self) -> Iterator[Step]:
        """From the last annotated frame to the first of the video."""
        length = max(self.annotations.ids) + 1
        frames = self.video.read_reversed(0, length)
        newest = next(frames)  # to get it the video was looked through: it may be shorter than its container says
        if self.video.exact_length and self.video.length is not None:
            length = min(length, self.video.length)
        begin = max(self.annotations.reached(self.video, length))
        yield from self._follow(lambda: ((length - 1 - n, frame) for n, frame in enumerate(chain([newest], frames))), begin)

    def _follow(self, numbered: Callable[[], Iterator[tuple[int, np.ndarray]]], begin: int) -> Iterator[Step]:
        with closing(self._due(numbered())) as frames:
            first = next(((index, frame) for index, frame in frames if index == begin), None)
            if first is None:
                return
            index, frame = first
            session = Session(self.engine, frame, self.annotations.at(index), size=self.size, tta=self.tta)
            yield index, frame, self._typed(Shown(session.current(), session.confidence, session.lost))
            at_once = session.frames_at_once() if self.hurried else 1
            for group in in_groups(frames, at_once, self.annotations.ids):
                images = [checked_frame(image, session.size) for _, image in group]
                for (index, frame), shown in zip(group, session.run(images, self.annotations.at(group[0][0])), strict=True):
                    yield index, frame, self._typed(shown)

    def _due(self, frames: Iterator[tuple[int, np.ndarray]]) -> Generator[tuple[int, np.ndarray], None, None]:
        """The frames, fetched by a thread of their own where that is wanted and takes any work."""
        if not (self.hurried and self.video.decodes):
            yield from frames
            return
        with ReadAhead(frames) as ahead:
            yield from ahead

    def _typed(self, shown: Shown) -> Shown:
        """With one type of mask for all frames, also before a large id comes."""
        dtype = np.promote_types(id_type(self.annotations.object_ids), shown.mask.dtype)
        return shown._replace(mask=shown.mask.astype(dtype, copy=False))

    def run(self) -> MaskSequence:
        passes = {"forward": [self.forward], "backward": [self.backward], "both": [self.forward, self.backward]}[self.direction]
        results = [self.annotations.sequence(self.video) for _ in passes]
        done = 0
        try:
            with reporter(self.progress, self._total(), self.video.name) as report:
                for follow, result in zip(passes, results, strict=True):
                    for index, _, shown in follow():
                        result.set(index, shown.mask, confidence=shown.confidence, lost=shown.lost)
                        done += 1
                        report(done)
                        if self.stop is not None and self.stop():
                            self.stopped = True
                            return self._finish(results)
        except BaseException as error:
            error.masks = self._finish(results)  # type: ignore[attr-defined]
            raise
        return self._finish(results)

    def _total(self) -> int | None:
        if self.video.length is None:
            return None
        first, last = self.annotations.begin, max(self.annotations.ids, default=0)
        forward, backward = max(self.video.length - first, 0), last + 1
        return {"forward": forward, "backward": backward, "both": forward + backward}[self.direction]

    def _finish(self, results: list[MaskSequence]) -> MaskSequence:
        result = results[0] if len(results) == 1 else self._nearer(*results)
        if self.video.exact_length and self.video.length is not None:
            result.reserve(self.video.length)
        return result

    def _nearer(self, forward: MaskSequence, backward: MaskSequence) -> MaskSequence:
        """Each object of each frame from the pass that starts at the nearer annotation of that object."""
        result = self.annotations.sequence(self.video)
        end = self.video.length if self.video.exact_length else None
        annotated = {k: [i for i in self.annotations.of(k) if end is None or i < end] for k in self.annotations.object_ids}
        tables = [(s, s.computed, s.confidence, s.lost) for s in (forward, backward)]
        for t in range(max(len(forward), len(backward))):
            there = [t < len(s) and bool(computed[t]) for s, computed, _, _ in tables]
            if not any(there):
                continue
            labels = [s[t] if ok else None for ok, (s, *_) in zip(there, tables, strict=True)]
            merged = np.zeros(self.annotations.size, np.int32)
            confidence: dict[int, float] = {}
            lost, painted = [], []
            for k, at in annotated.items():
                before = [t - i for i in at if i <= t]
                after = [i - t for i in at if i >= t]
                way = 0 if there[0] and before and (not after or min(before) <= min(after) or not there[1]) else 1
                chosen = labels[way]
                if chosen is None or not (after if way else before):
                    continue
                sequence, _, scores, lost_there = tables[way]
                column = sequence.object_ids.index(k)
                score = float(scores[t, column])
                if not np.isnan(score):
                    confidence[k] = score
                if lost_there[t, column]:
                    lost.append(k)
                painted.append((t in at, confidence.get(k, 0.0), k, chosen))
            for *_, k, chosen in sorted(painted, key=lambda item: item[:3]):
                merged[chosen == k] = k
            result.set(t, merged, confidence=confidence, lost=lost)
        return result
