"""Many videos, a few at a time in one batch: which run together, in which order results come, what becomes of one that fails."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias, cast

import numpy as np

from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Engine
from vos_zoo.engine.propagation import Annotations
from vos_zoo.engine.session import Session, step_together
from vos_zoo.errors import MaskError, VideoError, VosZooError, VosZooWarning
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.masks.source import MaskLike, MasksLike
from vos_zoo.system.progress import Progress, reporter
from vos_zoo.videos.source import VideoSource
from vos_zoo.videos.video import Video

AHEAD = 4  # so many videos for each place in the batch are opened ahead, to find some whose frames have one size inside the model
MISSING = object()
OnError: TypeAlias = Callable[[int, Exception], object] | None
Job: TypeAlias = "tuple[VideoSource, MaskLike | None, MasksLike | None]"  # a video, its first mask, later masks


@dataclass
class Opened:
    """A video ready to start."""

    video: Video
    annotations: Annotations
    source: VideoSource  # as the caller gave it
    grid: Hashable  # equal for videos whose frames are of one size inside the model


@dataclass
class _Clip:
    index: int
    opened: Opened
    frames: Iterator[tuple[int, np.ndarray]]
    result: MaskSequence
    session: Session | None = None
    at: int = -1  # number of the frame read last, that frame, and its masks if it is annotated
    frame: np.ndarray | None = None
    masks: ObjectMasks | None = None

    def read(self) -> bool:
        """The next frame, from the first annotated one on; False at the video's end."""
        for number, frame in self.frames:
            self.at = number
            if self.session is not None or number == self.opened.annotations.begin:
                self.frame, self.masks = frame, self.opened.annotations.at(number)
                return True
        return False

    def finish(self) -> MaskSequence:
        video = self.opened.video
        self.opened.annotations.reached(video, self.at + 1)
        if video.exact_length and video.length is not None:
            self.result.reserve(video.length)
        return self.result

    def close(self) -> None:
        if self.opened.video is not self.opened.source:
            self.opened.video.close()


def _is_scalar(value: object) -> bool:
    """An array without axes says that it can be iterated over, and can't."""
    return getattr(value, "shape", None) == ()


def checked_jobs(
    videos: Iterable[VideoSource],
    first_masks: Iterable[MaskLike | None] | None,
    masks: Iterable[MasksLike | None] | None,
    batch: int,
) -> tuple[Iterator[Job], int | None]:
    """(video, first mask, later masks) of each, and their number where it is known. Errors that show before any video is opened."""
    if isinstance(videos, (str, bytes, Video)) or hasattr(videos, "__fspath__") or not isinstance(videos, Iterable) or _is_scalar(videos):
        raise VideoError(f"videos is a list, or another iterable, of videos, not {videos!r:.80}: for one video call propagate(video, ...)")
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise VosZooError(f"batch is the number of videos that run together, 1 or more, not {batch!r:.80}")
    columns = {"videos": videos, "first_masks": first_masks, "masks": masks}
    for name, column in columns.items():
        if isinstance(column, (str, bytes, Mapping)) or _is_scalar(column) or (column is not None and not isinstance(column, Iterable)):
            raise MaskError(
                f"{name} holds one entry a video, in the same order, None where there is none; it can't be a {type(column).__name__}"
            )
    lengths = {name: len(cast(Sized, column)) for name, column in columns.items() if hasattr(column, "__len__")}
    if len(set(lengths.values())) > 1:
        raise MaskError(f"as many masks as videos are needed: there are {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    given = [iter(column) for column in columns.values() if column is not None]
    there = [column is not None for column in columns.values()]

    def rows() -> Iterator[Job]:
        for row in zip_longest(*given, fillvalue=MISSING):
            if any(each is MISSING for each in row):
                raise MaskError("as many masks as videos are needed: one of them ended before the other")
            values = iter(row)
            video, first, later = (next(values) if each else None for each in there)
            yield video, first, later  # type: ignore[misc]

    return rows(), lengths.get("videos")


def run(
    engine: Engine,
    jobs: Iterator[Job],
    open_job: Callable[[VideoSource, MaskLike | None, MasksLike | None], Opened],
    *,
    total: int | None,
    batch: int,
    spec: InputSpec,
    progress: Progress,
    on_error: OnError,
) -> Iterator[tuple[int, MaskSequence]]:
    """(index, masks) of each video when it is done."""
    numbered = enumerate(jobs)
    waiting: deque[_Clip] = deque()
    running: list[_Clip] = []
    done = 0
    with reporter(progress, total, "videos", unit="video") as report:

        def failed(index: int, source: VideoSource, error: Exception) -> None:
            nonlocal done
            done += 1
            report(done)
            if on_error is not None:
                on_error(index, error)
                return
            name = source if isinstance(source, str) or hasattr(source, "__fspath__") else type(source).__name__
            warnings.warn(f"video {index} ({name!s:.200}) was left out: {error}", VosZooWarning, stacklevel=3)

        try:
            while True:
                while len(waiting) < AHEAD * batch and (job := next(numbered, None)) is not None:
                    index, (source, first_mask, later_masks) = job
                    try:
                        opened = open_job(source, first_mask, later_masks)
                    except Exception as error:
                        failed(index, source, error)
                    else:
                        frames = iter(enumerate(opened.video))
                        waiting.append(_Clip(index, opened, frames, opened.annotations.sequence(opened.video)))
                _admit(running, waiting, batch)
                if not running:
                    return
                for clip in list(running):
                    try:
                        finished = None if clip.read() else clip.finish()
                    except Exception as error:
                        error.masks = clip.result  # type: ignore[attr-defined]
                        running.remove(clip)
                        clip.close()
                        failed(clip.index, clip.opened.source, error)
                        continue
                    if finished is not None:
                        running.remove(clip)
                        clip.close()
                        done += 1
                        report(done)
                        yield clip.index, finished
                _step(engine, running, spec)
        except BaseException as error:
            if not hasattr(error, "masks"):
                error.masks = {clip.index: clip.result for clip in running}  # type: ignore[attr-defined]
            raise
        finally:
            for clip in [*running, *waiting]:
                clip.close()


def _admit(running: list[_Clip], waiting: deque[_Clip], batch: int) -> None:
    """Fill the batch with videos of one size inside the model; another size comes when none of this one is waiting or running."""
    while waiting and len(running) < batch:
        grid = running[0].opened.grid if running else waiting[0].opened.grid
        clip = next((clip for clip in waiting if clip.opened.grid == grid), None)
        if clip is None:
            return
        waiting.remove(clip)
        running.append(clip)


def _step(engine: Engine, clips: list[_Clip], spec: InputSpec) -> None:
    """The frame that each clip has read last."""
    groups: dict[Hashable, list[tuple[_Clip, Session, np.ndarray]]] = {}
    for clip in clips:
        assert clip.frame is not None
        if clip.session is None:
            clip.session = Session(engine, clip.frame, clip.masks, spec)
            _keep(clip, clip.session)
        else:
            groups.setdefault(clip.session.batch_key(), []).append((clip, clip.session, clip.frame))
    for group in groups.values():
        step_together([session for _, session, _ in group], [frame for _, _, frame in group])
        for clip, session, frame in group:
            if clip.masks is not None:
                session.annotate(frame, clip.masks, advance=False)
            _keep(clip, session)


def _keep(clip: _Clip, session: Session) -> None:
    clip.result.set(clip.at, session.current(), confidence=session.confidence, lost=session.lost)
