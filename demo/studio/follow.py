"""Following objects through a clip, frame by frame: one decoded frame and each model's state in memory, whatever the length."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

import vos_zoo
from studio.clips import Clip, told_by_name
from studio.drawing import fitted, shrink, shrink_labels, tint
from studio.marks import FrameMasks

PREVIEW_EVERY = 0.4  # seconds
PREVIEW_SIDE = 480  # pixels


@dataclass(frozen=True)
class Step:
    """A frame was done."""

    done: int
    total: int
    index: int  # of the frame in the clip
    picture: np.ndarray | None  # (h, w, 3) uint8, the models' results beside each other; not with every frame


class Learning:
    """A copy of a model is about to be adapted to the marked frames; that takes a while."""


@dataclass(frozen=True)
class Outcome:
    """The end: one MaskSequence a model."""

    masks: list[vos_zoo.MaskSequence]
    clip: Clip  # with the number of frames that it really has
    finished: bool  # False: cancelled


Function = TypeVar("Function", bound=Callable[..., Any])


def on_gpu(function: Function) -> Function:
    """On a ZeroGPU Space, what runs while a GPU is lent; anywhere else the function as it is."""
    try:
        import spaces
    except ImportError:
        return function
    return spaces.GPU(duration=120)(function)


def follow(
    segmenters: list[vos_zoo.Segmenter],
    clip: Clip,
    marks: Mapping[int, FrameMasks],
    *,
    backwards: bool = True,
    cancel: str | os.PathLike[str] = "",
    colours: Mapping[int, str] | None = None,
) -> Iterator[Step | Learning | Outcome]:
    """Steps, then the Outcome. Objects go forward from the first mark on; backward, if asked for, each from its own first mark.

    marks: empty for models that find the objects themselves. cancel: a file; once it is there, what is done so far is the outcome.
    colours: for the pictures, of objects that have not their usual one.
    """
    begins = _begins(marks)
    first, turn = min(marks, default=0), max(begins.values(), default=0)
    total = clip.frames - first + (turn if backwards else 0)
    results = [vos_zoo.MaskSequence(clip.size, sorted(begins), fps=clip.fps) for _ in segmenters]
    known: list[dict[int, Found]] = [{} for _ in segmenters]
    shown, done, finished, last = time.perf_counter() - PREVIEW_EVERY, 0, True, -1
    with told_by_name(clip.path), vos_zoo.open_video(clip.path) as video:
        if marks and any(segmenter.adapts for segmenter in segmenters):
            yield Learning()
            segmenters = [_adapted(segmenter, video, marks, cancel) if segmenter.adapts else segmenter for segmenter in segmenters]
        for index, frame, found in _passes(segmenters, video, clip, marks, begins, backwards):
            for result, before, new in zip(results, known, found, strict=True):
                late = {k for k, begin in begins.items() if begin > index}
                told = new._replace(labels=None).over(before.get(index), late)
                labels = _joined(result[index], new.labels, late, told.confidence, marks.get(index, {})) if index in before else new.labels
                before[index] = told
                result.set(index, labels, confidence=told.confidence, lost=told.lost)
            done, last = done + 1, max(last, index)
            stop = bool(cancel) and os.path.exists(cancel)
            picture = None
            if time.perf_counter() - shown >= PREVIEW_EVERY or done == 1:
                shown, picture = time.perf_counter(), _picture(frame, results, index, colours)
            yield Step(done, max(total, done), index, picture)
            if stop:
                finished = False
                break
    if done == 0:
        raise vos_zoo.VideoError(f"{clip.name} ended before frame {first}, the first one that is marked: mark an earlier frame")
    if finished and last + 1 < clip.frames:
        clip = clip.ending_at(last + 1)
    yield Outcome(results, clip, finished)


def _adapted(
    segmenter: vos_zoo.Segmenter, video: vos_zoo.Video, marks: Mapping[int, FrameMasks], cancel: str | os.PathLike[str]
) -> vos_zoo.Segmenter:
    """A copy that has learnt the marked frames. VosZooError if it was cancelled by then."""

    def watch(done: int, total: int | None) -> None:
        if cancel and os.path.exists(cancel):
            raise vos_zoo.VosZooError("it was stopped while it learnt the objects, so that nothing has been followed yet")

    pairs = [(frame, marks[index]) for index in sorted(marks) for frame in video.read(index, index + 1)]
    return segmenter.finetune([frame for frame, _ in pairs], [masks for _, masks in pairs], progress=watch)


class Found(NamedTuple):
    """What one model made of a frame in one pass."""

    labels: np.ndarray | None  # (H, W) ids; None where they are kept elsewhere
    confidence: dict[int, float]
    lost: tuple[int, ...]

    def over(self, before: Found | None, late: set[int]) -> Found:
        """With what an earlier pass said of all objects but the late ones, which it had not met yet."""
        if before is None:
            return self
        confidence = before.confidence | {k: score for k, score in self.confidence.items() if k in late}
        return Found(None, confidence, (*before.lost, *(k for k in self.lost if k in late)))


def _begins(marks: Mapping[int, FrameMasks]) -> dict[int, int]:
    """Object -> the first frame in which it is marked."""
    begins: dict[int, int] = {}
    for frame in sorted(marks):
        for k, mask in marks[frame].items():
            if mask.any():
                begins.setdefault(k, frame)
    return begins


def _joined(earlier: np.ndarray, later: np.ndarray, late: set[int], confidence: Mapping[int, float], given: Collection[int]) -> np.ndarray:
    """The labels of a frame, with late objects of another pass. A pixel of two is that of the one given there, else of the surer one,
    as `propagate` has it."""
    joined = earlier.copy()
    for k in late:
        stronger = [i for i in np.unique(earlier) if i and (i in given or (confidence.get(i, 0.0), i) > (confidence.get(k, 0.0), k))]
        joined[(later == k) & ~np.isin(earlier, stronger)] = k
    return joined


def _passes(
    segmenters: list[vos_zoo.Segmenter],
    video: vos_zoo.Video,
    clip: Clip,
    marks: Mapping[int, FrameMasks],
    begins: Mapping[int, int],
    backwards: bool,
) -> Iterator[tuple[int, np.ndarray, list[Found]]]:
    """Forward, then backward from the last object that begins within what the clip turned out to hold."""
    last = -1
    for last, frame, found in _forward(segmenters, video, clip, marks, min(marks, default=0)):
        yield last, frame, found
    turn = max((begin for begin in begins.values() if begin <= last), default=0)
    if backwards and turn:
        yield from _backward(segmenters, video, marks, begins, turn)


def _forward(
    segmenters: list[vos_zoo.Segmenter], video: vos_zoo.Video, clip: Clip, marks: Mapping[int, FrameMasks], first: int
) -> Iterator[tuple[int, np.ndarray, list[Found]]]:
    sessions: list[vos_zoo.Session] = []
    for index, frame in enumerate(video):
        if index >= clip.frames:
            break
        if index < first:
            continue
        if not sessions:
            sessions = [segmenter.start(frame, marks.get(index)) for segmenter in segmenters]
        else:
            for session in sessions:
                if index in marks:
                    session.annotate(frame, marks[index])
                else:
                    session.step(frame)
        yield index, frame, _found(sessions)


def _backward(
    segmenters: list[vos_zoo.Segmenter], video: vos_zoo.Video, marks: Mapping[int, FrameMasks], begins: Mapping[int, int], turn: int
) -> Iterator[tuple[int, np.ndarray, list[Found]]]:
    """From the frame where the last object is first marked to the first of the clip; the others join where they are first marked."""
    sessions: list[vos_zoo.Session] = []
    for back, frame in enumerate(video.read_reversed(0, turn + 1)):
        index = turn - back
        new = {k: mask for k, mask in marks[index].items() if begins[k] == index} if index in begins.values() else {}
        if not sessions:
            sessions = [segmenter.start(frame, new) for segmenter in segmenters]
            continue
        for session in sessions:
            if new:
                session.annotate(frame, new)
            else:
                session.step(frame)
        yield index, frame, _found(sessions)


def _found(sessions: list[vos_zoo.Session]) -> list[Found]:
    return [Found(session.current(), dict(session.confidence), tuple(session.lost)) for session in sessions]


def _picture(frame: np.ndarray, results: list[vos_zoo.MaskSequence], index: int, colours: Mapping[int, str] | None) -> np.ndarray:
    size = fitted(frame.shape[:2], PREVIEW_SIDE)
    small = shrink(frame, size)
    lost = [[k for k, gone in zip(r.object_ids, r.lost[index], strict=True) if gone] for r in results]
    views = [tint(small, shrink_labels(r[index], size), ids, colours=colours) for r, ids in zip(results, lost, strict=True)]
    return np.concatenate(views, 1)
