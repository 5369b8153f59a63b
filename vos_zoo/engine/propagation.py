"""A whole video through sessions: which frames are annotated, forwards, backwards, both, progress, interruption."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Engine
from vos_zoo.engine.read_ahead import Mode, ReadAhead, in_groups
from vos_zoo.engine.session import Session, checked_frame
from vos_zoo.engine.tracker import FrameResult
from vos_zoo.errors import MaskError, VideoError, VosZooError, VosZooWarning
from vos_zoo.masks.packing import id_type
from vos_zoo.masks.read import ObjectMasks, read_mask, read_masks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.masks.source import MaskLike, MasksLike
from vos_zoo.system.progress import Progress, reporter
from vos_zoo.system.shown import shown
from vos_zoo.videos.source import FrameLike
from vos_zoo.videos.video import Video

Direction = Literal["forward", "backward", "both"]
Step = tuple[int, np.ndarray, FrameResult]  # index, frame, what it came to


@dataclass
class Annotations:
    """The annotated frames of one video, all of them checked; none for a model that finds the objects itself."""

    size: tuple[int, int]
    ids: dict[int, tuple[int, ...]]  # frame index -> ids annotated there, ascending by index
    _masks: dict[int, MaskLike]  # ObjectMasks, or the path to read again
    _resize: bool

    @classmethod
    def read(
        cls,
        video: Video,
        first_mask: MaskLike | None,
        masks: MasksLike | None,
        *,
        direction: str,
        resize: bool,
        finder: str | None = None,
    ) -> Annotations:
        """Read and check every mask before any frame is processed. finder: the model's name, if it finds the objects itself."""
        if not isinstance(direction, str) or direction not in ("forward", "backward", "both"):
            raise MaskError(f"direction is 'forward', 'backward' or 'both', not {shown(direction)}")
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
        found: dict[int, MaskLike] = {}
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
        kept: dict[int, MaskLike] = {}
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
        """The masks of an annotated frame; None for another, as for the first of a model that finds the objects itself."""
        if index not in self.ids:
            return None
        return read_mask(self._masks[index], size=self.size, resize=self._resize, allow_empty=True)

    def examples(self, video: Video) -> tuple[list[np.ndarray], list[ObjectMasks]]:
        """The annotated frames of a video and their masks; VideoError if that would use it up."""
        if not video.replayable:
            raise VideoError(
                f"{video.name} can be read only once, and finetune has to look at its annotated frames first: save it to a file, or take "
                "the frame yourself and call segmenter.finetune(frame, mask)"
            )
        frames, read = [], []
        for index in self.ids:
            frame, masks = next(iter(video.read(index, index + 1)), None), self.at(index)
            if frame is not None and masks is not None:
                frames.append(frame)
                read.append(masks)
        return frames, read

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
        spec: InputSpec,
        mode: Mode = "auto",
        progress: Progress = False,
        stop: Callable[[], bool] | None = None,
        drop: str | None = None,
    ):
        self.engine, self.video, self.annotations = engine, video, annotations
        self.direction, self.spec, self.progress, self.stop = direction, spec, progress, stop
        self.hurried = video.replayable if mode == "auto" else mode == "throughput"  # frames are read before they are due
        if drop is not None and (not isinstance(drop, str) or drop not in ("auto", "late")):
            raise VideoError(f"drop is 'auto', None or 'late', not {shown(drop)}")
        if stop is not None and not callable(stop):
            raise VosZooError(f"stop is a function without arguments that says whether to stop, not {shown(stop)}")
        if drop == "late" and video.replayable:
            raise VideoError(f"{video.name} waits until its frames are wanted, so none is late: leave out drop='late'")
        self.newest = drop == "late" or (drop == "auto" and video.live)  # frames of a live source that came meanwhile are left out
        self.stopped = False

    def forward(self) -> Iterator[Step]:
        """From the first annotated frame to the end."""
        index = -1
        numbered = (lambda: self.video.newest({*self.annotations.ids, 0})) if self.newest else (lambda: enumerate(self.video))
        for index, frame, result in self._follow(numbered, self.annotations.begin):
            yield index, frame, result
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
            session = Session(self.engine, frame, self.annotations.at(index), self.spec)
            yield index, frame, self._typed(session.state.result)
            at_once = session.frames_at_once() if self.hurried else 1
            for group in in_groups(frames, at_once, self.annotations.ids):
                images = [checked_frame(image, session.size) for _, image in group]
                for (index, frame), result in zip(group, session.run(images, self.annotations.at(group[0][0])), strict=True):
                    yield index, frame, self._typed(result)

    def _due(self, frames: Iterator[tuple[int, np.ndarray]]) -> Generator[tuple[int, np.ndarray], None, None]:
        """The frames, fetched by a thread of their own where that is wanted and takes any work."""
        if not (self.hurried and self.video.decodes):
            yield from frames
            return
        with ReadAhead(frames) as ahead:
            yield from ahead

    def _typed(self, result: FrameResult) -> FrameResult:
        """With one type of mask for all frames, also before a large id comes."""
        dtype = np.promote_types(id_type(self.annotations.object_ids), result.mask.dtype)
        return result._replace(mask=result.mask.astype(dtype, copy=False))

    def run(self) -> MaskSequence:
        passes = {"forward": [self.forward], "backward": [self.backward], "both": [self.forward, self.backward]}[self.direction]
        results = [self.annotations.sequence(self.video) for _ in passes]
        done = 0
        try:
            with reporter(self.progress, self._total(), self.video.name) as report:
                for follow, sequence in zip(passes, results, strict=True):
                    for index, _, frame in follow():
                        sequence.set(index, frame.mask, confidence=frame.confidence, lost=frame.lost)
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
        ways = _Pass.of(forward), _Pass.of(backward)
        for t in range(max(len(forward), len(backward))):
            labels = [way.labels(t) for way in ways]
            if all(each is None for each in labels):
                continue
            merged = np.zeros(self.annotations.size, np.int32)
            confidence: dict[int, float] = {}
            lost, painted = [], []
            for k, at in annotated.items():
                before, after = [t - i for i in at if i <= t], [i - t for i in at if i >= t]
                chosen = _nearer_pass(before, after, [each is not None for each in labels])
                if chosen is None:
                    continue
                way, mask = ways[chosen], labels[chosen]
                score, gone = way.of_object(t, k)
                if score is not None:
                    confidence[k] = score
                if gone:
                    lost.append(k)
                painted.append((t in at, confidence.get(k, 0.0), k, mask))
            for *_, k, mask in sorted(painted, key=lambda item: item[:3]):
                merged[mask == k] = k
            result.set(t, merged, confidence=confidence, lost=lost)
        return result


FORWARD, BACKWARD = 0, 1


@dataclass
class _Pass:
    """What one pass through the video gave."""

    sequence: MaskSequence
    computed: np.ndarray  # (T,) bool
    confidence: np.ndarray  # (T, K)
    lost: np.ndarray  # (T, K) bool

    @classmethod
    def of(cls, sequence: MaskSequence) -> _Pass:
        return cls(sequence, sequence.computed, sequence.confidence, sequence.lost)

    def labels(self, t: int) -> np.ndarray | None:
        """The mask of a frame, if the pass has come to it."""
        return self.sequence[t] if t < len(self.sequence) and bool(self.computed[t]) else None

    def of_object(self, t: int, object_id: int) -> tuple[float | None, bool]:
        """An object's confidence, None if it is not known, and whether it is lost."""
        column = self.sequence.object_ids.index(object_id)
        score = float(self.confidence[t, column])
        return None if np.isnan(score) else score, bool(self.lost[t, column])


def _nearer_pass(before: Sequence[int], after: Sequence[int], reached: Sequence[bool]) -> int | None:
    """The pass whose annotation of an object is nearer; None if neither pass has the object in this frame.

    before, after: how many frames away its annotations are; reached: whether each pass has come to this frame.
    """
    forward_is_nearer = bool(before) and (not after or min(before) <= min(after) or not reached[BACKWARD])
    if reached[FORWARD] and forward_is_nearer:
        return FORWARD
    return BACKWARD if reached[BACKWARD] and after else None


def annotated_frames(
    frame: FrameLike | Sequence[FrameLike], mask: MaskLike | Sequence[MaskLike | None], *, resize: bool
) -> list[tuple[np.ndarray, ObjectMasks]]:
    """One frame and its mask, or a list of each, checked. MaskError if there are not as many masks as frames."""
    if not isinstance(frame, (list, tuple)):
        pairs = [(checked_frame(frame, None), mask)]  # type: ignore[arg-type]
    elif not frame or not isinstance(mask, (list, tuple)) or len(mask) != len(frame):
        number = f"{len(mask)} masks" if isinstance(mask, (list, tuple)) else f"a {type(mask).__name__} for masks"
        raise MaskError(f"a list of frames needs a list of as many masks, at least one: there are {len(frame)} frames and {number}")
    else:
        pairs = [(checked_frame(each, None), one) for each, one in zip(frame, mask, strict=True)]
    return [(each, read_mask(one, size=each.shape[:2], resize=resize)) for each, one in pairs]
