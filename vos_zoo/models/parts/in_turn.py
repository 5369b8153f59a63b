"""Objects one after another through the four levels of a decoder, each seeing the one before it (RVOS, ACCLVOS)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from vos_zoo.models.parts.ops import resized

Level: TypeAlias = Callable[..., tuple[Tensor, Tensor]]  # (known, weight, above, neighbour) -> hidden map, cell


def objects_in_turn(levels: Sequence[Level], known: Sequence[Tensor], weights: Sequence[Tensor], *, spatial: bool) -> list[Tensor]:
    """The hidden maps of all objects, a level each: (B, K, hidden, h, w).

    levels: from deep to shallow; known: of each (B, K, 4 * hidden, h, w), what does not wait for the object before; weights: of each;
    spatial: whether an object sees the one before it.
    """
    if torch.compiler.is_compiling():
        return _scanned(levels, known, weights, spatial)
    hidden: list[list[Tensor]] = [[] for _ in known]
    neighbours: list[tuple[Tensor, Tensor] | None] = [None] * len(known)
    for slot in range(known[0].shape[1]):
        above = None
        for n, level in enumerate(levels):
            if above is not None:
                above = resized(above, known[n].shape[-2:])
            above, cell = level(known[n][:, slot], weights[n], above, neighbours[n])
            hidden[n].append(above)
            if spatial:
                neighbours[n] = above, cell
    return [stack_objects(each) for each in hidden]


def stack_objects(maps: list[Tensor]) -> Tensor:
    """K maps (B, C, h, w) -> (B, K, C, h, w), with the channels of a place side by side, as convolutions and resizing want them."""
    return torch.stack([x.permute(0, 2, 3, 1) for x in maps], 1).permute(0, 1, 4, 2, 3)


def _scanned(levels: Sequence[Level], known: Sequence[Tensor], weights: Sequence[Tensor], spatial: bool) -> list[Tensor]:
    """The same as one loop of the graph, for any number of objects: the first object's neighbour is zero."""
    from torch._higher_order_ops.scan import scan

    def one(before: list[Tensor], mine: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        above, after, hidden = None, [], []
        for n, level in enumerate(levels):
            if above is not None:
                above = resized(above, mine[n].shape[-2:])
            above, cell = level(mine[n], weights[n], above, (before[2 * n], before[2 * n + 1]) if spatial else None)
            after += [above.clone(), cell] if spatial else [before[2 * n].clone(), before[2 * n + 1].clone()]
            hidden.append(above)
        return after, hidden

    first = [each.new_zeros(each.shape[0], each.shape[2] // 4, *each.shape[-2:]) for each in known for _ in range(2)]
    _, hidden = scan(one, first, [each.transpose(0, 1) for each in known])
    return [each.transpose(0, 1) for each in hidden]
