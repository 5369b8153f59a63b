"""SCM: Spatial Consistent Memory Network for Semi-supervised Video Object Segmentation (Zhang et al., DAVIS Challenge 2020).

SCM is the Space-Time Memory network (STM: Oh et al., ICCV 2019, arXiv 1904.00607) with three modules more, each an argument:

    query encoder (STM 3.1)        key and value of the frame, features at strides 8 and 4; no object, no memory
    memory encoder (STM 3.1)       an own trunk that sees frame, object mask and the other objects: key and value of a past frame
    memory read (STM 3.2)          per object: every query position asks all positions of all memorised frames
    ASPP (SCM 2.2)                 read and query value, mixed by three dilated convolutions side by side   (aspp; off: one convolution)
    spatial constraint (SCM 2.1)   the previous mask becomes a prior that the embedding is multiplied by    (spatial_constraint)
    decoder (STM 3.3)              residual blocks up to two channels at stride 4, bilinear to full size
    refine module (SCM 2.2)        a small encoder-decoder that corrects those two channels                  (refine)

Table 2's rows are these arguments. With all three off and a ResNet-50 it is the official STM, number for number.

Memory. Frame t reads the frame before it, with its soft masks, and those kept for good: each n-th since the object's first (n =
`memory_every`). max_memory=None keeps them all, as STM does. max_memory=m keeps at most m: the first always, and the latest m - 1 of
the others, so that with the previous frame there are m + 1 slots, whatever the length of the video. Every object counts from its own
first frame. A frame whose mask was corrected is kept, for the objects corrected, as an n-th frame is.

Keys. In STM the memory encoder makes its own, and the affinity is a dot product. Two arguments depart from that, for trainings too small
to teach it: `shared_keys` keeps a frame's query key as its memory's (STCN: Cheng et al., NeurIPS 2021, arXiv 2106.05210), and
`similarity="cosine"` compares directions only, so that strong features do not outshout the rest, and lets keys begin as a rotation of
the trunk's features. Defaults are STM's.

matched=C, not in the paper, is for a query trunk that does not learn: keys are C principal directions of its features (matching.Keys), and
values have the object's share of their cell beside them. What the memory says of shares, and what matching with the previous frame does
(near cells count for more), is told to the mix, with the previous mask, and is the prior in its place. The frame before is always in
memory then. `memory_backbone` may be a smaller trunk than the query's.

Where the paper is silent: the order is read, ASPP, prior, decoder; ASPP replaces the decoder's first convolution and has no batch norm;
the prior's bias starts at 2, so that it begins near one; the refine module works at stride 4 on the decoder's feature, its last
convolution starts at zero. Deviations in how, not in what, is computed:
- STM's conv1(frame) + conv1_m(mask) + conv1_o(others) is one convolution over the five channels.
- convolution([read, query value]) = convolution(read) + convolution(query value): the latter, and the decoder's skip branches, see no
  object and belong to `encode`.
- STM crops its probabilities and pads them with zeros again before it memorises them. `encode` finds that padding: black rows and
  columns at the border, as many as padding to 16 can give.
- Probabilities of the objects by themselves are kept off 0 and 1 before their product is taken, not after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts import matching
from vos_zoo.models.parts.backbones import Trunk, check_trunk
from vos_zoo.models.parts.blocks import Residual
from vos_zoo.models.parts.memory import (
    FIRST,
    PREVIOUS,
    MemoryState,
    annotated,
    of_objects,
    read_memory,
    start_alike,
    unit,
    written,
)
from vos_zoo.models.parts.ops import add_per_object, aggregate, by_position, check_threshold, fed_back, inside

TOLD = 3  # maps that a matched model's mix is told: shares as the memory and as the previous frame have them, and the previous mask


@dataclass(frozen=True)
class SCMConfig:
    backbone: str = "resnet50"  # any timm model with features at strides 4, 8, 16
    batch_norm: str = "frozen"  # or "folded" into the convolutions
    memory_backbone: str | None = None  # the memory encoder's; None: `backbone`
    key: int = 128  # channels of a key
    similarity: str = "dot"  # of a query's key and a memory's: "dot" over sqrt(channels), STM eq. 1, or "cosine" over `temperature`
    shared_keys: bool = False  # a memorised frame's key is that with which it asked (STCN, arXiv 2106.05210); False: the memory encoder's
    temperature: float = 0.03  # of the cosine: the lower, the fewer positions a query listens to
    matched: int = 0  # channels of keys that do not learn, in place of `key`, and more told of where objects are; 0: as the paper has it
    value: int = 512  # channels of a value
    decoder: int = 256  # channels inside the decoder
    spatial_constraint: bool = True  # SCM 2.1
    aspp: bool = True  # SCM 2.2; False: STM's single convolution
    aspp_rates: tuple[int, ...] = (2, 4, 8)  # dilations of the ASPP's branches
    refine: bool = True  # SCM 2.2
    refine_width: int = 64  # channels inside the refine module
    memory_every: int = 5  # each so many frames one is kept
    max_memory: int | None = None  # frames kept, the first among them; None: all, so that the state grows
    feedback_threshold: float | None = None  # masks handed on are 1 above this, 0 elsewhere (ops.fed_back); None: soft, as they are
    background: str = "prod"  # aggregation of objects: "prod" as STM, "min" as CRVOS
    stride_on: str = "3x3"  # the convolution of a bottleneck that has its stride; "1x1": the one before, as in Caffe (backbones.py)

    def __post_init__(self) -> None:
        check_threshold(self.feedback_threshold)
        check_trunk(self.backbone, self.batch_norm, self.stride_on)
        if self.memory_backbone is not None:
            check_trunk(self.memory_backbone, self.batch_norm, "3x3")
        matching.check_matching(self.matched)
        if self.matched and not (self.shared_keys and self.similarity == "cosine"):
            raise ValueError(
                'matched keys are shared and compared by cosine: say shared_keys: true and similarity: "cosine", or matched: 0'
            )
        for name in ("key", "value", "decoder", "refine_width"):
            if not 1 <= getattr(self, name) <= 4096:
                raise ValueError(f"{name} must be a channel count between 1 and 4096, not {getattr(self, name)}")
        object.__setattr__(self, "aspp_rates", tuple(self.aspp_rates))
        if not 1 <= len(self.aspp_rates) <= 8 or not all(isinstance(r, int) and 1 <= r <= 64 for r in self.aspp_rates):
            raise ValueError(f"aspp_rates must be one to eight dilations between 1 and 64, not {self.aspp_rates}")
        if self.similarity not in ("dot", "cosine"):
            raise ValueError(f"similarity is 'dot' or 'cosine', not {self.similarity!r}")
        if not 0.001 <= self.temperature <= 10:
            raise ValueError(f"temperature is between 0.001 and 10, not {self.temperature}")
        if self.memory_every < 1:
            raise ValueError(f"memory_every is 1 (keep every frame) or more, not {self.memory_every}")
        if self.max_memory is not None and self.max_memory < 1:
            raise ValueError(f"max_memory is 1 (the first frame) or more, or None for no limit, not {self.max_memory}")
        if self.background not in ("min", "prod"):
            raise ValueError(f"background is 'min' or 'prod', not {self.background!r}")


class Maps(NamedTuple):
    """What the query trunk shows of frames, and the frames themselves."""

    s4: Tensor  # (B, C, H/4, W/4)
    s8: Tensor  # (B, C, H/8, W/8)
    s16: Tensor  # (B, C, H/16, W/16)
    frame: Tensor  # (B, 3, H, W) normalised
    inside: Tensor  # (B, 1, H, W) bool: False on padding


class Features(NamedTuple):
    """What all objects see of a frame, and the frame itself, which is memorised later."""

    key: Tensor  # (B, key, H/16, W/16)
    value: Tensor  # (B, branches * decoder, H/16, W/16): the query value's half of the mixing convolutions
    s8: Tensor  # (B, decoder, H/8, W/8): the decoder's skip branches
    s4: Tensor  # (B, decoder, H/4, W/4)
    frame: Tensor  # (B, 3, H, W) normalised
    inside: Tensor  # (B, 1, H, W) bool: False on padding
    trunk: Tensor  # (B, C, H/16, W/16): the trunk's deepest, as it comes, where the model describes; else no channel


class Mix(nn.Module):
    """What was read and the query value -> the embedding: ASPP's dilated branches, or STM's one convolution (rates=None).

    told: maps of each object beside, so many, which count for nothing as learning begins.
    """

    def __init__(self, value: int, width: int, rates: tuple[int, ...] | None, told: int = 0):
        super().__init__()
        self.value = value
        self.rates = rates or (1,)
        self.branches = nn.ModuleList(nn.Conv2d(2 * value, width, 3, padding=rate, dilation=rate) for rate in self.rates)
        self.fuse = nn.Conv2d(len(self.rates) * width, width, 1) if rates else None
        self.told = nn.Conv2d(told, len(self.rates) * width, 3, padding=1, bias=False) if told else None
        if self.told is not None:
            nn.init.zeros_(self.told.weight)

    def of_query(self, value: Tensor) -> Tensor:
        """(B, value, h, w) -> (B, branches * width, h, w), shared by all objects of the frame."""
        return torch.cat([self.part(i, value, slice(self.value, None), bias=True) for i in range(len(self.rates))], 1)

    def forward(self, read: Tensor, of_query: Tensor, told: Tensor | None = None) -> Tensor:
        """read (B*K, value, h, w); of_query (B, branches * width, h, w); told (B*K, told, h, w) -> (B*K, width, h, w)."""
        of_read = torch.cat([self.part(i, read, slice(self.value)) for i in range(len(self.rates))], 1)
        if self.told is not None and told is not None:
            of_read = of_read + self.told(told.to(of_read.dtype))
        mixed = add_per_object(of_read, of_query)
        return self.fuse(F.relu(mixed)) if self.fuse is not None else mixed

    def part(self, branch: int, x: Tensor, channels: slice, bias: bool = False) -> Tensor:
        conv, rate = cast(nn.Conv2d, self.branches[branch]), self.rates[branch]
        return F.conv2d(x, conv.weight[:, channels], conv.bias if bias else None, padding=rate, dilation=rate)


class SpatialConstraint(nn.Module):
    """SCM 2.1: a 3x3 convolution over embedding and previous mask, a sigmoid, and the embedding times that."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width + 1, 1, 3, padding=1)
        nn.init.constant_(self.conv.bias, 2.0)  # type: ignore[arg-type]

    def forward(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """embedding (B*K, width, h, w), mask (B*K, 1, h, w) in [0, 1]."""
        return embedding * self.conv(torch.cat([embedding, mask.to(embedding.dtype)], 1)).sigmoid()


class Level(nn.Module):
    """One step up in the decoder (STM 3.3): skip feature through a convolution and a block, plus the map from below, a block."""

    def __init__(self, feature: int, width: int):
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(feature, width, 3, padding=1), Residual(width))
        self.merged = Residual(width)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """skip (B, width, h, w) that went through self.skip; below (B*K, width, h/2, w/2) -> (B*K, width, h, w)."""
        return self.merged(add_per_object(F.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False), skip))


class Refine(nn.Module):
    """SCM 2.2's refine module: three levels down and up again at stride 4 and below; its two channels are added to the decoder's."""

    def __init__(self, feature: int, width: int):
        super().__init__()
        self.enter = nn.Conv2d(feature, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(3))
        self.up = nn.ModuleList(nn.Conv2d(2 * width, width, 3, padding=1) for _ in range(3))
        self.leave = nn.Conv2d(width, 2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, feature: Tensor) -> Tensor:
        """(B*K, feature, h, w) -> (B*K, 2, h, w)."""
        x = F.relu(self.enter(feature))
        passed = []
        for conv in self.down:
            passed.append(x)
            x = F.relu(conv(x))
        for conv in self.up:
            beside = passed.pop()
            x = F.interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
            x = F.relu(conv(torch.cat([x, beside], 1)))
        return self.leave(x)


class SCM(VOSModel[Features, MemoryState]):
    Config = SCMConfig
    shown: ClassVar[type[Maps]] = Maps
    debug = {"backbone": "resnet10t", "key": 8, "value": 16, "decoder": 8, "refine_width": 8, "memory_every": 2, "max_memory": 3}
    stride = 16
    padding = "zeros"
    needs_first_frame = True
    adaptation = 0.5  # chosen on clips kept out of training: docs/trials.md, Adapted to the first frame

    def __init__(self, config: SCMConfig | None = None):
        super().__init__()
        self.config = config or SCMConfig()
        c = self.config
        own = c.memory_backbone is None
        self.query_trunk = Trunk(c.backbone, (1, 2, 3), batch_norm=c.batch_norm, stride_on=c.stride_on)
        self.memory_trunk = Trunk(
            c.memory_backbone or c.backbone, (3,), batch_norm=c.batch_norm, stride_on=c.stride_on if own else "3x3", extra_channels=2
        )
        at4, at8, at16 = self.query_trunk.channels
        (of_memory,) = self.memory_trunk.channels
        self.keys = matching.Keys(at16, c.matched) if c.matched else None
        self.query_key = None if c.matched else nn.Conv2d(at16, c.key, 3, padding=1)
        self.query_value = nn.Conv2d(at16, c.value, 3, padding=1)
        self.memory_key = None if c.shared_keys else nn.Conv2d(of_memory, c.key, 3, padding=1)
        self.memory_value = nn.Conv2d(of_memory, c.value, 3, padding=1)
        if c.similarity == "cosine" and not c.matched:
            start_alike(self.query_key, self.memory_key)
        self.mix = Mix(c.value, c.decoder, c.aspp_rates if c.aspp else None, TOLD if c.matched else 0)
        self.constraint = SpatialConstraint(c.decoder) if c.spatial_constraint else None
        self.block16 = Residual(c.decoder)
        self.level8 = Level(at8, c.decoder)
        self.level4 = Level(at4, c.decoder)
        self.predictor = nn.Conv2d(c.decoder, 2, 3, padding=1)
        self.refine = Refine(c.decoder, c.refine_width) if c.refine else None

    @property
    def describes(self) -> bool:  # type: ignore[override]
        return self.keys is not None

    def describe(self, features: Features) -> Tensor:
        return features.trunk

    def kept_trunks(self) -> list[nn.Module]:
        return [self.query_trunk]

    def encode(self, frames: Tensor) -> Features:
        return self.prepared(self.maps(frames))

    def maps(self, frames: Tensor) -> Maps:
        """The query trunk's part of `encode`: (B, 3, H, W) in [0, 1] -> Maps."""
        frame = self.query_trunk.normalised(frames).to(self.predictor.weight.dtype)
        s4, s8, s16 = self.query_trunk(frame)
        return Maps(s4, s8, s16, frame, inside(frames, self.stride))

    def prepared(self, maps: Maps) -> Features:
        """The rest of it."""
        s4, s8, s16, frame, within = maps
        if self.keys is not None:
            key = self.keys(s16).to(s16.dtype)
        else:
            assert self.query_key is not None
            key = self.comparable(self.query_key(s16))
        value = self.mix.of_query(self.query_value(s16))
        return Features(key, value, self.level8.skip(s8), self.level4.skip(s4), frame, within, s16 if self.describes else s16[:, :0])

    def comparable(self, key: Tensor) -> Tensor:
        """A key (B, key, h, w) as it is compared: as it is, or its direction."""
        return key if self.config.similarity == "dot" else unit(key)

    @property
    def sharpness(self) -> float:
        """What a query's key is multiplied by when it asks, so that key . query / sqrt(channels) is the similarity."""
        return 1.0 if self.config.similarity == "dot" else self.key_channels**0.5 / self.config.temperature

    @property
    def key_channels(self) -> int:
        return self.config.matched or self.config.key

    def start(self, features: Features, masks: Tensor, active: Tensor | None = None) -> MemoryState:
        b, k, h, w = masks.shape
        if active is None:
            active = torch.ones(b, k, dtype=torch.bool, device=masks.device)
        slots = 2 if self.config.max_memory is None else self.config.max_memory + 1
        positions = (h // self.stride) * (w // self.stride)
        keys = features.key.new_zeros(b, k, slots, positions, self.key_channels)
        values = features.value.new_zeros(b, k, slots, positions, self.config.value + (self.keys is not None))
        valid, age = active.new_zeros(b, k, slots), torch.zeros(b, k, dtype=torch.int64, device=masks.device)
        return self.memorise(features, MemoryState(masks.float() * active[:, :, None, None], active, keys, values, valid, age))

    def predict(self, features: Features, state: MemoryState) -> Prediction:
        b, k = state.active.shape
        read = read_memory(features.key * self.sharpness, state.keys, state.values, state.valid)
        prior, told = self.shares(state.masks), None
        if self.keys is not None:
            read, alike = read.split([self.config.value, 1], 1)
            near = matching.found_near(features.key, state.keys[:, :, PREVIOUS : PREVIOUS + 1], prior.view(b, k, *prior.shape[2:]))
            near = near.view_as(alike)
            prior, told = (alike + near) / 2, torch.cat([alike, near, prior.to(near.dtype)], 1)
        x = self.mix(read, features.value, told)
        if self.constraint is not None:
            x = self.constraint(x, prior)
        x = self.level8(features.s8, self.block16(x))
        x = F.relu(self.level4(features.s4, x))
        scores = self.predictor(x)
        coarse = log_odds(scores, b, k)
        if self.refine is None:
            return Prediction(F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False))
        refined = log_odds(scores + self.refine(x), b, k)
        return Prediction(F.interpolate(refined, scale_factor=4, mode="bilinear", align_corners=False), (coarse,))

    def advance(self, features: Features, prediction: Prediction, state: MemoryState) -> tuple[Tensor, MemoryState]:
        probs = aggregate(prediction.logits, state.active, self.config.background)
        masks = fed_back(probs[:, 1:] * features.inside, self.config.feedback_threshold)
        return probs, self.memorise(features, state._replace(masks=masks, age=state.age + 1))

    def memorise(self, features: Features, state: MemoryState) -> MemoryState:
        """Write this frame, with the state's masks, to the memory slots that belong to the objects' ages."""
        key, value = self.encode_memory(features, state.masks)
        slot = self.slot_of(state.age)
        keys, values, valid = state.keys, state.values, state.valid
        if self.config.max_memory is None:
            if torch.compiler.is_compiling():
                raise ValueError("with max_memory=None the memory grows with the video, and a graph's can't: pass a number, max_memory=6")
            new = int(slot.max()) + 1 - valid.shape[2]
            if new > 0:
                keys, values, valid = F.pad(keys, (0, 0, 0, 0, 0, new)), F.pad(values, (0, 0, 0, 0, 0, new)), F.pad(valid, (0, new))
        place = torch.arange(valid.shape[2], device=slot.device)
        here = place == slot[:, :, None]
        if self.keys is not None:
            here = here | (place == PREVIOUS)
        valid = (valid & (place != PREVIOUS)) | here
        return state._replace(keys=written(keys, here, key), values=written(values, here, value), valid=valid)

    def slot_of(self, age: Tensor) -> Tensor:
        """The memory slot of a frame, from the objects' ages: first, previous, or the ring of those kept."""
        count = age // self.config.memory_every
        kept = age % self.config.memory_every == 0
        if self.config.max_memory is None:
            ring = PREVIOUS + count
        elif self.config.max_memory > 1:
            ring = PREVIOUS + 1 + (count - 1) % (self.config.max_memory - 1)
        else:
            ring = torch.full_like(count, PREVIOUS)
        return torch.where(age == 0, FIRST, torch.where(kept, ring, PREVIOUS))

    def encode_memory(self, features: Features, masks: Tensor) -> tuple[Tensor, Tensor]:
        """A frame with its masks (B, K, H, W) -> key (B, K, positions, key), value (B, K, positions, value)."""
        b, k = masks.shape[:2]
        others = (masks.sum(1, keepdim=True) - masks).clamp(0, 1)
        whole = torch.is_grad_enabled() or torch.compiler.is_compiling()
        chunks = [each.split(self.objects_at_once, 1) if not whole else (each,) for each in (masks, others)]
        frame = features.frame[:, None]
        parts = []
        for mask, other in zip(*chunks, strict=True):
            seen = torch.cat([frame.expand(-1, mask.shape[1], -1, -1, -1), torch.stack([mask, other], 2).to(frame.dtype)], 2).flatten(0, 1)
            (s16,) = self.memory_trunk(seen.contiguous(memory_format=torch.channels_last))
            parts.append(s16.unflatten(0, (b, -1)))
        s16 = torch.cat(parts, 1).flatten(0, 1)
        value = self.memory_value(s16)
        key = of_objects(features.key, k) if self.memory_key is None else self.comparable(self.memory_key(s16))
        if self.keys is not None:
            value = torch.cat([value, self.shares(masks).to(value.dtype)], 1)
        return by_position(key, b), by_position(value, b)

    def shares(self, masks: Tensor) -> Tensor:
        """(B, K, H, W) -> (B*K, 1, H/16, W/16): the objects' shares of each cell."""
        return F.avg_pool2d(masks.float().flatten(0, 1)[:, None], self.stride)

    def replace_masks(self, state: MemoryState, masks: Tensor) -> MemoryState:
        """The shares of the previous frame in memory are these masks', too; the values beside them stay."""
        if self.keys is None:
            return state._replace(masks=masks.float())
        shares = by_position(self.shares(masks), masks.shape[0]).to(state.values.dtype)
        previous = torch.cat([state.values[:, :, PREVIOUS, :, :-1], shares], -1)
        values = torch.cat([state.values[:, :, :PREVIOUS], previous[:, :, None], state.values[:, :, PREVIOUS + 1 :]], 2)
        return state._replace(masks=masks.float(), values=values)

    def annotate(self, features: Features, masks: Tensor, given: Tensor, state: MemoryState) -> MemoryState:
        every = self.config.memory_every  # a correction rounds the age up to a multiple of it, so that its frame is kept
        rounded = (state.age + every - 1) // every * every
        age = torch.where(given[:, : state.age.shape[1]], rounded, state.age)
        return self.memorise(features, annotated(state._replace(age=age), masks, given))


def log_odds(two_channels: Tensor, b: int, k: int) -> Tensor:
    """(B*K, 2, h, w) scores of background and object -> (B, K, h, w) float32; enlarged, it is that of the enlarged scores."""
    two_channels = two_channels.float()
    return (two_channels[:, 1] - two_channels[:, 0]).unflatten(0, (b, k))
