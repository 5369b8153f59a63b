"""Where objects are in a frame, by what their places looked like in frames before: matching with the previous frame and with lasting ones.

FEELVOS (Voigtlaender et al., CVPR 2019, arXiv 1902.09513) matches globally with the first frame and locally with the previous one. Here
each cell of a frame, a position at stride 16, asks the cells of remembered frames by the cosine of their keys, and takes the
softmax-weighted mean of the objects' shares there. In the previous frame the near ones count for more. Letters: B clips, K objects,
N cells, C channels of a key, M lasting frames.

CRVOS's masks are on this grid already. Those of RVOS and ACCLVOS are as large as the frames, and their state has hidden maps besides: for
them are `MatchedState` and the functions below it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.parts.memory import read_memory, unit
from vos_zoo.models.parts.ops import mask_pyramid

TEMPERATURE = 0.02  # of the cosines: the lower, the fewer cells are listened to
REACH = 4.0  # cells: the standard deviation of how far things go from one frame to the next
EVERY = 5  # frames from one that is remembered to the next
CELL = 16  # pixels: the side of a cell
FINE = "found"  # what levels finer than a cell are told by `told`: "found", what matching finds, or "masks", the previous ones


def check_matching(matched: int, lasting: int = 1) -> None:
    """ValueError unless keys can have so many channels, and so many frames last."""
    if not 0 <= matched <= 4096 or not 1 <= lasting <= 64:
        raise ValueError(f"matched is 0 to 4096 channels and lasting 1 to 64 frames, not {matched} and {lasting}")


class Keys(nn.Module):
    """A trunk's deepest features -> what its cells are compared by: seen from the frame's mean, fewer channels, length one."""

    def __init__(self, feature: int, channels: int):
        super().__init__()
        self.project = nn.Conv2d(feature, channels, 1, bias=False)
        nn.init.orthogonal_(self.project.weight)

    def forward(self, deep: Tensor) -> Tensor:
        """(B, feature, h, w) -> (B, C, h, w)."""
        deep = deep.float() if deep.dtype != torch.float64 else deep
        return unit(F.conv2d(deep - deep.mean((2, 3), keepdim=True), self.project.weight.to(deep.dtype)))


class MatchingState(NamedTuple):
    """The previous frame, and frames that are remembered for longer: an object's first, and the latest of each n-th since."""

    masks: Tensor  # (B, K, h, w) in [0, 1]: the previous frame's coarse masks, after aggregation
    active: Tensor  # (B, K) bool: slots in use
    previous: Tensor  # (B, K, 1, N, C): the previous frame's keys
    keys: Tensor  # (B, K, M, N, C): those of the lasting frames
    owners: Tensor  # (B, K, M, N, 1): the object's share of each of their cells
    valid: Tensor  # (B, K, M) bool: lasting frames that are there
    age: Tensor  # (B, K) int64: frames since the object's first


def begin(key: Tensor, masks: Tensor, active: Tensor, lasting: int) -> MatchingState:
    """The state after the first annotated frame. key (B, C, h, w); masks (B, K, h, w); lasting: M."""
    (b, k), cells = masks.shape[:2], masks.shape[2] * masks.shape[3]
    keys, owners = key.new_zeros(b, k, lasting, cells, key.shape[1]), key.new_zeros(b, k, lasting, cells, 1)
    age = torch.zeros(b, k, dtype=torch.int64, device=masks.device)
    state = MatchingState(masks, active, _cells(key, k), keys, owners, active.new_zeros(b, k, lasting), age)
    return remembered(key, state, every=1)


def found(key: Tensor, state: MatchingState) -> Tensor:
    """(B, K, h, w): the objects' shares of a frame's cells, the mean of what matching with either kind of frame finds."""
    b, k, h, w = state.masks.shape
    by_lasting = read_memory(key * (key.shape[1] ** 0.5 / TEMPERATURE), state.keys, state.owners, state.valid)
    return (found_near(key, state.previous, state.masks) + by_lasting.view(b, k, h, w)) / 2


def found_near(key: Tensor, previous: Tensor, masks: Tensor) -> Tensor:
    """(B, K, h, w): what matching with the previous frame finds, where near cells count for more.

    key (B, C, h, w) of this frame; previous (B, K, 1, N, C): keys of the one before; masks (B, K, h, w): the objects' shares of its cells.
    """
    b, k, h, w = masks.shape
    shares = masks.to(key.dtype).reshape(b, k, 1, h * w, 1)
    place = _places(h, w, key)
    # affinities are cosine / TEMPERATURE - distance ** 2 / (2 * REACH ** 2), but for what all cells that a cell asks have in common
    asked = torch.cat([key / TEMPERATURE, place[:, :2] / REACH**2, torch.full_like(place[:, :1], -0.5 / REACH**2)], 1)
    near = torch.cat([previous, _cells(place, k)], -1)
    one = torch.ones_like(masks[:, :, :1, 0], dtype=torch.bool)
    return read_memory(asked * asked.shape[1] ** 0.5, near, shares, one).view(b, k, h, w)


def remembered(key: Tensor, state: MatchingState, every: int) -> MatchingState:
    """The state with this frame as the previous one; `masks` and `age` are this frame's already. Each `every`-th frame lasts."""
    previous, lasting = _cells(key, state.masks.shape[1]), state.valid.shape[2]
    count = state.age // every
    slot = torch.where(state.age == 0, 0, 1 + (count - 1) % max(lasting - 1, 1))
    lasts = (state.age == 0) | ((state.age % every == 0) & (lasting > 1))
    here = lasts[:, :, None] & (torch.arange(lasting, device=slot.device) == slot[:, :, None])
    shares = state.masks.to(key.dtype).flatten(2)[:, :, None, :, None]
    return state._replace(
        previous=previous,
        keys=torch.where(here[..., None, None], previous, state.keys),
        owners=torch.where(here[..., None, None], shares, state.owners),
        valid=state.valid | here,
    )


def corrected(key: Tensor, state: MatchingState, masks: Tensor, active: Tensor, every: int) -> MatchingState:
    """The state after masks were given for the frame it stands at; K may have grown, and new objects remember this frame as their first.

    A correction of an object that was there counts as the previous frame's mask, and lasts only where this frame would have lasted anyway:
    it may be a redetection's guess.
    """
    new = masks.shape[1] - state.masks.shape[1]
    grown = MatchingState(
        masks,
        active,
        state.previous,
        keys=F.pad(state.keys, (0, 0, 0, 0, 0, 0, 0, new)),
        owners=F.pad(state.owners, (0, 0, 0, 0, 0, 0, 0, new)),
        valid=F.pad(state.valid, (0, 0, 0, new)),
        age=F.pad(state.age, (0, new)),
    )
    return remembered(key, grown, every)


class MatchedState(NamedTuple):
    """A state of full-size masks and four hidden maps, and after these what is matched with, as in a MatchingState."""

    masks: Tensor  # (B, K, H, W) in [0, 1]: the previous frame's masks, each object's sigmoid by itself
    active: Tensor  # (B, K) bool: slots in use
    hidden0: Tensor  # (B, K, c, h, w): the levels' hidden maps in the previous frame, deepest first, each of its own c, h, w
    hidden1: Tensor
    hidden2: Tensor
    hidden3: Tensor
    previous: Tensor  # (B, K, 1, N, C)
    keys: Tensor  # (B, K, M, N, C)
    owners: Tensor  # (B, K, M, N, 1)
    valid: Tensor  # (B, K, M) bool
    age: Tensor  # (B, K) int64

    @property
    def matching(self) -> MatchingState:
        """What is matched with, and the masks on the grid of the cells."""
        return MatchingState(in_cells(self.masks), self.active, self.previous, self.keys, self.owners, self.valid, self.age)


class Matching:
    """What a model with a MatchedState is where it has keys: it matches, and describes frames by its trunk's features in `trunk`."""

    keys: Keys | None
    config: Any

    @property
    def matches(self) -> bool:
        """Whether the levels are told what matching finds, not the previous mask."""
        return self.keys is not None and self.config.matching

    @property
    def describes(self) -> bool:
        return self.keys is not None

    @property
    def cell(self) -> int:
        return CELL

    def describe(self, features: Any) -> Tensor:
        found: Tensor = features.trunk
        return found


def in_cells(masks: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, K, H/16, W/16), sizes rounded up: each object's share of each cell, of those at the border the part inside."""
    return F.avg_pool2d(masks, CELL, ceil_mode=True)


def begin_matched(key: Tensor, plain: tuple[Tensor, ...], lasting: int) -> MatchedState:
    """The state after the first annotated frame; plain: its first six fields."""
    return MatchedState._make((*plain, *begin(key, in_cells(plain[0]), plain[1], lasting)[2:]))


def remembered_matched(key: Tensor, plain: tuple[Tensor, ...], before: MatchedState) -> MatchedState:
    """The state one frame after `before`; plain: its first six fields."""
    here = before.matching._replace(masks=in_cells(plain[0]), age=before.age + 1)
    return MatchedState._make((*plain, *remembered(key, here, EVERY)[2:]))


def corrected_matched(key: Tensor, plain: tuple[Tensor, ...], before: MatchedState) -> MatchedState:
    """`before` after masks were given for the frame it stands at, K may have grown; plain: its first six fields now."""
    return MatchedState._make((*plain, *corrected(key, before.matching, in_cells(plain[0]), plain[1], EVERY)[2:]))


def told(key: Tensor, state: MatchedState, strides: tuple[int, ...]) -> list[Tensor]:
    """What levels at these strides are told in place of the previous masks, a (B, K, h, w) each; see FINE."""
    shares, said = found(key, state.matching), []
    for stride, masks in zip(strides, mask_pyramid(state.masks, strides), strict=True):
        if stride >= CELL:
            said.append(F.avg_pool2d(shares, stride // CELL, ceil_mode=True) if stride > CELL else shares)
        elif FINE == "found":
            finer = F.interpolate(shares, scale_factor=CELL // stride, mode="bilinear", align_corners=False)
            said.append(finer[..., : masks.shape[-2], : masks.shape[-1]])
        else:
            said.append(masks)
    return said


def _places(h: int, w: int, like: Tensor) -> Tensor:
    """(B, 3, h, w): each cell's row, its column, and the sum of their squares."""
    row, column = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([row, column, row**2 + column**2]).to(like).expand(like.shape[0], -1, -1, -1)


def _cells(key: Tensor, k: int) -> Tensor:
    """(B, C, h, w) -> (B, K, 1, N, C), the same for all objects."""
    return key.flatten(2).transpose(1, 2)[:, None, None].expand(-1, k, -1, -1, -1)
