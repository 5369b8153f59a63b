"""How the objects of one video go from frame to frame. Knows frames, ids and sizes; of a model only the contract.

A SessionState holds all that changes from frame to frame. The Tracker holds what does not. It takes a state and gives the next: what fails
or is interrupted on the way leaves the one that the caller has.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine import redetection
from vos_zoo.engine.grid import likeliest
from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Engine
from vos_zoo.engine.read_ahead import frames_at_once
from vos_zoo.engine.redetection import RedetectionState
from vos_zoo.engine.states import bytes_of
from vos_zoo.engine.views import advance, apart, encode, leader
from vos_zoo.masks.packing import id_type
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.models.base import Features, State

LOST_BELOW = 0.6  # mean probability, over the pixels it was given, under which an object counts as lost


class FrameResult(NamedTuple):
    """What one frame of a video came to."""

    mask: np.ndarray  # (H, W) ids, 0 background
    confidence: dict[int, float]
    lost: tuple[int, ...]


class ModelState(NamedTuple):
    """What the next frame is computed from, on the device."""

    branches: tuple[State, ...]  # of each branch
    redetection: RedetectionState


@dataclass(frozen=True)
class SessionState:
    """One video at one of its frames."""

    index: int  # of the frame, from the one that the video was begun with
    ids: tuple[int, ...]  # of the slots
    seen: frozenset[int]  # ids of slots that were given a mask or have had a pixel
    labels: np.ndarray  # (H, W) int32 ids, 0 background
    confidence: dict[int, float]
    model: ModelState | None  # None while no object is followed

    @property
    def result(self) -> FrameResult:
        return FrameResult(self.labels.astype(id_type(self.ids)), self.confidence, self.lost)

    @property
    def lost(self) -> tuple[int, ...]:
        return tuple(k for k, score in self.confidence.items() if score < LOST_BELOW)

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(k for k in self.ids if k in self.seen)


class _Decision(NamedTuple):
    """What a model decided on one frame, on its device still: nothing has waited for it."""

    slots: Tensor  # (h, w) slot numbers at the video's size, 0 background
    certainty: Tensor  # (K,) mean probability of each slot over the pixels where it is the likeliest


class Tracker:
    """What stays the same through one video: its size, its branches, and who looks after lost objects."""

    def __init__(self, engine: Engine, size: tuple[int, int], spec: InputSpec, *, finds_objects: bool):
        self.size, self.finds_objects = size, finds_objects
        self.branches = engine.branches_for(size, spec)
        self.redetector = None if finds_objects else engine.redetector_for(self.branches, size)
        self.lead = self.branches[leader(self.branches)]
        self._nothing = SessionState(0, (), frozenset(), np.zeros(size, np.int32), {}, None)

    def begin(self, frame: np.ndarray, masks: ObjectMasks | None) -> SessionState:
        """The state at the first frame; masks: None for a model that finds the objects itself."""
        if masks is not None:
            return self.annotate(self._nothing, frame, masks)
        model = ModelState(tuple(branch.find(frame) for branch in self.branches), RedetectionState())
        slots = model.branches[self.branches.index(self.lead)].masks.shape[1]
        before = replace(self._nothing, ids=tuple(range(1, 1 + slots)), model=model)
        (state,) = step_together([self], [before], [frame])
        return replace(state, index=0)

    def run(self, state: SessionState, frames: Sequence[np.ndarray], masks: ObjectMasks | None = None) -> list[SessionState]:
        """The states at several frames one after another, encoded in one batch and brought back from the device in one go.

        masks: of the first of them.
        """
        states = []
        if state.model is None:  # nobody is followed: until a mask comes there is nothing to look for
            ahead = 1 if masks is not None else len(frames)
            for frame in frames[:ahead]:
                state = self._without_objects(state)
                if masks is not None:
                    state = self.annotate(state, frame, masks)
                states.append(state)
            return states + (self.run(state, frames[ahead:]) if frames[ahead:] else [])
        encoded = apart(encode([self.branches] * len(frames), frames), len(frames))
        if masks is not None:
            (state,) = self._steps(state, frames[:1], encoded[:1])
            state = self.annotate(state, frames[0], masks, encoded[0])
            states.append(state)
            frames, encoded = frames[1:], encoded[1:]
        return states + self._steps(state, frames, encoded)

    def annotate(
        self, state: SessionState, frame: np.ndarray, masks: ObjectMasks, features: Sequence[Features] | None = None
    ) -> SessionState:
        """The same frame with masks given for some objects; features: of each branch, if they are known."""
        ids = (*state.ids, *(k for k in masks.ids if k not in state.ids))
        layers = np.stack([masks.labels == k for k in ids])
        annotated = [k in masks.ids for k in ids]
        if self.redetector is not None and features is None:
            features = encode([self.branches], [frame])
        known: Sequence[Features | None] = features or [None] * len(self.branches)
        before = state.model.branches if state.model else [None] * len(self.branches)
        rows = zip(self.branches, before, known, strict=True)
        branches = tuple(branch.annotate(old, frame, layers, annotated, seen) for branch, old, seen in rows)
        labels = np.where(np.isin(state.labels, masks.ids), 0, state.labels)
        labels = np.where(masks.labels > 0, masks.labels, labels).astype(np.int32)
        looks = state.model.redetection if state.model else RedetectionState()
        if self.redetector is not None and features is not None:
            looks = self.redetector.remember(looks, frame, features, np.stack([labels == k for k in ids]), annotated)
        visible = set(np.unique(labels).tolist())
        confidence = {k: (1.0 if k in masks.ids else state.confidence[k]) if k in visible else 0.0 for k in ids}
        return SessionState(state.index, ids, state.seen | set(masks.ids), labels, confidence, ModelState(branches, looks))

    def remove(self, state: SessionState, ids: set[int]) -> SessionState:
        """Without these objects."""
        slots = [slot for slot, k in enumerate(state.ids) if k not in ids]
        return SessionState(
            index=state.index,
            ids=tuple(state.ids[slot] for slot in slots),
            seen=state.seen - ids,
            labels=np.where(np.isin(state.labels, list(ids)), 0, state.labels).astype(np.int32),
            confidence={k: score for k, score in state.confidence.items() if k not in ids},
            model=self._kept(state.model, slots) if state.model and slots else None,
        )

    def frames_at_once(self) -> int:
        """How many frames `run` should be given: those that the device encodes best together."""
        largest = max((branch.grid.size for branch in self.branches), key=math.prod)
        return frames_at_once(self.lead.device.type, largest)

    def batch_key(self, state: SessionState) -> Hashable:
        """Equal for videos whose next frames are worth computing as one batch; None while no object is followed.

        One that follows many objects does not go with one that follows few: slots that stay empty cost as much as others.
        """
        if state.model is None:
            return None
        keys = (branch.batch_key(own) for branch, own in zip(self.branches, state.model.branches, strict=True))
        return (max(len(state.ids), 8).bit_length(), *keys)

    def _kept(self, model: ModelState, slots: list[int]) -> ModelState:
        rows = zip(self.branches, model.branches, strict=True)
        branches = [branch.model.keep(own, torch.tensor(slots, dtype=torch.int64, device=branch.device)) for branch, own in rows]
        return ModelState(tuple(branches), redetection.keep(model.redetection, slots))

    def _without_objects(self, state: SessionState) -> SessionState:
        """The next frame while no object is followed."""
        return replace(state, index=state.index + 1, labels=np.zeros(self.size, np.int32))

    def _steps(self, state: SessionState, frames: Sequence[np.ndarray], encoded: Sequence[Sequence[Features]]) -> list[SessionState]:
        """The states at the next frames, whose features are known."""
        assert state.model is not None
        model, models, decisions = state.model, [], []
        for number, (frame, features) in enumerate(zip(frames, encoded, strict=True), state.index + 1):
            ((probs, branches),) = advance([self.branches], [model.branches], features)
            model, decision = self.decide(model, number, frame, features, probs, branches)
            models.append(model)
            decisions.append(decision)
        states = []
        for model, (slots, certainty) in zip(models, fetch(decisions), strict=True):
            state = self.next_state(state, model, slots, certainty)
            states.append(state)
        return states

    def decide(
        self,
        model: ModelState,
        number: int,
        frame: np.ndarray,
        features: Sequence[Features],
        probs: Tensor,
        branches: tuple[State, ...],
    ) -> tuple[ModelState, _Decision]:
        """From the next frame's probabilities (1, 1 + K, H, W) and the branches' next states, on the device."""
        looks = model.redetection
        if self.redetector is not None:
            probs, branches, looks = self.redetector.check(looks, number, frame, features, branches, probs)
        return ModelState(branches, looks), _Decision(self.lead.grid.slots(probs), certainty_of(self.lead.grid.unpadded(probs)))

    def next_state(self, state: SessionState, model: ModelState, slots: np.ndarray, certainty: Sequence[float]) -> SessionState:
        """From what was decided, in main memory: slots (h, w) and the certainty of each."""
        rows = list(zip(state.ids, certainty, _pixels(slots, len(state.ids)), strict=True))
        seen = state.seen
        if self.finds_objects:
            seen = seen | {k for k, _, pixels in rows if pixels}
            rows = [row for row in rows if row[0] in seen]
        in_order = state.ids == tuple(range(1, 1 + len(state.ids)))  # slot numbers are the ids
        labels = slots.astype(np.int32) if in_order else np.take(np.array([0, *state.ids], np.int32), slots)
        confidence = {k: score if pixels else 0.0 for k, score, pixels in rows}
        return SessionState(state.index + 1, state.ids, seen, labels, confidence, model)


def step_together(trackers: Sequence[Tracker], states: Sequence[SessionState], frames: Sequence[np.ndarray]) -> list[SessionState]:
    """The next frame of several videos, in one batch; they are alike by `batch_key`."""
    if any(state.model is None for state in states):
        return [tracker._without_objects(state) for tracker, state in zip(trackers, states, strict=True)]
    models = [state.model for state in states if state.model is not None]
    branches = [tracker.branches for tracker in trackers]
    encoded = encode(branches, frames)
    stepped = advance(branches, [model.branches for model in models], encoded)
    rows = zip(trackers, states, models, frames, apart(encoded, len(frames)), stepped, strict=True)
    decided = [tracker.decide(model, state.index + 1, frame, features, *step) for tracker, state, model, frame, features, step in rows]
    following = []
    for tracker, state, (model, decision) in zip(trackers, states, decided, strict=True):
        ((slots, certainty),) = fetch([decision])
        following.append(tracker.next_state(state, model, slots, certainty))
    return following


def fetch(decisions: Sequence[_Decision]) -> list[tuple[np.ndarray, list[float]]]:
    """Several frames' slots and certainty in main memory: one copy of each, for which the device is waited for once."""
    if not decisions:
        return []
    if len(decisions) == 1:
        slots = [decisions[0].slots.cpu().numpy()]
    else:
        slots = list(torch.stack([each.slots for each in decisions]).cpu().numpy())
    certainty = torch.stack([each.certainty for each in decisions]).tolist()
    return list(zip(slots, certainty, strict=True))


def certainty_of(probs: Tensor) -> Tensor:
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


def state_bytes(state: SessionState) -> int:
    """Size of what is kept of one video on the device."""
    if state.model is None:
        return 0
    return sum(map(bytes_of, state.model.branches)) + state.model.redetection.memory.bytes()


def _pixels(slots: np.ndarray, objects: int) -> list[int]:
    """Pixels of each slot in a map of slot numbers."""
    if objects <= 8:
        return [int(np.count_nonzero(slots == n)) for n in range(1, 1 + objects)]
    return np.bincount(slots.reshape(-1), minlength=1 + objects)[1:].tolist()
