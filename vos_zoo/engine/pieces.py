"""Pieces of masks that are not the object's: background's, or another object's.

What surely is background by its looks was leaked onto, and is known cell by cell. What came into view later is like no background that is
known. It is no object's where a whole piece of the mask, apart from the rest, looks like none.

Where objects that look alike cross, the mask of the one in front goes over onto the one behind. Once they part again it lies in two pieces,
and the object behind has next to none. What each piece looks like tells whose it is, even where it can't be told cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.engine.appearance import Likeness

MIN_CUT_CELLS = 2  # of three by three, more than half under the mask, that are cut out of it: thin parts look like what is around them
MIN_LEFT_CELLS = 1.0  # of its looks, of a mask that is cut: one that has none is not cut but doubted
MIN_PIECE_CELLS = 2  # filled ones, of a piece that goes to another object or to background: docs/trials.md
STRAY_BELOW = 0.15  # of what a piece resembles, the share of all objects, under which it is background: docs/trials.md
STRAY_BESIDE = 0.6  # the object's own share in what its own piece resembles, over which it is known well enough to say so


class Piece(NamedTuple):
    """A part of one object's mask that goes to another, or to the background."""

    giver: int  # slot of the object whose mask it is a part of
    taker: int | None  # slot of the object that gets it; None: background
    cells: Tensor  # (h, w) bool, with its rim


def background_pieces(masks: Tensor, seen: Likeness) -> list[Piece]:
    """Cells of masks (K, h, w) in [0, 1] that surely are background, where several lie side by side, and their rim."""
    surely = seen.background & (masks > 0)
    filled = (surely & (masks > 0.5)).float()
    several = filled * (F.avg_pool2d(filled, 3, 1, 1, divisor_override=1) >= MIN_CUT_CELLS)
    left = ((masks * seen.maps).sum((1, 2)) >= MIN_LEFT_CELLS)[:, None, None]
    cells = surely & left & (F.max_pool2d(several, 3, 1, 1) > 0)
    return [Piece(slot, None, cells[slot]) for slot in cells.flatten(1).any(1).nonzero().flatten().tolist()]


def pieces_apart(masks: Tensor, maps: Tensor) -> Iterator[Piece]:
    """Pieces of masks, apart from the rest, that are not the object's.

    A piece that is more like one other object than like all the rest, its own included, is that object's. One that looks like no object at
    all is background, though it may look like no background that is known. But where the object itself no longer looks as it did, such a
    piece may be a side of it that was not seen before, and stays.

    masks and maps: (K, h, w) in [0, 1], cells under each mask and how much each cell resembles each object. Filled cells that touch, by a
    side or a corner, are one piece. The piece that an object resembles most is its own, whatever else it resembles.
    """
    if not len(masks):
        return
    device = masks.device
    masks, maps = masks.cpu(), maps.cpu()  # a GPU is not asked piece by piece
    for giver, of_one in enumerate(connected(masks > 0.5)):
        pieces = [of_one == label for label in of_one.unique().tolist() if label]
        if len(pieces) < 2:
            continue
        own = max(range(len(pieces)), key=lambda number: float(maps[giver, pieces[number]].sum()))
        known = float(maps[giver, pieces[own]].mean()) > STRAY_BESIDE
        for piece in pieces[:own] + pieces[own + 1 :]:
            alike = maps[:, piece].sum(1)
            most, likest = alike.max(0)
            cells = int(piece.sum())
            if cells < MIN_PIECE_CELLS:
                continue
            if int(likest) != giver and most > alike.sum() / 2:
                taker = int(likest)
            elif known and alike.sum() < STRAY_BELOW * cells:
                taker = None
            else:
                continue
            around = F.max_pool2d(piece[None].float(), 3, 1, 1)[0] > 0
            yield Piece(giver, taker, (around & (masks[giver] > 0) & (piece | (of_one == 0))).to(device))


def connected(filled: Tensor) -> Tensor:
    """(K, h, w) bool -> (K, h, w) int64: the same number, from 1 on, in all cells of a piece; 0 outside. Corners connect."""
    numbers = torch.arange(1, filled[0].numel() + 1, device=filled.device).view(filled.shape[1:])
    labels = numbers.float() * filled
    while True:
        spread = F.max_pool2d(labels, 3, 1, 1) * filled
        if torch.equal(spread, labels):
            return labels.long()
        labels = spread
