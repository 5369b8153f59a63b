"""One video on its way through a model, frame by frame. Knows frames, ids and sizes; of a model only the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vos_zoo.branches import Branch, advance, leader
from vos_zoo.errors import MaskError, VideoError
from vos_zoo.io.images import check_pixels, read_frame
from vos_zoo.io.masks import ObjectMasks, read_mask
from vos_zoo.io.runs import id_type
from vos_zoo.transforms import likeliest

LOST_BELOW = 0.6  # mean probability, over the pixels it was given, under which an object counts as lost


class Engine(Protocol):
    """What a session needs of its Segmenter."""

    def branches_for(self, size: tuple[int, int], internal: Any, tta: Any) -> list[Branch]: ...


class Session:
    """The state of one video: `Segmenter.start` makes it, `step` takes the next frame and returns its mask.

    The state's size depends on the number of objects and the frame size, not on the length of the video, unless the model was asked to
    remember more and more frames. One session, one video; any number of sessions share a model. Frames are (H, W, 3) uint8 RGB, all of
    one size; masks are (H, W) arrays of ids, 0 background.

    Attributes:
        object_ids: ids followed now, ascending by when they came. Of a model that finds the objects itself: those that it has shown so far.
        index: number of the frame stepped last; 0 is the one that `start` was given.
        confidence: id -> mean probability over the pixels that the object was given in the last frame, in [0, 1]; 0 if it got none, 1
            where its mask was given.
        lost: ids that the last frame did not show with any certainty: no pixel, or a confidence under 0.6.
        size: (H, W) of frames and masks.
    """

    @torch.inference_mode()
    def __init__(self, engine: Engine, frame: np.ndarray, masks: ObjectMasks | None, *, size: Any = None, tta: Any = None):
        """masks: None for a model that finds the objects itself."""
        self.size: tuple[int, int] = checked_frame(frame, None).shape[:2]
        self._branches = engine.branches_for(self.size, size, tta)
        self._lead = self._branches[leader(self._branches)]
        self._finds = masks is None
        self._ids: list[int] = []  # of the slots
        self._shown: set[int] = set()  # ids of slots that were given a mask or have had a pixel
        self._labels = np.zeros(self.size, np.int32)
        self.index = 0
        self.confidence: dict[int, float] = {}
        self.lost: tuple[int, ...] = ()
        if masks is None:
            self._find(frame)
        else:
            self._give(frame, masks)

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(k for k in self._ids if k in self._shown)

    @torch.inference_mode()
    def step(self, frame: np.ndarray) -> np.ndarray:
        """The mask of the next frame, (H, W) uint8 (int32 if an id exceeds 254). VideoError if the frame does not fit."""
        frame = checked_frame(frame, self.size)
        step_together([self], [frame])
        return self.current()

    @torch.inference_mode()
    def annotate(self, frame: np.ndarray, mask: Any, *, advance: bool = True, resize_mask: bool = False) -> np.ndarray:
        """Give the masks of some objects, new or known, on a frame; the others are propagated as usual.

        advance=True: in place of `step`, for the next frame. advance=False: correct the frame that was stepped last (pass that frame
        again). mask: anything `propagate` takes; a dict or a boolean stack may also say that an object is not there, by an empty
        layer. Pixels of a given object are taken from the others. Returns the frame's mask.

        Raises MaskError or VideoError before anything changes.
        """
        frame = checked_frame(frame, self.size)
        if self._finds:
            raise MaskError(
                "this model finds the objects itself and takes no masks: call step(frame), or use a model that follows given ones"
            )
        masks = read_mask(mask, size=self.size, resize=resize_mask, allow_empty=True)
        if not masks.ids:
            raise MaskError(
                "the mask holds no object: every pixel is background (0). To go on without a mask call step(frame); to say "
                "that an object is gone pass {id: an empty mask} or call remove(id)"
            )
        if advance:
            step_together([self], [frame])
        self._give(frame, masks)
        return self.current()

    def remove(self, ids: int | Iterable[int]) -> None:
        """Stop following objects. MaskError names ids that are not followed."""
        gone = {ids} if isinstance(ids, (int, np.integer)) else set(ids)
        if unknown := sorted(gone - set(self.object_ids)):
            raise MaskError(f"objects {list(map(int, unknown))} are not followed; those that are: {list(self.object_ids)}")
        stay = [slot for slot, k in enumerate(self._ids) if k not in gone]
        self._ids = [self._ids[slot] for slot in stay]
        self._labels[np.isin(self._labels, list(gone))] = 0
        self.confidence = {k: c for k, c in self.confidence.items() if k not in gone}
        self.lost = tuple(k for k in self.lost if k not in gone)
        self._shown -= gone
        for branch in self._branches:
            slots = torch.tensor(stay, device=branch.device)
            branch.state = branch.model.keep(branch.state, slots) if stay else None

    def current(self) -> np.ndarray:
        """The mask of the frame stepped last, (H, W) ids."""
        return self._labels.astype(id_type(self._ids))

    def state_bytes(self) -> int:
        """Size of the model's state of this video, bytes."""
        return sum(_bytes_of(branch.state) for branch in self._branches)

    def likeness(self) -> Any:
        """Equal for sessions whose next frames are worth computing as one batch; None while no object is followed.

        One that follows many objects does not go with one that follows few: slots that stay empty cost as much as others.
        """
        return (max(len(self._ids), 8).bit_length(), *(branch.key() for branch in self._branches)) if self._ids else None

    def _find(self, frame: np.ndarray) -> None:
        for branch in self._branches:
            branch.state = branch.find(frame)
        self._ids = list(range(1, 1 + self._lead.state.masks.shape[1]))
        step_together([self], [frame])
        self.index = 0

    def _take(self, probs: Tensor | None, states: list[Any]) -> None:
        """The next frame's probabilities (1, 1 + K, H, W) and the branches' next states; None, []: no object is followed."""
        slots = np.zeros(self.size, np.uint8)
        if probs is not None:
            slots = self._lead.grid.labels(probs)
            confidence = _confidence(self._lead.grid.unpadded(probs), slots, self._ids)
            if self._finds:
                pixels = np.bincount(slots.reshape(-1), minlength=1 + len(self._ids))[1:]
                self._shown.update(k for k, count in zip(self._ids, pixels.tolist(), strict=True) if count)
                confidence = {k: score for k, score in confidence.items() if k in self._shown}
            for branch, state in zip(self._branches, states, strict=True):
                branch.state = state
            self.confidence, self.lost = confidence, _lost(confidence)
        self._labels = np.array([0, *self._ids], np.int32)[slots]
        self.index += 1

    def _give(self, frame: np.ndarray, masks: ObjectMasks) -> None:
        ids = self._ids + [k for k in masks.ids if k not in self._ids]
        layers = np.stack([masks.labels == k for k in ids])
        given = [k in masks.ids for k in ids]
        states = [branch.give(frame, layers, given) for branch in self._branches]
        for branch, state in zip(self._branches, states, strict=True):
            branch.state = state
        self._ids = ids
        self._shown.update(masks.ids)
        labels = np.where(np.isin(self._labels, masks.ids), 0, self._labels)
        self._labels = np.where(masks.labels > 0, masks.labels, labels).astype(np.int32)
        seen = set(np.unique(self._labels).tolist())
        self.confidence = {k: (1.0 if k in masks.ids else self.confidence[k]) if k in seen else 0.0 for k in ids}
        self.lost = _lost(self.confidence)


@torch.inference_mode()
def step_together(sessions: Sequence[Session], frames: Sequence[np.ndarray]) -> None:
    """The next frame of each session, in one batch; their `likeness` must be equal. Frames as `checked_frame` gives them.

    What is interrupted before the end leaves every session at the frame before, or at this one.
    """
    stepped: Any = [(None, [])] * len(sessions)
    if all(session._ids for session in sessions):
        stepped = advance([session._branches for session in sessions], frames)
    for session, (probs, states) in zip(sessions, stepped, strict=True):
        session._take(probs, states)


def checked_frame(frame: Any, size: tuple[int, int] | None) -> np.ndarray:
    """The frame as an (H, W, 3) uint8 array, or VideoError that says what is wrong with it."""
    if isinstance(frame, np.ndarray):
        check_pixels(frame, "the frame")
    else:
        frame = read_frame(frame, "the frame")
    if size is not None and frame.shape[:2] != size:
        raise VideoError(
            f"this frame is {frame.shape[1]}x{frame.shape[0]}, the session's are {size[1]}x{size[0]}: resize the frame, or "
            "start a new session for another video"
        )
    return frame


def _confidence(probs: Tensor, slots: np.ndarray, ids: list[int]) -> dict[int, float]:
    """id -> mean of its probabilities (1, 1 + K, h, w) where it is the likeliest; 0 without a pixel in `slots`, the mask that is shown."""
    best, slot = likeliest(probs[0])
    slot = slot.flatten().long()
    total = torch.zeros(len(ids) + 1, dtype=torch.float32, device=probs.device)
    pixels = torch.zeros_like(total).scatter_add_(0, slot, torch.ones_like(best).flatten())
    total.scatter_add_(0, slot, best.flatten())
    mean = (total / pixels.clamp(min=1))[1:].tolist()
    shown = np.bincount(slots.reshape(-1), minlength=len(ids) + 1)[1:]
    return {k: score if count else 0.0 for k, score, count in zip(ids, mean, shown.tolist(), strict=True)}


def _lost(confidence: dict[int, float]) -> tuple[int, ...]:
    return tuple(k for k, score in confidence.items() if score < LOST_BELOW)


def _bytes_of(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(map(_bytes_of, value)) if isinstance(value, (tuple, list)) else 0
