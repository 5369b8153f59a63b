"""ACCLVOS: Atrous Convolution with Spatial-Temporal ConvLSTM for Video Object Segmentation (Xu et al., ICPR 2020).

    encoder            dilated trunk, features at strides 16, 16, 8, 4; atrous pooling (ASPP) on the deepest, skip convolutions on the
                       others
    previous mask      the object's last mask, max-pooled to these strides
    decoder            four ConvLSTM levels, deepest first, run for one object after another. A level sees the level before it, the
                       skip feature, the previous mask, the object before it (spatial recurrence: hidden map and cell) and the same
                       object one frame before (temporal recurrence: hidden map only)
    prediction         twice as large, one convolution, then the frame's size

The memory is four hidden maps and the last mask of every object, whatever the length of the video. A cell never leaves its frame.
Objects are told apart by their order: a slot sees the slots before it, never those behind, so inactive slots stand last.
Frame 0 is run too, with the given mask as the previous one, for its hidden maps; frame 1 then still sees the given mask.

The paper builds on RVOS (see rvos.py) and there is no public code. What it leaves open is chosen here:
- The dilated stage is the fourth: stride 1, dilation 2. So the two deepest levels share stride 16.
- ASPP takes the place of the deepest skip convolution: 1x1, three 3x3 (`aspp_rates`) and the image's mean, `hidden` channels each,
  fused by 1x1 to `hidden`; every convolution with batch norm and ReLU. Rates are 2, 4, 8: at stride 16 a frame of 256x448 has
  16x28 positions, of which larger rates see mostly the padding. aspp=False (Table IV) is a skip convolution.
- "Weight ratio for each block reconstructed": a level sees two channels of the level before to one of the skip feature (RVOS: one to
  one), by skip features half as wide. The cost against RVOS is then 1.33 for ten objects; the paper's speeds say 1.35.
- Order of gates and inputs, align_corners, a fed-back mask without gradient: as RVOS's authors have it.
Deviations:
- convolution([level above, skip, mask, object before, frame before]) is computed as a sum of convolutions with the same weights:
  the skip's share belongs to `encode`, that of mask and frame before is computed for all objects at once, and only the rest
  waits for the object before.
- Batch normalisation is frozen in training too. Outside the trunk it starts as the identity.
- A mask given on a later frame becomes that object's previous mask, and its hidden maps are made anew by running that frame with
  it (a new object's from zero); other objects keep theirs.
- backbone_stages=3 drops the fourth stage: ASPP then stands on the third, which has stride 16 already.

recurrence="spatial" (the hidden maps are then carried but not seen) and "temporal" are RVOS's ablations: what they leave out counts as
zero, the weights are the same.

matched=C, not in the paper, replaces the previous mask by what matching finds (parts/matching.py): where this frame looks like its objects
did in the previous frame and in up to `lasting` others, by the trunk's features at stride 16 (not the dilated stage's). Frame 0, and a
frame for which masks are given, still see the masks. The state then holds the keys of these frames as well, of C channels, whatever the
length of the video, and the model describes frames by the trunk's features. matching=False switches it off again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts import matching
from vos_zoo.models.parts.backbones import Trunk, check_trunk
from vos_zoo.models.parts.in_turn import objects_in_turn
from vos_zoo.models.parts.matching import MatchedState, Matching
from vos_zoo.models.parts.ops import check_threshold, compete, fed_back, mask_pyramid, resized

RECURRENCES = ("spatio-temporal", "spatial", "temporal")
STRIDES = (16, 16, 8, 4)  # of the levels


@dataclass(frozen=True)
class ACCLVOSConfig:
    backbone: str = "resnet101"  # any timm model with features at strides 4, 8, 16
    backbone_stages: int = 4  # 4: the deepest level sees the dilated fourth stage; 3: the third, as the second level does
    batch_norm: str = "frozen"  # or "folded" into the trunk's convolutions
    hidden: int = 128  # channels of the deepest level's hidden map; each further level has half of the one before
    recurrence: str = "spatio-temporal"  # or "spatial", "temporal"
    aspp: bool = True  # False: a skip convolution in its place
    aspp_rates: tuple[int, ...] = (2, 4, 8)  # dilations of its 3x3 convolutions
    feedback_threshold: float | None = None  # masks handed on are 1 above this, 0 elsewhere (ops.fed_back); None: soft, as they are
    stride_on: str = "3x3"  # the convolution of a bottleneck that has its stride; "1x1": the one before, as in Caffe (backbones.py)
    matched: int = 0  # channels of the keys that frames are matched by; 0: no keys, the previous mask alone, as the paper has it
    matching: bool = True  # False: the previous mask alone though there are keys
    lasting: int = 4  # frames that are matched with beside the previous one: an object's first, and the latest of each fifth

    def __post_init__(self) -> None:
        check_threshold(self.feedback_threshold)
        check_trunk(self.backbone, self.batch_norm, self.stride_on)
        if self.backbone_stages not in (3, 4):
            raise ValueError(f"backbone_stages is 3 or 4, not {self.backbone_stages}")
        if not 8 <= self.hidden <= 4096 or self.hidden % 8:
            raise ValueError(f"hidden must be a multiple of 8 between 8 and 4096, not {self.hidden}")
        if self.recurrence not in RECURRENCES:
            raise ValueError(f"recurrence is one of {RECURRENCES}, not {self.recurrence!r}")
        matching.check_matching(self.matched, self.lasting)
        object.__setattr__(self, "aspp_rates", tuple(self.aspp_rates))
        if not 1 <= len(self.aspp_rates) <= 8 or not all(isinstance(r, int) and 1 <= r <= 64 for r in self.aspp_rates):
            raise ValueError(
                f"aspp_rates must be one to eight dilations between 1 and 64, not {self.aspp_rates}; aspp=False leaves ASPP out"
            )


class Maps(NamedTuple):
    """What the trunk shows of frames."""

    s4: Tensor  # (B, C, H/4, W/4), sizes rounded up
    s8: Tensor  # (B, C, H/8, W/8)
    s16: Tensor  # (B, C, H/16, W/16)
    deep: Tensor  # (B, C, H/16, W/16): the dilated stage's, of no channels where there is none


class Features(NamedTuple):
    """What the four levels see of a frame: the skip features' share of their gates."""

    deep: Tensor  # (B, 4 * hidden, H/16, W/16), sizes rounded up
    s16: Tensor  # (B, 2 * hidden, H/16, W/16)
    s8: Tensor  # (B, hidden, H/8, W/8)
    s4: Tensor  # (B, hidden / 2, H/4, W/4)


class MatchedFeatures(NamedTuple):
    """Features of a model with keys."""

    deep: Tensor  # as in Features
    s16: Tensor
    s8: Tensor
    s4: Tensor
    trunk: Tensor  # (B, C, H/16, W/16): the trunk's at stride 16, as it comes
    key: Tensor  # (B, matched, H/16, W/16): what cells are compared by


class State(NamedTuple):
    masks: Tensor  # (B, K, H, W) in [0, 1]: the previous frame's masks, each object's sigmoid by itself
    active: Tensor  # (B, K) bool: slots in use
    hidden0: Tensor  # (B, K, hidden, H/16, W/16): the levels' hidden maps in the previous frame
    hidden1: Tensor  # (B, K, hidden / 2, H/16, W/16)
    hidden2: Tensor  # (B, K, hidden / 4, H/8, W/8)
    hidden3: Tensor  # (B, K, hidden / 8, H/4, W/4)


Seen: TypeAlias = Features | MatchedFeatures
Known: TypeAlias = State | MatchedState


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by its stored statistics, in training too: a scale and a shift, at the start the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Skip(nn.Sequential):
    """Skip convolution: 3x3 and a batch norm, no ReLU."""

    def __init__(self, feature: int, skip: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(feature, skip, 3, stride, padding=1)
        self.norm = FrozenBatchNorm(skip)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, a 3x3 for every rate and the image's mean side by side, fused by 1x1."""

    def __init__(self, feature: int, skip: int, rates: tuple[int, ...]):
        super().__init__()
        self.point = self._conv(feature, skip)
        self.atrous = nn.ModuleList([self._conv(feature, skip, rate) for rate in rates])
        self.image = self._conv(feature, skip)
        self.fuse = self._conv((2 + len(rates)) * skip, skip)

    @staticmethod
    def _conv(inputs: int, outputs: int, rate: int = 0) -> nn.Sequential:
        kernel = 3 if rate else 1
        conv = nn.Conv2d(inputs, outputs, kernel, padding=rate, dilation=max(rate, 1), bias=False)
        nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
        return nn.Sequential(conv, FrozenBatchNorm(outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, feature, h, w) -> (B, skip, h, w)."""
        image = self.image(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.fuse(torch.cat([self.point(x), *(conv(x) for conv in self.atrous), image], 1))


class ConvLSTM(nn.Module):
    """One level's cell: i, f, o, g = convolution(inputs); cell = sigmoid(f) cell + sigmoid(i) tanh(g); hidden = sigmoid(o) tanh(cell).

    The convolution's input channels: level above, skip, mask, object before, frame before. What is absent counts as zero.
    """

    def __init__(self, above: int, skip: int, hidden: int):
        super().__init__()
        self.inputs = (above, skip, 1, hidden, hidden)
        self.gates = nn.Conv2d(sum(self.inputs), 4 * hidden, 3, padding=1)

    def of_skip(self, skip: Tensor) -> Tensor:
        """(B, skip, h, w) -> (B, 4 * hidden, h, w), shared by all objects of the frame."""
        return F.conv2d(skip, self.gates.weight.split(self.inputs, 1)[1], self.gates.bias, padding=1)

    def of_past(self, mask: Tensor, before: Tensor | None) -> Tensor:
        """mask (B*K, 1, h, w), hidden map of the frame before (B*K, hidden, h, w) -> (B*K, 4 * hidden, h, w)."""
        _, _, by_mask, _, by_before = self.gates.weight.split(self.inputs, 1)
        if before is None:
            return F.conv2d(mask, by_mask, padding=1)
        return F.conv2d(torch.cat([mask, before], 1), torch.cat([by_mask, by_before], 1), padding=1)

    def of_present(self) -> Tensor:
        """The weights that `forward` takes: those of the level above, then those of the object before."""
        above, _, _, neighbour, _ = self.gates.weight.split(self.inputs, 1)
        return torch.cat([above, neighbour], 1)

    def forward(
        self, known: Tensor, weight: Tensor, above: Tensor | None, neighbour: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """known (B, 4 * hidden, h, w) of one object; weight of_present; neighbour: the object before -> hidden map and cell."""
        gates = known
        inputs = [x for x in (above, neighbour and neighbour[0]) if x is not None]
        if inputs:
            x = torch.cat(inputs, 1)
            gates = known + F.conv2d(x, weight[:, : x.shape[1]], padding=1)
        i, f, o, _ = gates.sigmoid().chunk(4, 1)  # all at once: a quarter of the channels is slow to walk through
        cell = i * gates.chunk(4, 1)[3].tanh()
        if neighbour is not None:
            cell = cell + f * neighbour[1]
        return o * cell.tanh(), cell


class ACCLVOS(Matching, VOSModel[Seen, Known]):  # type: ignore[override]  # it describes only where it has keys
    Config = ACCLVOSConfig
    shown: ClassVar[type[Maps]] = Maps
    debug = {"backbone": "resnet10t", "backbone_stages": 3, "hidden": 8}
    stride = 1
    padding = "zeros"
    needs_first_frame = True
    independent = False
    skips: Any  # a ModuleList, whose members mypy takes for plain modules
    levels: Any

    def __init__(self, config: ACCLVOSConfig | None = None):
        super().__init__()
        self.config = config or ACCLVOSConfig()
        stages = (1, 2, 3, 4)[: self.config.backbone_stages]
        self.trunk = Trunk(
            self.config.backbone, stages, dilated=len(stages) == 4, batch_norm=self.config.batch_norm, stride_on=self.config.stride_on
        )
        at4, at8, at16, deep = [*self.trunk.channels, self.trunk.channels[-1]][:4]
        h = self.config.hidden
        self.skips = nn.ModuleList(
            [
                ASPP(deep, h, self.config.aspp_rates) if self.config.aspp else Skip(deep, h),
                Skip(at16, h // 2),
                Skip(at8, h // 4),
                Skip(at4, h // 8),
            ]
        )
        self.levels = nn.ModuleList(
            [
                ConvLSTM(0, h, h),
                ConvLSTM(h, h // 2, h // 2),
                ConvLSTM(h // 2, h // 4, h // 4),
                ConvLSTM(h // 4, h // 8, h // 8),
            ]
        )
        self.predictor = nn.Conv2d(h // 8, 1, 3, padding=1)
        self.keys = matching.Keys(at16, self.config.matched) if self.config.matched else None

    def encode(self, frames: Tensor) -> Seen:
        return self.prepared(self.maps(frames))

    def maps(self, frames: Tensor) -> Maps:
        """The trunk's part of `encode`: (B, 3, H, W) in [0, 1] -> Maps."""
        s4, s8, s16, *deep = self.trunk(self.trunk.normalised(frames).to(self.predictor.weight.dtype))
        return Maps(s4, s8, s16, deep[0] if deep else s16[:, :0])

    def prepared(self, maps: Maps) -> Seen:
        """The rest of it."""
        s4, s8, s16, deep = maps
        skips = zip(self.levels, self.skips, [deep if deep.shape[1] else s16, s16, s8, s4], strict=True)
        seen = Features(*(level.of_skip(skip(x)) for level, skip, x in skips))
        if self.keys is None:
            return seen
        return MatchedFeatures(*seen, s16, self.keys(s16) if self.matches else s16[:, :0])

    def start(self, features: Seen, masks: Tensor, active: Tensor | None = None) -> Known:
        state = self._blank(features, masks, active)
        state = State(state.masks, state.active, *self.decode(features, state, mask_pyramid(state.masks, STRIDES)))
        return matching.begin_matched(_key(features), state, self.config.lasting) if self.matches else state

    def _blank(self, features: Seen, masks: Tensor, active: Tensor | None) -> State:
        """The State before the first frame: nothing remembered."""
        b, k = masks.shape[:2]
        if active is None:
            active = torch.ones(b, k, dtype=torch.bool, device=masks.device)
        return State(masks.float(), active, *(x.new_zeros(b, k, x.shape[1] // 4, *x.shape[-2:]) for x in features[:4]))

    def decode(self, features: Seen, state: Known, told: Sequence[Tensor]) -> list[Tensor]:
        """The hidden maps of this frame, a level each, as they stand in a State; told: a mask of each object for each level."""
        b, k = state.masks.shape[:2]
        known, weights = [], []
        for level, skip, mask, before in zip(self.levels, features[:4], told, state[2:6], strict=True):
            past = level.of_past(
                mask.flatten(0, 1)[:, None].to(skip.dtype), None if self.config.recurrence == "spatial" else before.flatten(0, 1)
            )
            known.append(skip[:, None] + past.unflatten(0, (b, k)))
            weights.append(level.of_present())
        return objects_in_turn(self.levels, known, weights, spatial=self.config.recurrence != "temporal")

    def predict(self, features: Seen, state: Known) -> Prediction:
        told = matching.told(_key(features), state, STRIDES) if isinstance(state, MatchedState) else mask_pyramid(state.masks, STRIDES)
        hidden = self.decode(features, state, told)
        b, k, _, h, w = hidden[3].shape
        logits = self.predictor(resized(hidden[3].flatten(0, 1), (2 * h, 2 * w))).float()
        return Prediction(resized(logits, state.masks.shape[-2:]).view(b, k, *state.masks.shape[-2:]), (), tuple(hidden))

    def advance(self, features: Seen, prediction: Prediction, state: Known) -> tuple[Tensor, Known]:
        """Masks are fed back without gradient, as in the authors' training; it flows through the hidden maps."""
        masks = prediction.logits.sigmoid()
        handed_on = fed_back(masks.detach(), self.config.feedback_threshold)
        probs, after = compete(masks, state.active), State(handed_on, state.active, *prediction.carry)
        if isinstance(state, MatchedState):
            return probs, matching.remembered_matched(_key(features), after, state)
        return probs, after

    def replace_masks(self, state: Known, masks: Tensor) -> Known:
        return state._replace(masks=masks.float())

    def annotate(self, features: Seen, masks: Tensor, given: Tensor, state: Known) -> Known:
        new = masks.shape[1] - state.masks.shape[1]
        masks, given_here = masks.float(), given[:, :, None, None]
        taken = (masks * given_here).sum(1, keepdim=True).clamp(max=1)
        fed = torch.where(given_here, masks, F.pad(state.masks, (0, 0, 0, 0, 0, new)) * (1 - taken))
        hidden = [F.pad(each, (0, 0, 0, 0, 0, 0, 0, new)) for each in state[2:6]]
        active = F.pad(state.active, (0, new)) | given
        again = self.decode(features, State(fed, active, *hidden), mask_pyramid(fed, STRIDES))
        after = State(fed, active, *(torch.where(given_here[..., None], a, h) for a, h in zip(again, hidden, strict=True)))
        return matching.corrected_matched(_key(features), after, state) if isinstance(state, MatchedState) else after


def _key(features: Seen) -> Tensor:
    assert isinstance(features, MatchedFeatures)
    return features.key
