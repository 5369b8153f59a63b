"""Many videos, a few at a time in one batch: which run together, in which order results come, what becomes of one that fails."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from vos_zoo.engine.propagation import Annotations
from vos_zoo.engine.session import Engine, Session, step_together
from vos_zoo.errors import MaskError, VideoError, VosZooError, VosZooWarning
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.progress import reporter
from vos_zoo.videos.video import Video

AHEAD = 4  # so many videos for each place in the batch are opened ahead, to find some whose frames have one size inside the model
MISSING = object()
OnError = Callable[[int, Exception], object] | None


@dataclass
class Opened:
    """A video ready to start."""

    video: Video
    annotations: Annotations
    given: Any  # as the caller gave it
    grid: Any  # equal for videos whose frames are of one size inside the model


@dataclass
class _Clip:
    index: int
    opened: Opened
    frames: Iterator[tuple[int, np.ndarray]]
    result: MaskSequence
    session: Session | None = None
    at: int = -1  # number of the frame read last, that frame, and its masks if it is annotated
    frame: Any = None
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
        if self.opened.video is not self.opened.given:
            self.opened.video.close()


def checked_jobs(videos: Any, first_masks: Any, masks: Any, batch: Any) -> tuple[Iterator[tuple[Any, Any, Any]], int | None]:
    """(video, first mask, later masks) of each, and their number where it is known. Errors that show before any video is opened."""
    if isinstance(videos, (str, bytes, Video)) or hasattr(videos, "__fspath__") or not isinstance(videos, Iterable):
        raise VideoError(f"videos is a list, or another iterable, of videos, not {videos!r:.80}: for one video call propagate(video, ...)")
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise VosZooError(f"batch is the number of videos that run together, 1 or more, not {batch!r}")
    columns = {"videos": videos, "first_masks": first_masks, "masks": masks}
    for name, column in columns.items():
        if isinstance(column, (str, bytes, dict)) or (column is not None and not isinstance(column, Iterable)):
            raise MaskError(
                f"{name} holds one entry a video, in the same order, None where there is none; it can't be a {type(column).__name__}"
            )
    lengths = {name: len(column) for name, column in columns.items() if hasattr(column, "__len__")}
    if len(set(lengths.values())) > 1:
        raise MaskError(f"as many masks as videos are needed: there are {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    given = [iter(column) for column in columns.values() if column is not None]
    there = [column is not None for column in columns.values()]

    def rows() -> Iterator[tuple[Any, Any, Any]]:
        for row in zip_longest(*given, fillvalue=MISSING):
            if any(each is MISSING for each in row):
                raise MaskError("as many masks as videos are needed: one of them ended before the other")
            values = iter(row)
            video, first, later = (next(values) if each else None for each in there)
            yield video, first, later

    return rows(), lengths.get("videos")


def run(
    engine: Engine,
    jobs: Iterator[tuple[Any, Any, Any]],
    open_job: Callable[[Any, Any, Any], Opened],
    *,
    total: int | None,
    batch: int,
    size: Any,
    tta: Any,
    progress: Any,
    on_error: OnError,
) -> Iterator[tuple[int, MaskSequence]]:
    """(index, masks) of each video when it is done."""
    numbered = enumerate(jobs)
    waiting: deque[_Clip] = deque()
    running: list[_Clip] = []
    done = 0
    with reporter(progress, total, "videos", unit="video") as report:

        def failed(index: int, given: Any, error: Exception) -> None:
            nonlocal done
            done += 1
            report(done)
            if on_error is not None:
                on_error(index, error)
                return
            name = given if isinstance(given, str) or hasattr(given, "__fspath__") else type(given).__name__
            warnings.warn(f"video {index} ({name!s:.200}) was left out: {error}", VosZooWarning, stacklevel=3)

        try:
            while True:
                while len(waiting) < AHEAD * batch and (job := next(numbered, None)) is not None:
                    index, (given, *masks) = job
                    try:
                        opened = open_job(given, *masks)
                    except Exception as error:
                        failed(index, given, error)
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
                        failed(clip.index, clip.opened.given, error)
                        continue
                    if finished is not None:
                        running.remove(clip)
                        clip.close()
                        done += 1
                        report(done)
                        yield clip.index, finished
                _step(engine, running, size, tta)
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


def _step(engine: Engine, clips: list[_Clip], size: Any, tta: Any) -> None:
    """The frame that each clip has read last."""
    groups: dict[Any, list[tuple[_Clip, Session]]] = {}
    for clip in clips:
        if clip.session is None:
            clip.session = Session(engine, clip.frame, clip.masks, size=size, tta=tta)
            _keep(clip, clip.session)
        else:
            groups.setdefault(clip.session.likeness(), []).append((clip, clip.session))
    for group in groups.values():
        step_together([session for _, session in group], [clip.frame for clip, _ in group])
        for clip, session in group:
            if clip.masks is not None:
                session.annotate(clip.frame, clip.masks, advance=False)
            _keep(clip, session)


def _keep(clip: _Clip, session: Session) -> None:
    clip.result.set(clip.at, session.current(), confidence=session.confidence, lost=session.lost)
