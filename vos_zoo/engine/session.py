"""One video on its way through a model, frame by frame. Knows frames, ids and sizes; of a model only the contract."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine.grid import likeliest
from vos_zoo.engine.read_ahead import frames_at_once
from vos_zoo.engine.redetection import Redetector
from vos_zoo.engine.views import Branch, advance, apart, encode, leader
from vos_zoo.errors import MaskError, VideoError
from vos_zoo.masks.packing import id_type
from vos_zoo.masks.read import ObjectMasks, read_mask
from vos_zoo.pointing.prompts import Prompts, Told
from vos_zoo.pointing.video import mask_of
from vos_zoo.videos.images import check_pixels, read_frame

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOST_BELOW = 0.6  # mean probability, over the pixels it was given, under which an object counts as lost


class Engine(Protocol):
    """What a session needs of its Segmenter."""

    def branches_for(self, size: tuple[int, int], internal: Any, tta: Any) -> list[Branch]: ...
    def redetector_for(self, branches: list[Branch], size: tuple[int, int]) -> Redetector | None: ...


class Shown(NamedTuple):
    """What one frame of a video came to."""

    mask: np.ndarray  # (H, W) ids, 0 background
    confidence: dict[int, float]
    lost: tuple[int, ...]


class _Decided(NamedTuple):
    """What a model decided on one frame, on its device still: nothing has waited for it."""

    slots: Tensor  # (h, w) slot numbers at the video's size, 0 background
    certainty: Tensor  # (K,) mean probability of each slot over the pixels where it is the likeliest


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
        self._redetector = None if self._finds else engine.redetector_for(self._branches, self.size)
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
    def annotate(
        self, frame: np.ndarray, mask: Any = None, *, advance: bool = True, resize_mask: bool = False, **told: Unpack[Told]
    ) -> np.ndarray:
        """Give the masks of some objects, new or known, on a frame; the others are propagated as usual.

        advance=True: in place of `step`, for the next frame. advance=False: correct the frame that was stepped last (pass that frame
        again). mask: anything `propagate` takes; a dict or a boolean stack may also say that an object is not there, by an empty
        layer. Pixels of a given object are taken from the others. points, boxes, scribbles, pointer: as in `propagate`; with
        advance=False they correct the frame's mask. Returns the frame's mask.

        Raises MaskError or VideoError before anything changes.
        """
        frame = checked_frame(frame, self.size)
        if self._finds:
            raise MaskError(
                "this model finds the objects itself and takes no masks: call step(frame), or use a model that follows given ones"
            )
        mask = Prompts.beside(mask, told)
        if mask is None:
            raise MaskError("nothing was given for this frame: pass a mask, points, boxes or scribbles; to go on without call step(frame)")
        before = None if advance or not self._labels.any() else self._labels
        mask = mask_of(frame, mask, device=self._lead.device, resize=resize_mask, before=before)
        masks = read_mask(mask, size=self.size, resize=resize_mask, allow_empty=True)
        if not masks.ids:
            raise MaskError(
                "the mask holds no object: every pixel is background (0). To go on without a mask call step(frame); to say "
                "that an object is gone pass {id: an empty mask} or call remove(id)"
            )
        if not advance:
            self._give(frame, masks)
        else:
            self._run([frame], masks)
        return self.current()

    @torch.inference_mode()
    def run(self, frames: Sequence[np.ndarray], masks: ObjectMasks | None = None) -> list[Shown]:
        """What `step` gives for several frames one after another, encoded in one batch and brought back from the device in one go.

        frames: as `checked_frame` gives them. masks: of the first of them, as `annotate` takes them.
        """
        return self._run(frames, masks)

    def _run(self, frames: Sequence[np.ndarray], masks: ObjectMasks | None = None) -> list[Shown]:
        shown = []
        if not self._ids:  # nobody is followed: until a mask comes there is nothing to look for
            ahead = 1 if masks is not None else len(frames)
            for frame in frames[:ahead]:
                self._show(None)
                if masks is not None:
                    self._give(frame, masks)
                shown.append(self._shown_now())
            return shown + (self._run(frames[ahead:]) if frames[ahead:] else [])
        seen = apart(encode([self._branches] * len(frames), frames), len(frames))
        if masks is not None:
            with _all_or_nothing([self]):
                (fetched,) = self._fetched([self._step(self.index + 1, frames[0], seen[0])])
            self._show(fetched)
            self._give(frames[0], masks, seen[0])
            shown.append(self._shown_now())
            frames, seen = frames[1:], seen[1:]
        with _all_or_nothing([self]):
            steps = enumerate(zip(frames, seen, strict=True), self.index + 1)
            found = self._fetched([self._step(number, frame, features) for number, (frame, features) in steps])
        for fetched in found:
            self._show(fetched)
            shown.append(self._shown_now())
        return shown

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
        if self._redetector is not None:
            self._redetector.keep(stay)

    def current(self) -> np.ndarray:
        """The mask of the frame stepped last, (H, W) ids."""
        return self._labels.astype(id_type(self._ids))

    def frames_at_once(self) -> int:
        """How many frames `run` should be given: those that the device encodes best together."""
        largest = max((branch.grid.size for branch in self._branches), key=math.prod)
        return frames_at_once(self._lead.device.type, largest)

    def state_bytes(self) -> int:
        """Size of the model's state of this video, bytes."""
        remembered = self._redetector.appearance.bytes() if self._redetector is not None else 0
        return remembered + sum(_bytes_of(branch.state) for branch in self._branches)

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

    def _step(self, number: int, frame: np.ndarray, features: Sequence[Any]) -> _Decided:
        """The next frame, on the device; features: of each branch."""
        ((probs, states),) = advance([self._branches], features)
        return self._take(number, frame, features, probs, states)

    def _take(self, number: int, frame: np.ndarray, features: Sequence[Any], probs: Tensor, states: Sequence[Any]) -> _Decided:
        """The next frame's probabilities (1, 1 + K, H, W), and the branches' next states, which become theirs."""
        for branch, state in zip(self._branches, states, strict=True):
            branch.state = state
        if self._redetector is not None:
            probs = self._redetector.checked(number, frame, features, self._branches, probs)
        return _Decided(self._lead.grid.slots(probs), _certainty(self._lead.grid.unpadded(probs)))

    @staticmethod
    def _fetched(decided: Sequence[_Decided]) -> list[tuple[np.ndarray, list[float]]]:
        """Several frames' slots and certainty in main memory: one copy of each, for which the device is waited for once."""
        if not decided:
            return []
        slots = torch.stack([each.slots for each in decided]).cpu().numpy() if len(decided) > 1 else [decided[0].slots.cpu().numpy()]
        certainty = torch.stack([each.certainty for each in decided]).tolist()
        return list(zip(slots, certainty, strict=True))

    def _show(self, fetched: tuple[np.ndarray, list[float]] | None) -> None:
        """The session at the next frame. None: no object is followed."""
        slots: np.ndarray = np.zeros(self.size, np.uint8)
        if fetched is not None:
            slots, certainty = fetched
            pixels = _pixels(slots, len(self._ids))
            there = list(zip(self._ids, certainty, pixels, strict=True))
            if self._finds:
                self._shown.update(k for k, _, count in there if count)
                there = [each for each in there if each[0] in self._shown]
            self.confidence = {k: score if count else 0.0 for k, score, count in there}
            self.lost = _lost(self.confidence)
        in_order = self._ids == list(range(1, 1 + len(self._ids)))  # slot numbers are the ids
        self._labels = slots.astype(np.int32) if in_order else np.take(np.array([0, *self._ids], np.int32), slots)
        self.index += 1

    def _shown_now(self) -> Shown:
        return Shown(self.current(), self.confidence, self.lost)

    def _give(self, frame: np.ndarray, masks: ObjectMasks, features: Sequence[Any] | None = None) -> None:
        """Masks of the frame at hand; features: of each branch, if they are known."""
        ids = self._ids + [k for k in masks.ids if k not in self._ids]
        layers = np.stack([masks.labels == k for k in ids])
        given = [k in masks.ids for k in ids]
        if self._redetector is not None and features is None:
            features = encode([self._branches], [frame])
        known = features or [None] * len(self._branches)
        states = [branch.give(frame, layers, given, seen) for branch, seen in zip(self._branches, known, strict=True)]
        for branch, state in zip(self._branches, states, strict=True):
            branch.state = state
        self._ids = ids
        self._shown.update(masks.ids)
        labels = np.where(np.isin(self._labels, masks.ids), 0, self._labels)
        self._labels = np.where(masks.labels > 0, masks.labels, labels).astype(np.int32)
        if self._redetector is not None and features is not None:
            self._redetector.remember(frame, features, np.stack([self._labels == k for k in ids]), given)
        seen = set(np.unique(self._labels).tolist())
        self.confidence = {k: (1.0 if k in masks.ids else self.confidence[k]) if k in seen else 0.0 for k in ids}
        self.lost = _lost(self.confidence)


@torch.inference_mode()
def step_together(sessions: Sequence[Session], frames: Sequence[np.ndarray]) -> None:
    """The next frame of each session, in one batch; their `likeness` must be equal. Frames as `checked_frame` gives them.

    What is interrupted before the end leaves every session at the frame before, or at this one.
    """
    if not all(session._ids for session in sessions):
        for session in sessions:
            session._show(None)
        return
    branches = [session._branches for session in sessions]
    with _all_or_nothing(sessions):
        encoded = encode(branches, frames)
        rows = zip(sessions, frames, apart(encoded, len(frames)), advance(branches, encoded), strict=True)
        decided = [session._take(session.index + 1, frame, seen, *stepped) for session, frame, seen, stepped in rows]
        fetched = [session._fetched([each])[0] for session, each in zip(sessions, decided, strict=True)]
    for session, each in zip(sessions, fetched, strict=True):
        session._show(each)


@contextmanager
def _all_or_nothing(sessions: Sequence[Session]) -> Iterator[None]:
    """What fails or is interrupted in the block leaves the models' states as they were."""
    before = [[branch.state for branch in session._branches] for session in sessions]
    gone = [session._redetector.gone if session._redetector is not None else frozenset() for session in sessions]
    try:
        yield
    except BaseException:
        for session, states, slots in zip(sessions, before, gone, strict=True):
            for branch, state in zip(session._branches, states, strict=True):
                branch.state = state
            if session._redetector is not None:
                session._redetector.gone = slots
        raise


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


def _pixels(slots: np.ndarray, objects: int) -> list[int]:
    """Pixels of each slot in a map of slot numbers."""
    if objects <= 8:
        return [int(np.count_nonzero(slots == n)) for n in range(1, 1 + objects)]
    return np.bincount(slots.reshape(-1), minlength=1 + objects)[1:].tolist()


def _certainty(probs: Tensor) -> Tensor:
    """(K,): each object's mean probability in (1, 1 + K, h, w) over the pixels where it is the likeliest; 0 without any."""
    best, slot = likeliest(probs[0])
    objects = probs.shape[1] - 1
    if best.device.type == "cpu" and objects <= 16:  # where adding up by index goes pixel by pixel
        own = [(slot == k).float().flatten() for k in range(1, 1 + objects)]
        total = torch.stack([torch.dot(best.flatten(), mask) for mask in own])
        return total / torch.stack([mask.sum() for mask in own]).clamp(min=1)
    flat = slot.flatten().long()
    total = torch.zeros(1 + objects, dtype=torch.float32, device=probs.device)
    pixels = torch.zeros_like(total).scatter_add_(0, flat, torch.ones_like(best).flatten())
    total.scatter_add_(0, flat, best.flatten())
    return (total / pixels.clamp(min=1))[1:]


def _lost(confidence: dict[int, float]) -> tuple[int, ...]:
    return tuple(k for k, score in confidence.items() if score < LOST_BELOW)


def _bytes_of(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(map(_bytes_of, value)) if isinstance(value, (tuple, list)) else 0
