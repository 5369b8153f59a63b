"""Finding a lost object again: does a mask lie on what was annotated, and if not, where is that?

A model whose memory is its last mask, or a recurrent state, can't know that it has begun to follow something else. It never looks for what
it has lost. So in every FRAMES_PER_LOOK-th frame its masks are compared with a map of where each object may be by its looks
(appearance.py). They agree by soft IoU: the sum of the smaller over the sum of the larger.

- Cut: what surely is background is cut out of a mask that else lies on the object, and so is a piece of it, apart from the rest, that looks
  like no object. So a mask that leaks onto others is not handed on.
- Handed over: a piece of a mask, apart from the rest, that is more like another object is that object's. Pieces of both kinds: pieces.py.
- Recovered: a mask that agrees too little with its map is doubted. The model is then given the map as that object's mask, as if somebody
  had annotated this frame, and steps the frame again. If the new mask agrees better, it replaces the old one. The less the old one was
  doubted, the larger the gain needed. A mask gives way only to one that agrees well by itself; where there was none, a little is enough.
  Nor does it give way to a part of itself: were the rest background, it would have been cut; it may be a side that was not seen before.
  Nor to one that would take most of another object's mask, which is not found elsewhere: of two that look alike, looks may know one only.
- Taken away: a mask that was not replaced, and that lies on what does not look like any object at all, is removed. The object has no
  pixel, and is lost, until a later look finds it. Which of two objects is which, where they look alike, is better known by where they were.

None of the four papers has this. An object that has changed its looks gets a poor map; hence nothing is done to a mask that agrees halfway.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine.appearance import Appearance, AppearanceMemory, keep_slots
from vos_zoo.engine.grid import resize
from vos_zoo.engine.pieces import Piece, background_pieces, pieces_apart
from vos_zoo.engine.views import Branch, advance, leader
from vos_zoo.models.base import Features, State

# How these were chosen: docs/trials.md.
FRAMES_PER_LOOK = 4  # frames from one look to the next
STRONG_DOUBT_BELOW = 0.3  # agreement under which a mask is strongly doubted
DOUBT_BELOW = 0.5  # agreement under which a mask is doubted
GAIN_IN_STRONG_DOUBT = 0.1  # by which a new mask must agree better than one that is strongly doubted
GAIN_IN_DOUBT = 0.25  # by which a new mask must agree better than one that is doubted
MIN_RECOVERED_AGREEMENT = 0.3  # of a new mask where there was none
MIN_REPLACING_AGREEMENT = 0.6  # of a new mask that takes the place of one: a map that fits nothing well is no reason to leave it
MAX_INSIDE = 0.8  # of a new mask, in the one whose place it takes: a mask does not give way to a part of itself
MAX_TAKEN = 0.5  # of another's mask, by a new one that takes the place of one, unless that other is found elsewhere in the same look
EMPTY_BELOW = 0.5  # cells under a mask that is none
STRANGE_LIKENESS_BELOW = 0.05  # likeness under which a mask lies on something else
MIN_REMOVED_CELLS = 2  # of a mask that is taken away: what smaller things look like, their cells can't tell


class RedetectionState(NamedTuple):
    """What goes from frame to frame."""

    memory: AppearanceMemory = AppearanceMemory()
    gone: frozenset[int] = frozenset()  # slots that have no pixel until they are found


class ObjectMatch(NamedTuple):
    """One object in one look: its mask against the map of where it may be."""

    agreement: float  # of its mask with its map
    proposal_agreement: float  # of the mask that its map proposes, with the map
    likeness: float  # how much of what its mask lies on is like an object: 1 where mask and maps are the same, be cells full or not
    cells: float  # under its mask

    @property
    def agreement_needed(self) -> float:
        """What a new mask has to exceed to replace this one."""
        if self.agreement >= DOUBT_BELOW:
            return math.inf
        gain = GAIN_IN_STRONG_DOUBT if self.agreement < STRONG_DOUBT_BELOW else GAIN_IN_DOUBT
        return max(self.agreement + gain, MIN_RECOVERED_AGREEMENT if self.cells < EMPTY_BELOW else MIN_REPLACING_AGREEMENT)


class Redetector:
    """Looks after the objects of one video that these branches follow. Keeps nothing: its state is an argument and a result."""

    def __init__(self, appearance: Appearance, branches: Sequence[Branch]):
        self.appearance, self.branches = appearance, tuple(branches)
        self._grid = branches[leader(branches)].grid  # of the probabilities

    def remember(
        self, state: RedetectionState, frame: np.ndarray, features: Sequence[Features], layers: np.ndarray, annotated: Sequence[bool]
    ) -> RedetectionState:
        """As `Appearance.remember`; what is annotated is there."""
        memory = self.appearance.remember(state.memory, frame, features, layers, annotated)
        return RedetectionState(memory, state.gone - set(np.flatnonzero(annotated).tolist()))

    def check(
        self,
        state: RedetectionState,
        number: int,
        frame: np.ndarray,
        features: Sequence[Features],
        states: tuple[State, ...],
        probs: Tensor,
    ) -> tuple[Tensor, tuple[State, ...], RedetectionState]:
        """The probabilities (1, 1 + K, H, W) and states that stand: those given, or others where an object was found again or is gone.

        number: of the frame, from the one that the video was begun with; features and states: of each branch, at this frame.
        """
        if number % FRAMES_PER_LOOK == 0:
            probs, states, gone = self._look(state, frame, features, states, probs)
            state = state._replace(gone=gone)
        return _without(probs, state.gone), states, state

    def _look(
        self, state: RedetectionState, frame: np.ndarray, features: Sequence[Features], states: tuple[State, ...], probs: Tensor
    ) -> tuple[Tensor, tuple[State, ...], frozenset[int]]:
        seen = self.appearance.compare(state.memory, frame, features, probs.shape[1] - 1)
        masks = self.appearance.cells_of_masks(probs, self._grid)
        if pieces := [*background_pieces(masks, seen), *pieces_apart(masks, seen.maps)]:
            probs, states = self._moved(pieces, features, states, probs)
            masks = self.appearance.cells_of_masks(probs, self._grid)
        proposals = self.appearance.over_frame(seen.maps).float()
        matches = match(masks, seen.maps, self.appearance.cells_of(proposals))
        probs, states, recovered = self._recover(matches, masks, seen.maps, proposals, features, states, probs)
        gone = taken_away(matches, recovered, state.gone)
        if gone:
            states = self._annotated(states, features, self._over_frame(torch.zeros_like(proposals)), gone)
        return probs, states, gone

    def _moved(
        self, pieces: Sequence[Piece], features: Sequence[Features], states: tuple[State, ...], probs: Tensor
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Each piece is its taker's; what givers and takers have then counts as annotated."""
        probs = probs.clone()
        layers = self._grid.unpadded(probs)[0]  # background first
        for giver, taker, cells in pieces:
            there = resize(self._over_frame(self.appearance.over_frame(cells[None].float()).float()), (layers.shape[-2], layers.shape[-1]))
            share = torch.where(there[0, 0] > 0.5, layers[1 + giver], 0)
            layers[1 + giver] -= share
            layers[0 if taker is None else 1 + taker] += share
        slots = {slot for piece in pieces for slot in (piece.giver, piece.taker) if slot is not None}
        return probs, self._annotated(states, features, layers[None, 1:], slots)

    def _over_frame(self, layers: Tensor) -> Tensor:
        """(K, H, W) on the describer's grid -> (1, K, h, w) over the frame."""
        return self.appearance.grid.unpadded(layers)[None]

    def _recover(
        self,
        matches: Sequence[ObjectMatch],
        masks: Tensor,
        maps: Tensor,
        proposals: Tensor,
        features: Sequence[Features],
        states: tuple[State, ...],
        probs: Tensor,
    ) -> tuple[Tensor, tuple[State, ...], frozenset[int]]:
        """Probabilities, states and slots of the objects found again. All candidates have to gain together: who does not is left out."""
        candidates = [slot for slot, each in enumerate(matches) if each.proposal_agreement > each.agreement_needed]
        while candidates:
            told = self._annotated(states, features, self._over_frame(proposals), candidates)
            ((new_probs, new_states),) = advance([self.branches], [told], features)
            new = self.appearance.cells_of_masks(new_probs, self._grid)
            better = better_masks(new, masks, maps, matches, candidates)
            if better == candidates:
                return new_probs, new_states, frozenset(candidates)
            candidates = better
        return probs, states, frozenset()

    def _annotated(self, states: Sequence[State], features: Sequence[Features], masks: Tensor, slots: Collection[int]) -> tuple[State, ...]:
        """The states after these slots were given their masks of this frame, of (1, K, h, w) in [0, 1] over it."""
        given = torch.tensor([[slot in slots for slot in range(masks.shape[1])]], dtype=torch.bool, device=masks.device)
        rows = zip(self.branches, states, features, strict=True)
        return tuple(branch.annotate_softly(state, seen, masks, given) for branch, state, seen in rows)


def keep(state: RedetectionState, slots: Sequence[int]) -> RedetectionState:
    """Only these slots go on, in this order."""
    gone = frozenset(n for n, slot in enumerate(slots) if slot in state.gone)
    return RedetectionState(keep_slots(state.memory, slots), gone)


def match(masks: Tensor, maps: Tensor, proposals: Tensor) -> list[ObjectMatch]:
    """Each object's mask, map and the mask that its map proposes, (K, h, w) cells in [0, 1]. A GPU is waited for once."""
    likeness = (masks * maps.sum(0)).sum((1, 2)) / (masks * masks).sum((1, 2)).clamp(min=1e-6)
    columns = torch.stack([agreement(masks, maps), agreement(proposals, maps), likeness, masks.sum((1, 2))])
    return [ObjectMatch(*row) for row in columns.T.tolist()]


def better_masks(new: Tensor, masks: Tensor, maps: Tensor, matches: Sequence[ObjectMatch], candidates: Sequence[int]) -> list[int]:
    """Which of the candidates' new masks may take the places of their old ones; all (K, h, w) in [0, 1]."""
    agreements, inside = agreement(new, maps).tolist(), share_inside(new, masks).tolist()
    taken = share_inside(masks[None], new[:, None]).tolist()  # by each new one, of each old one
    others = [slot for slot in range(len(masks)) if slot not in candidates]

    def is_better(slot: int) -> bool:
        spared = matches[slot].cells < EMPTY_BELOW or all(taken[slot][other] <= MAX_TAKEN for other in others)
        return agreements[slot] > matches[slot].agreement_needed and inside[slot] < MAX_INSIDE and spared

    return [slot for slot in candidates if is_better(slot)]


def taken_away(matches: Sequence[ObjectMatch], recovered: Collection[int], gone: Collection[int]) -> frozenset[int]:
    """Slots whose masks lie on no object; of what is `gone` already also small ones."""
    return frozenset(
        slot
        for slot, each in enumerate(matches)
        if slot not in recovered and each.likeness < STRANGE_LIKENESS_BELOW and (each.cells >= MIN_REMOVED_CELLS or slot in gone)
    )


def agreement(masks: Tensor, maps: Tensor) -> Tensor:
    """Soft IoU of (K, h, w) in [0, 1] with each other, (K,); 0 where both are empty."""
    return torch.minimum(masks, maps).sum((1, 2)) / torch.maximum(masks, maps).sum((1, 2)).clamp(min=1e-6)


def share_inside(masks: Tensor, others: Tensor) -> Tensor:
    """How much of masks (..., h, w) in [0, 1] lies inside others, (...); 0 of an empty one."""
    return torch.minimum(masks, others).sum((-2, -1)) / masks.sum((-2, -1)).clamp(min=1e-6)


def _without(probs: Tensor, slots: Collection[int]) -> Tensor:
    """(1, 1 + K, H, W) with the share of these slots given to the background."""
    if not slots:
        return probs
    layers = list(probs[0])
    for slot in slots:
        layers[0] = layers[0] + layers[1 + slot]
        layers[1 + slot] = torch.zeros_like(layers[0])
    return torch.stack(layers)[None]
