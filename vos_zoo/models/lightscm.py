"""LightSCM: a space-time memory (SCM, STM) on trunks that are kept as they are, and with little beside them that learns.

    trunks            a ResNet as ImageNet left it and DINOv2, neither of which learns: what they show of a frame can be kept on disk
    keys              principal directions of both, each of length one, side by side: what looks alike has a high cosine
    memory            an object's first frame, the previous frame, and each n-th since; a place keeps the masks of its 4 x 4 sub-cells, what
                      belongs to other objects, and a value of a few channels: no trunk runs once more for each object, as STM's does
    three reads       of the first frame; of the previous one, where near places count for more (SCM's spatial constraint); of all
    decoder           mixes them with the frame's features at stride 16, then 8 and 4

One object's frame costs little beside the trunks. Letters: B clips, K objects, M memory slots, N cells of 16 x 16 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts.backbones import Trunk, check_trunk
from vos_zoo.models.parts.blocks import Residual
from vos_zoo.models.parts.dinov2 import DinoV2
from vos_zoo.models.parts.memory import FIRST, PREVIOUS, MemoryState, annotated, of_cells, of_objects, unit, written
from vos_zoo.models.parts.ops import add_per_object, aggregate, by_position, check_threshold, fed_back, inside

SUB = 4  # sub-cells along a cell's side: the masks in memory lie at stride 4
MASKS = SUB * SUB + 1  # channels of a place in memory: its sub-cells, and what belongs to others
BLOCK = 1 << 23  # affinities at once


@dataclass(frozen=True)
class LightSCMConfig:
    backbone: str = "resnet50"  # any timm model with features at strides 4, 8, 16
    batch_norm: str = "frozen"  # or "folded" into the convolutions
    stride_on: str = "3x3"  # the convolution of a bottleneck that has its stride; "1x1": the one before, as in Caffe (backbones.py)
    blocks: int = 9  # of DINOv2
    tokens: int = 384  # channels of DINOv2
    key: int = 128  # channels of each trunk's half of a key
    skips: tuple[int, int] = (64, 96)  # channels that are kept of the trunk at strides 4 and 8
    widths: tuple[int, int, int] = (48, 64, 96)  # of the decoder at strides 4, 8, 16
    value: int = 32  # channels of a value
    temperature: float = 0.04  # of the cosines: the lower, the fewer places a query listens to
    reach: float = 3.0  # cells: the standard deviation of how far things go from one frame to the next
    memory_every: int = 5  # each so many frames one is kept
    max_memory: int = 4  # frames kept, the first among them; with the previous frame there is one slot more
    feedback_threshold: float | None = None  # masks handed on are 1 above this, 0 elsewhere (ops.fed_back); None: soft, as they are
    background: str = "min"  # aggregation of objects: "prod" as STM, "min" as CRVOS

    def __post_init__(self) -> None:
        check_threshold(self.feedback_threshold)
        check_trunk(self.backbone, self.batch_norm, self.stride_on)
        for name in ("skips", "widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.skips) != 2 or len(self.widths) != 3:
            raise ValueError(f"skips are two channel counts and widths three, not {self.skips} and {self.widths}")
        for count in (*self.skips, *self.widths, self.key, self.value, self.tokens):
            if not 1 <= count <= 4096:
                raise ValueError(f"a channel count lies between 1 and 4096, not {count}")
        if not 1 <= self.blocks <= 12:
            raise ValueError(f"blocks of DINOv2 are 1 to 12, not {self.blocks}")
        if not 0.001 <= self.temperature <= 10 or not 0.1 <= self.reach <= 1000:
            raise ValueError(f"temperature is 0.001 to 10 and reach 0.1 to 1000, not {self.temperature} and {self.reach}")
        if self.memory_every < 1 or self.max_memory < 1:
            raise ValueError(f"memory_every and max_memory are 1 or more, not {self.memory_every} and {self.max_memory}")
        if self.background not in ("min", "prod"):
            raise ValueError(f"background is 'min' or 'prod', not {self.background!r}")


class Maps(NamedTuple):
    """What the trunks show of frames. Nothing that learns comes before it."""

    s4: Tensor  # (B, skips[0], H/4, W/4)
    s8: Tensor  # (B, skips[1], H/8, W/8)
    s16: Tensor  # (B, 2 * key, H/16, W/16)
    inside: Tensor  # (B, 1, H, W) bool: False on padding


class Features(NamedTuple):
    """What all objects see of a frame."""

    key: Tensor  # (B, 2 * key, H/16, W/16), of length one
    value: Tensor  # (B, widths[1], H/16, W/16): the frame's half of what is memorised
    s16: Tensor  # (B, widths[2], H/16, W/16): the decoder's skip branches
    s8: Tensor  # (B, widths[1], H/8, W/8)
    s4: Tensor  # (B, widths[0], H/4, W/4)
    inside: Tensor


class LightSCM(VOSModel[Features, MemoryState]):
    Config = LightSCMConfig
    shown: ClassVar[type[Maps]] = Maps
    debug = {
        "backbone": "resnet10t", "blocks": 1, "tokens": 16, "key": 8, "skips": (8, 8), "widths": (8, 8, 8), "value": 4, "memory_every": 2,
        "max_memory": 3,
    }  # fmt: skip
    stride = 16
    padding = "zeros"
    needs_first_frame = True

    def __init__(self, config: LightSCMConfig | None = None):
        super().__init__()
        self.config = config or LightSCMConfig()
        c = self.config
        self.trunk = Trunk(c.backbone, (1, 2, 3), batch_norm=c.batch_norm, stride_on=c.stride_on)
        self.dino = DinoV2(c.blocks, c.tokens)
        at4, at8, at16 = self.trunk.channels
        self.show4, self.show8 = nn.Conv2d(at4, c.skips[0], 1), nn.Conv2d(at8, c.skips[1], 1)
        self.show16, self.show_tokens = nn.Conv2d(at16, c.key, 1), nn.Conv2d(c.tokens, c.key, 1)
        low, middle, high = c.widths
        self.value_of_frame = nn.Conv2d(2 * c.key, middle, 3, padding=1)
        self.value_of_masks = nn.Conv2d(MASKS, middle, 3, padding=1, bias=False)
        self.value = nn.Conv2d(middle, c.value, 3, padding=1)
        self.skip16 = nn.Conv2d(2 * c.key, high, 3, padding=1)
        self.skip8, self.skip4 = nn.Conv2d(c.skips[1], middle, 3, padding=1), nn.Conv2d(c.skips[0], low, 3, padding=1)
        self.mix = nn.Conv2d(3 * MASKS + c.value + 3, high, 3, padding=1)
        self.block16 = nn.Sequential(Residual(high), Residual(high))
        self.down8, self.fine8, self.block8 = nn.Conv2d(high, middle, 1), nn.Conv2d(3, middle, 3, padding=1), Residual(middle)
        self.down4, self.fine4, self.block4 = nn.Conv2d(middle, low, 1), nn.Conv2d(3, low, 3, padding=1), Residual(low)
        self.predictor = nn.Conv2d(low, 1, 3, padding=1)
        nn.init.zeros_(self.predictor.weight)
        nn.init.zeros_(self.predictor.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.tensor([1.5, 3.0, 1.5]))  # of the three reads: log odds of a place that it says is the object's

    def encode(self, frames: Tensor) -> Features:
        return self.prepared(self.maps(frames))

    def maps(self, frames: Tensor) -> Maps:
        """What does not learn: (B, 3, H, W) in [0, 1] -> Maps."""
        s4, s8, s16, tokens = (show(each) for show, each in zip(self.shows, self.seen(frames), strict=True))
        return Maps(s4, s8, torch.cat([s16, tokens], 1), inside(frames, self.stride))

    def seen(self, frames: Tensor) -> tuple[Tensor, ...]:
        """All channels of the trunks: at strides 4, 8 and 16, and DINOv2's tokens."""
        frame = self.trunk.normalised(frames)
        dtype = self.predictor.weight.dtype
        features = self.trunk(frame.to(dtype))
        return (*features, self.dino(frame, (features[-1].shape[2], features[-1].shape[3])).to(dtype))

    @property
    def shows(self) -> tuple[nn.Conv2d, ...]:
        """What reduces each of them, in that order: principal directions, not learned (train/keys.py)."""
        return self.show4, self.show8, self.show16, self.show_tokens

    def prepared(self, maps: Maps) -> Features:
        """What learns, for all objects of a frame at once."""
        key = torch.cat([unit(half) for half in maps.s16.chunk(2, 1)], 1) * 0.5**0.5
        return Features(key, self.value_of_frame(maps.s16), self.skip16(maps.s16), self.skip8(maps.s8), self.skip4(maps.s4), maps.inside)

    def start(self, features: Features, masks: Tensor, active: Tensor | None = None) -> MemoryState:
        b, k = masks.shape[:2]
        if active is None:
            active = torch.ones(b, k, dtype=torch.bool, device=masks.device)
        slots, cells = self.config.max_memory + 1, features.key.shape[2] * features.key.shape[3]
        keys = features.key.new_zeros(b, k, slots, cells, features.key.shape[1])
        values = features.value.new_zeros(b, k, slots, cells, MASKS + self.config.value)
        age = torch.zeros(b, k, dtype=torch.int64, device=masks.device)
        masks = masks.float() * active[:, :, None, None]
        return self.memorise(features, MemoryState(masks, active, keys, values, active.new_zeros(b, k, slots), age))

    def predict(self, features: Features, state: MemoryState) -> Prediction:
        b, k = state.active.shape
        first, near, every, evidence = self.read(features.key, state)
        before = F.avg_pool2d(state.masks.flatten(0, 1)[:, None], self.stride).to(first.dtype)
        fine = torch.cat([F.pixel_shuffle(each[:, : SUB * SUB], SUB) for each in (first, near, every)], 1)
        x = add_per_object(self.mix(torch.cat([first[:, :MASKS], near[:, :MASKS], every, evidence, before], 1)), features.s16)
        x = self.down8(self.block16(x))
        x = add_per_object(_doubled(x) + self.fine8(F.avg_pool2d(fine, 2)), features.s8)
        x = self.down4(self.block8(x))
        x = add_per_object(_doubled(x) + self.fine4(fine), features.s4)
        scores = self.predictor(F.relu(self.block4(x))) + ((2 * fine - 1) * self.trust[:, None, None].to(fine.dtype)).sum(1, keepdim=True)
        return Prediction(F.interpolate(scores.float(), scale_factor=4, mode="bilinear", align_corners=False).unflatten(0, (b, k))[:, :, 0])

    def read(self, query: Tensor, state: MemoryState) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B*K, C, h, w): what the first frame, the previous one and all say of each cell, and how like its object's cells it is.

        The first two are MASKS channels of masks, and the third has the values too. The last are two channels: the likeness to the first
        frame's object, and by how much it exceeds that to the rest of that frame.
        """
        (b, k, slots, cells), (h, w) = state.keys.shape[:4], query.shape[2:]
        keys, values = state.keys.flatten(2, 3).transpose(-1, -2), state.values.flatten(2, 3)
        none = ~of_cells(state.valid, cells)[:, :, None]
        share = state.values[:, :, FIRST, :, : SUB * SUB].float().mean(-1)[:, :, None]
        place = _places(h, w, query)
        far = (place[:, None] - place).square().sum(-1) / (2 * self.config.reach**2)
        asked = query.flatten(2).transpose(1, 2)[:, None] / self.config.temperature
        parts = []
        whole = torch.compiler.is_compiling()  # a graph for any size can't count its chunks
        chunks = [(each,) if whole else each.split(max(16, BLOCK // (b * k * slots * cells)), -2) for each in (asked, far)]
        for part, away in zip(*chunks, strict=True):
            alike = (part @ keys).float() if part.dtype != torch.float64 else part @ keys
            of_first, of_previous = alike[..., :cells], alike[..., cells : 2 * cells]
            own, rest = (of_first + each.clamp(min=1e-4).log() for each in (share, 1 - share))
            own, rest = own.amax(-1, keepdim=True), rest.amax(-1, keepdim=True)
            weights = [of_first.softmax(-1), (of_previous - away).softmax(-1), alike.masked_fill(none, -torch.inf).softmax(-1)]
            known = [values[:, :, :cells, :MASKS], values[:, :, cells : 2 * cells, :MASKS], values]
            found = [weight.to(value.dtype) @ value for weight, value in zip(weights, known, strict=True)]
            likeness = torch.cat([own * self.config.temperature, ((own - rest) / 8).clamp(-3, 3)], -1)
            parts.append((*found, likeness.to(values.dtype)))
        return tuple(torch.cat(each, 2).flatten(0, 1).transpose(1, 2).unflatten(2, (h, w)) for each in zip(*parts, strict=True))

    def advance(self, features: Features, prediction: Prediction, state: MemoryState) -> tuple[Tensor, MemoryState]:
        probs = aggregate(prediction.logits, state.active, self.config.background)
        masks = fed_back(probs[:, 1:] * features.inside, self.config.feedback_threshold)
        return probs, self.memorise(features, state._replace(masks=masks, age=state.age + 1))

    def memorise(self, features: Features, state: MemoryState) -> MemoryState:
        """Write this frame, with the state's masks, to the slots that belong to the objects' ages."""
        c, age = self.config, state.age
        k = state.masks.shape[1]
        key, value = by_position(of_objects(features.key, k), age.shape[0]), self.remembered(features, state.masks)
        place = torch.arange(c.max_memory + 1, device=age.device)
        ring = PREVIOUS + 1 + (age // c.memory_every - 1) % max(c.max_memory - 1, 1)
        kept = (age > 0) & (age % c.memory_every == 0) & (c.max_memory > 1)
        lasting = torch.where(age == 0, FIRST, torch.where(kept, ring, PREVIOUS))
        here = (place == lasting[:, :, None]) | (place == PREVIOUS)
        keys, values = written(state.keys, here, key), written(state.values, here, value)
        return state._replace(keys=keys, values=values, valid=state.valid | here)

    def remembered(self, features: Features, masks: Tensor) -> Tensor:
        """A frame with its masks (B, K, H, W) -> (B, K, N, MASKS + value)."""
        shares = self.shares(masks).to(features.value.dtype)
        value = self.value(F.relu(add_per_object(self.value_of_masks(shares), features.value)))
        return by_position(torch.cat([shares, value], 1), masks.shape[0])

    def shares(self, masks: Tensor) -> Tensor:
        """Masks (B, K, H, W) -> (B*K, MASKS, H/16, W/16): the object's share of each sub-cell, and the others' of the cell."""
        others = (masks.sum(1, keepdim=True) - masks).clamp(0, 1)
        own = F.pixel_unshuffle(F.avg_pool2d(masks.flatten(0, 1)[:, None], SUB), SUB)
        return torch.cat([own, F.avg_pool2d(others.flatten(0, 1)[:, None], self.stride)], 1)

    def replace_masks(self, state: MemoryState, masks: Tensor) -> MemoryState:
        """The previous frame in memory has the other masks too; the value beside them stays."""
        masks = masks.float()
        shares = by_position(self.shares(masks), masks.shape[0]).to(state.values.dtype)
        previous = torch.cat([shares, state.values[:, :, PREVIOUS, :, MASKS:]], -1)
        values = torch.cat([state.values[:, :, :PREVIOUS], previous[:, :, None], state.values[:, :, PREVIOUS + 1 :]], 2)
        return state._replace(masks=masks, values=values)

    def annotate(self, features: Features, masks: Tensor, given: Tensor, state: MemoryState) -> MemoryState:
        return self.memorise(features, annotated(state, masks, given))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _places(h: int, w: int, like: Tensor) -> Tensor:
    """(N, 2) float32: each cell's row and column."""
    row, column = torch.meshgrid(torch.arange(h, device=like.device), torch.arange(w, device=like.device), indexing="ij")
    return torch.stack([row.flatten(), column.flatten()], 1).float()
