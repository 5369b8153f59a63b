"""Prompts in place of masks, on any frame of a video: they become masks here, before anything else sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.errors import VideoError
from vos_zoo.masks.read import read_mask
from vos_zoo.pointing.model import PointingModel, kept_pointer
from vos_zoo.pointing.prompts import Prompts
from vos_zoo.videos.video import Video

if TYPE_CHECKING:
    from vos_zoo.masks.source import MaskLike
    from vos_zoo.system.devices import DeviceLike


def pointed(video: Video, first_mask: object, masks: Any, *, device: DeviceLike = "auto", resize: bool = False) -> tuple[Any, Any]:
    """first_mask and masks, with masks in place of all prompts.

    Args:
        video: that they are of.
        first_mask: as `propagate` takes it.
        masks: as `propagate` takes them.
        device: for a model that is loaded here.
        resize: bring masks that are corrected to the video's size.

    Raises:
        PromptError: prompts do not say which object is meant, or lie outside the picture. All are checked before any mask is made.
        VideoError: the frame they are of can't be reached.
    """
    told: dict[Any, Prompts] = {}
    if isinstance(masks, Mapping):
        told = {index: each for index, each in masks.items() if isinstance(each, Prompts)}
    size = (video.height, video.width)
    for each in (first_mask, *told.values()):
        if isinstance(each, Prompts):
            _check(each, size, resize)
    for index in told:
        if not video.replayable and index != 0:
            raise VideoError(
                f"{video.name} can be read only once, so nothing but its frame 0 can be pointed at, and not frame {index}: save it to a "
                "file first"
            )
    if isinstance(first_mask, Prompts):
        first_mask = mask_of(video.first(), first_mask, device=device, resize=resize)
    if told:
        masks = {**masks, **{index: mask_of(_frame(video, index), each, device=device, resize=resize) for index, each in told.items()}}
    return first_mask, masks


def mask_of(frame: np.ndarray, given: Any, *, device: DeviceLike = "auto", resize: bool = False, before: MaskLike | None = None) -> Any:
    """The mask of a frame (H, W, 3) that prompts ask for; what is given itself if it is no prompts.

    Args:
        frame: that is pointed at.
        given: prompts or a mask.
        device: for a model that is loaded here.
        resize: bring a mask that is corrected to the frame's size.
        before: what the prompts correct where they bring no mask of their own; then only the objects they name come back.
    """
    if not isinstance(given, Prompts):
        return given
    size = (frame.shape[0], frame.shape[1])
    mask = before if given.mask is None else read_mask(given.mask, size=size, resize=resize)
    given.read(size, () if mask is None else read_mask(mask, allow_empty=True).ids)
    model = given.pointer if isinstance(given.pointer, PointingModel) else kept_pointer(given.pointer, str(device), "auto")
    pointer, ids = model.look(frame), read_mask(mask, allow_empty=True).ids if mask is not None else ()
    if given.snap and mask is not None:
        mask = pointer.snapped(mask)
    told = given.read(size, ids)
    found = pointer.objects(given, mask) if told or mask is None else read_mask(mask)
    if given.mask is None and before is not None:
        return {k: found.labels == k for k in given.read(size, found.ids)}
    return found


def _check(prompts: Prompts, size: tuple[int, int], resize: bool) -> None:
    known = () if prompts.mask is None else read_mask(prompts.mask, size=size, resize=resize).ids
    prompts.read(size, known)


def _frame(video: Video, index: int) -> np.ndarray:
    frame = video.first() if index == 0 else next(iter(video.read(index, index + 1)), None)
    if frame is None:
        raise VideoError(f"{video.name} ended before frame {index}, which is pointed at: frames are numbered from 0")
    return frame
