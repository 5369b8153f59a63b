"""Masks together with their video: drawn as a new video, or objects cut out of it."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, SaveError, VosZooWarning
from vos_zoo.masks.folder import frame_files
from vos_zoo.masks.overlay import Style, draw_mask, draw_overlay
from vos_zoo.masks.stored import StoredMasks
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter

_DEFAULT_FPS = 25.0


def save_video(
    masks: StoredMasks,
    path: str | os.PathLike[str],
    video: Any,
    *,
    style: Style = "overlay",
    fps: float | None = None,
    alpha: float = 0.5,
) -> Path:
    """See `MaskSequence.save_video`."""
    _check_not_empty(masks, path)
    if style not in get_args(Style):
        raise SaveError(f"there is no style {style!r}: choose one of {', '.join(get_args(Style))}")
    if not 0 <= alpha <= 1:
        raise SaveError(f"alpha must lie between 0 (no tint) and 1 (colour only), not {alpha}")
    with _opened(video, masks) as opened:
        if fps is None:
            step = abs(masks.frame_indices.step)
            fps = masks.fps or (opened.fps / step if opened.fps else _DEFAULT_FPS)
        height, width = masks.size
        size = (height, 2 * width) if style == "side-by-side" else (height, width)
        lost = _lost_ids(masks)
        codec = "libvpx-vp9" if Path(path).suffix.lower() == ".webm" else "libx264"
        with VideoWriter(path, fps=fps, size=size, codec=codec) as writer:
            for i, frame in _frames_of(masks, opened):
                writer.write(_drawn(frame, masks[i], style, alpha, lost.get(i, ())))
    return Path(path)


def save_cutouts(
    masks: StoredMasks,
    path: str | os.PathLike[str],
    video: Any,
    ids: Iterable[int] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """See `MaskSequence.save_cutouts`."""
    _check_not_empty(masks, path)
    chosen = list(masks.object_ids if ids is None else ids)
    unknown = sorted(set(chosen).difference(masks.object_ids))
    if unknown:
        raise MaskError(f"there is no object {unknown[0]} in these masks; their ids are {list(masks.object_ids)}")
    names, computed = frame_files(masks), masks.computed
    with _opened(video, masks) as opened, atomic_folder(path, overwrite=overwrite) as temporary:
        for i, frame in _frames_of(masks, opened):
            if not computed[i]:
                continue
            inside = np.isin(masks[i], chosen)
            rgba = np.zeros((*masks.size, 4), dtype=np.uint8)
            rgba[inside, :3] = frame[inside]
            rgba[inside, 3] = 255
            Image.fromarray(rgba).save(temporary / f"{names[i]}.png", compress_level=3)
    return Path(path)


@contextlib.contextmanager
def _opened(video: Any, masks: StoredMasks) -> Iterator[Any]:
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


def _frames_of(masks: StoredMasks, video: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs (i, frame): the frames in the video to which masks 0, 1, 2 ... belong. Warns if the counts
    differ."""
    positions = _positions(masks, video)
    done = 0
    whole = positions == range(len(masks))
    for index, frame in enumerate(video):
        if done == len(masks):
            if whole:
                warnings.warn(
                    f"the video {video.name} has more frames than the {len(masks)} masks; the rest was left out",
                    VosZooWarning,
                    stacklevel=3,
                )
            return
        if index == positions[done]:
            yield done, frame
            done += 1
            if done == len(masks) and not whole:
                return
    if done == 0:
        raise MaskError(
            f"the video {video.name} has none of the frames {positions[0]} to {positions[-1]} that the "
            "masks belong to: give the video that the masks were made from, from its beginning"
        )
    if done < len(masks):
        warnings.warn(
            f"the video {video.name} ended after {done} of the {len(masks)} frames that have masks; the rest was left out",
            VosZooWarning,
            stacklevel=3,
        )


def _positions(masks: StoredMasks, video: Any) -> range | list[int]:
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


def _drawn(frame: np.ndarray, labels: np.ndarray, style: Style, alpha: float, lost: Iterable[int]) -> np.ndarray:
    if style == "mask":
        return draw_mask(labels)
    overlay = draw_overlay(frame, labels, alpha=alpha, lost=lost)
    return overlay if style == "overlay" else np.concatenate([frame, overlay], axis=1)


def _lost_ids(masks: StoredMasks) -> dict[int, list[int]]:
    lost: dict[int, list[int]] = {}
    for row, column in np.argwhere(masks.lost).tolist():
        lost.setdefault(row, []).append(masks.object_ids[column])
    return lost


def _check_not_empty(masks: StoredMasks, path: str | os.PathLike[str]) -> None:
    if not len(masks):
        raise SaveError(f"nothing to save to {os.fspath(path)}: the sequence has no frames yet")
