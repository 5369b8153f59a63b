"""Masks together with their video: drawn as a new video, or objects cut out of it."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, SaveError, VosZooWarning
from vos_zoo.masks.overlay import Style, draw_mask, draw_overlay
from vos_zoo.masks.palette import read_colours
from vos_zoo.masks.stored import StoredMasks, frame_files
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.system.paths import user_path
from vos_zoo.system.shown import shown
from vos_zoo.system.values import as_number, entries, flag, real
from vos_zoo.videos.reader import Moment, Presentation
from vos_zoo.videos.video import Video, open_video
from vos_zoo.videos.writer import VideoWriter, check_writable, usual_codec

if TYPE_CHECKING:
    from vos_zoo.videos.source import VideoSource
    from vos_zoo.videos.video import Video

_DEFAULT_FPS = 25.0


def save_video(
    masks: StoredMasks,
    path: str | os.PathLike[str],
    video: VideoSource,
    *,
    style: Style = "overlay",
    fps: float | None = None,
    alpha: float = 0.5,
    audio: bool = True,
    colours: Mapping[int, str] | None = None,
) -> Path:
    """See `MaskSequence.save_video`."""
    path, audio = user_path(path), flag(audio, "audio", SaveError)
    read_colours(colours)
    _check_not_empty(masks, path)
    _check_look(style, alpha)
    fps = None if fps is None else real(fps, "fps", 0, error=SaveError)
    with _opened(video, masks) as opened:
        speed, like = _timing(masks, opened, fps, audio, Path(path).name)
        size = (masks.size[0], (2 if style == "side-by-side" else 1) * masks.size[1])
        lost = _lost_ids(masks)
        see_through = style == "cutout"
        codec = usual_codec(path, alpha=see_through)
        with VideoWriter(path, fps=speed, size=size, codec=codec, like=like, alpha=see_through) as writer:
            frames = _Frames(masks, opened)
            for i, moment in frames:
                drawn = _drawn(moment.frame, masks[i], style, alpha, lost.get(i, ()), colours)
                writer.write(drawn, moment.time, moment.duration)
            writer.close(rest_of_sound=frames.at_end)
    return user_path(path)


def check_video(path: str | os.PathLike[str], video: Video, *, style: Style = "overlay", fps: float | None = None) -> None:
    """Raises what `save_video` will raise if container or encoder can't hold such a video: to be asked before the masks are made.

    Args:
        path, style, fps: as for `MaskSequence.save_video`.
        video: an open video, of which nothing is read.

    Raises:
        SaveError: with the way out.
    """
    _check_look(style, 0.5)
    size = (video.height, (2 if style == "side-by-side" else 1) * video.width)
    check_writable(path, fps=fps or video.fps or _DEFAULT_FPS, size=size, alpha=style == "cutout")


def _check_look(style: Style, alpha: float) -> None:
    if not isinstance(style, str) or style not in get_args(Style):
        raise SaveError(f"there is no style {shown(style)}: choose one of {', '.join(get_args(Style))}")
    if not 0 <= as_number(alpha) <= 1:
        raise SaveError(f"alpha must lie between 0 (no tint) and 1 (colour only), not {shown(alpha)}")


def _timing(masks: StoredMasks, video: Video, fps: float | None, audio: bool, name: str) -> tuple[float, Presentation]:
    """Frames a second, and what is taken over from the video: its clock and sound only if it is to play at its own speed."""
    like = video.presentation
    step = abs(masks.frame_indices.step)
    own = video.fps / step if video.fps else None
    speed = fps or masks.fps or own or _DEFAULT_FPS
    if own is not None and not math.isclose(speed, own, rel_tol=1e-3):
        if audio and like.sound is not None:
            message = f"{name}: the sound was left out, since at {speed:g} frames per second it would not fit; leave out fps= to keep it"
            warnings.warn(message, VosZooWarning, stacklevel=4)
        return speed, like._replace(clock=None, sound=None)
    return speed, like if audio else like._replace(sound=None)


def save_cutouts(
    masks: StoredMasks,
    path: str | os.PathLike[str],
    video: VideoSource,
    ids: Iterable[int] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """See `MaskSequence.save_cutouts`."""
    _check_not_empty(masks, path)
    chosen = list(masks.object_ids) if ids is None else entries(ids, "ids", MaskError)
    unknown = [each for each in chosen if not isinstance(each, (int, np.integer)) or each not in masks.object_ids]
    if unknown:
        raise MaskError(f"there is no object {shown(unknown[0])} in these masks; their ids are {list(masks.object_ids)}")
    names, computed = frame_files(masks), masks.computed
    with _opened(video, masks) as opened, atomic_folder(path, overwrite=overwrite) as temporary:
        for i, moment in _Frames(masks, opened):
            if not computed[i]:
                continue
            rgba = _cut_out(moment.frame, np.isin(masks[i], chosen))
            Image.fromarray(rgba).save(temporary / f"{names[i]}.png", compress_level=3)
    return user_path(path)


@contextlib.contextmanager
def _opened(video: VideoSource, masks: StoredMasks) -> Iterator[Video]:
    """The video, checked to have the masks' size; closed at the end if it was opened here."""
    opened = open_video(video)
    try:
        if (opened.height, opened.width) != masks.size:
            raise MaskError(
                f"the video {opened.name} is {opened.width}x{opened.height}, but the masks are "
                f"{masks.size[1]}x{masks.size[0]} (width x height): give the video that the masks were made "
                "from"
            )
        yield opened
    finally:
        if opened is not video:
            opened.close()


class _Frames:
    """Pairs (i, moment): the frames in the video to which masks 0, 1, 2 ... belong, with their times. Warns if the counts differ.

    at_end: whether the last of them is the last of the video.
    """

    def __init__(self, masks: StoredMasks, video: Video) -> None:
        self._masks, self._video = masks, video
        self.at_end = False

    def __iter__(self) -> Iterator[tuple[int, Moment]]:
        name, count = self._video.name, len(self._masks)
        positions = _positions(self._masks, self._video)
        whole = positions == range(count)
        done = 0
        for index, moment in enumerate(self._video.moments()):
            if done == count:
                if whole:
                    message = f"the video {name} has more frames than the {count} masks; the rest was left out"
                    warnings.warn(message, VosZooWarning, stacklevel=3)
                return
            if index == positions[done]:
                yield done, moment
                done += 1
        self.at_end = True
        if done == 0:
            raise MaskError(
                f"the video {name} has none of the frames {positions[0]} to {positions[-1]} that the "
                "masks belong to: give the video that the masks were made from, from its beginning"
            )
        if done < count:
            message = f"the video {name} ended after {done} of the {count} frames that have masks; the rest was left out"
            warnings.warn(message, VosZooWarning, stacklevel=3)


def _positions(masks: StoredMasks, video: Video) -> range | list[int]:
    names = masks.frame_names
    if names is not None and video.frame_names is not None and len(names) >= len(masks):
        index_of = {name: index for index, name in enumerate(video.frame_names)}
        by_name = [index_of.get(name, -1) for name in names[: len(masks)]]
        if min(by_name) >= 0:
            start_to_end = range(len(by_name))
            positions: range | list[int] = start_to_end if by_name == list(start_to_end) else by_name
            return _checked_order(positions)
    return _checked_order(masks.frame_indices)


def _checked_order(positions: range | list[int]) -> range | list[int]:
    if any(later <= earlier for earlier, later in zip(positions[:-1], positions[1:], strict=True)):
        raise MaskError("these masks run against the order of the video: reverse them first, masks[::-1]")
    return positions


def _drawn(
    frame: np.ndarray, labels: np.ndarray, style: Style, alpha: float, lost: Iterable[int], colours: Mapping[int, str] | None
) -> np.ndarray:
    if style == "mask":
        return draw_mask(labels)
    if style == "cutout":
        return _cut_out(frame, labels != 0)
    overlay = draw_overlay(frame, labels, alpha=alpha, lost=lost, colours=colours)
    return overlay if style == "overlay" else np.concatenate([frame, overlay], axis=1)


def _cut_out(frame: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 RGBA: the frame where `inside`, all else transparent."""
    rgba = np.zeros((*inside.shape, 4), dtype=np.uint8)
    rgba[inside, :3] = frame[inside]
    rgba[inside, 3] = 255
    return rgba


def _lost_ids(masks: StoredMasks) -> dict[int, list[int]]:
    lost: dict[int, list[int]] = {}
    for row, column in np.argwhere(masks.lost).tolist():
        lost.setdefault(row, []).append(masks.object_ids[column])
    return lost


def _check_not_empty(masks: StoredMasks, path: str | os.PathLike[str]) -> None:
    if not len(masks):
        raise SaveError(f"nothing to save to {os.fspath(path)}: the sequence has no frames yet")
