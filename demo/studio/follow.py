"""Following objects through a clip, frame by frame: one decoded frame and each model's state in memory, whatever the length."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

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
) -> Iterator[Step | Outcome]:
    """Steps, then the Outcome. Frames from the first mark on go forward; those before it backward from it, if asked for.

    marks: empty for models that find the objects themselves. cancel: a file; once it is there, what is done so far is the outcome.
    """
    first = min(marks, default=0)
    backwards = backwards and first > 0
    total = clip.frames if backwards else clip.frames - first
    results = [vos_zoo.MaskSequence(clip.size, sorted({k for given in marks.values() for k in given}), fps=clip.fps) for _ in segmenters]
    shown, done, finished, last = time.perf_counter() - PREVIEW_EVERY, 0, True, -1
    with told_by_name(clip.path), vos_zoo.open_video(clip.path) as video:
        for index, frame, sessions in _frames(segmenters, video, clip, marks, first, backwards):
            for session, result in zip(sessions, results, strict=True):
                result.set(index, session.current(), confidence=session.confidence, lost=session.lost)
            done, last = done + 1, max(last, index)
            stop = bool(cancel) and os.path.exists(cancel)
            picture = None
            if time.perf_counter() - shown >= PREVIEW_EVERY or done == 1:
                shown, picture = time.perf_counter(), _picture(frame, results, index)
            yield Step(done, max(total, done), index, picture)
            if stop:
                finished = False
                break
    if done == 0:
        raise vos_zoo.VideoError(f"{clip.name} ended before frame {first}, the first one that is marked: mark an earlier frame")
    if finished and last + 1 < clip.frames:
        clip = clip.ending_at(last + 1)
    yield Outcome(results, clip, finished)


def _frames(
    segmenters: list[vos_zoo.Segmenter], video: vos_zoo.Video, clip: Clip, marks: Mapping[int, FrameMasks], first: int, backwards: bool
) -> Iterator[tuple[int, np.ndarray, list[vos_zoo.Session]]]:
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
        yield index, frame, sessions
    if not backwards or not sessions:
        return
    for back, frame in enumerate(video.read_reversed(0, first + 1)):
        if back == 0:
            sessions = [segmenter.start(frame, marks[first]) for segmenter in segmenters]
            continue
        for session in sessions:
            session.step(frame)
        yield first - back, frame, sessions


def _picture(frame: np.ndarray, results: list[vos_zoo.MaskSequence], index: int) -> np.ndarray:
    size = fitted(frame.shape[:2], PREVIEW_SIDE)
    small = shrink(frame, size)
    lost = [[k for k, gone in zip(r.object_ids, r.lost[index], strict=True) if gone] for r in results]
    views = [tint(small, shrink_labels(r[index], size), ids) for r, ids in zip(results, lost, strict=True)]
    return np.concatenate(views, 1)
