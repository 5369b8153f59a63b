"""RVOS: End-to-End Recurrent Network for Video Object Segmentation (Ventura et al., CVPR 2019, arXiv 1903.05612).

    encoder (3.1)      trunk features at strides 32, 16, 8, 4, each through a skip convolution
    previous mask      one-shot only: the object's last mask, max-pooled to the four strides
    decoder (3.2)      four ConvLSTM levels, deepest first, run for one object after another. A level sees the level before it, the
                       skip feature, the previous mask, the object before it (spatial recurrence: hidden map and cell) and the same
                       object one frame before (temporal recurrence: hidden map only)
    prediction         twice as large, one convolution, then the frame's size

The memory is four hidden maps and the last mask of every object, whatever the length of the video. A cell never leaves its frame.
Objects are told apart by their order: a slot sees the slots before it, never those behind, so inactive slots stand last.
Frame 0 is run too, with the given mask as the previous one, for its hidden maps; frame 1 then still sees the given mask.

Where the paper is silent, the authors' published code decides (widths, order of gates and inputs, align_corners). Deviations:
- convolution([level above, skip, mask, object before, frame before]) is computed as a sum of convolutions with the same weights:
  the skip's share belongs to `encode`, that of mask and frame before is computed for all objects at once, and only the rest
  waits for the object before.
- Batch normalisation is frozen in training too. After a skip convolution it starts as the identity.
- A mask given on a later frame becomes that object's previous mask, and its hidden maps are made anew by running that frame with
  it (a new object's from zero); other objects keep theirs. The authors only replace the mask.
- backbone_stages=3 drops the fourth stage: stride 32 is then a skip convolution of stride 2 on the third.

The ablation's rows are recurrence="spatial" (RVOS-S, the hidden maps are then carried but not seen), "temporal" (RVOS-T),
"spatio-temporal" (RVOS-ST). All have the same weights: what a row leaves out counts as zero. zero_shot=True is the model without a
mask, which finds objects itself, one in each of its slots. Two slots may find the same; overlap="object", not in the paper, leaves what
both claim to the one that claims more (ops.one_claim). The hidden maps do not see that.

matched=C, not in the paper, replaces the previous mask by what matching finds (parts/matching.py): where this frame looks like its objects
did in the previous frame and in up to `lasting` others, by the trunk's features at stride 16. Frame 0, and a frame for which masks are
given, still see the masks. The state then holds the keys of these frames as well, of C channels, whatever the length of the video, and
the model describes frames by the trunk's features. matching=False switches it off again. A zero-shot model has no mask to replace.
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
from vos_zoo.models.parts.ops import check_threshold, compete, fed_back, mask_pyramid, one_claim, resized

RECURRENCES = ("spatio-temporal", "spatial", "temporal")
OVERLAPS = ("pixel", "object")
STRIDES = (32, 16, 8, 4)  # of the levels


@dataclass(frozen=True)
class RVOSConfig:
    backbone: str = "resnet101"  # any timm model with features at strides 4, 8, 16 (and 32)
    backbone_stages: int = 4  # 4: stride 32 is the fourth stage; 3: a skip convolution of stride 2 on the third
    batch_norm: str = "frozen"  # or "folded" into the trunk's convolutions
    hidden: int = 128  # channels of the deepest level's hidden map; each further level has half of the one before
    recurrence: str = "spatio-temporal"  # or "spatial", "temporal"
    feedback_threshold: float | None = None  # masks handed on are 1 above this, 0 elsewhere (ops.fed_back); None: soft, as they are
    zero_shot: bool = False  # True: no mask goes in, the model finds the objects
    slots: int = 10  # objects that a zero-shot model looks for
    overlap: str = "pixel"  # what two of its slots claim: "pixel", each pixel to the surer; "object", all to the one that claims more
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
        if self.matched and self.zero_shot:
            raise ValueError("matched has nothing to replace where zero_shot is true: set matched to 0")
        if self.overlap not in OVERLAPS:
            raise ValueError(f"overlap is one of {OVERLAPS}, not {self.overlap!r}")
        if not 1 <= self.slots <= 255:
            raise ValueError(f"slots must lie between 1 and 255, not {self.slots}")


class Maps(NamedTuple):
    """What the trunk shows of frames, and how large these are."""

    s4: Tensor  # (B, C, H/4, W/4), sizes rounded up
    s8: Tensor  # (B, C, H/8, W/8)
    s16: Tensor  # (B, C, H/16, W/16)
    s32: Tensor  # (B, C, H/32, W/32), of no channels where the trunk ends at stride 16
    rows: Tensor  # (B, H) of zeros
    columns: Tensor  # (B, W) of zeros


class Features(NamedTuple):
    """What the four levels see of a frame: the skip features' share of their gates."""

    s32: Tensor  # (B, 4 * hidden, H/32, W/32), sizes rounded up
    s16: Tensor  # (B, 2 * hidden, H/16, W/16)
    s8: Tensor  # (B, hidden, H/8, W/8)
    s4: Tensor  # (B, hidden / 2, H/4, W/4)
    extent: Tensor  # (B, H, W) of zeros that take no memory: how large the frames are


class MatchedFeatures(NamedTuple):
    """Features of a model with keys."""

    s32: Tensor  # as in Features
    s16: Tensor
    s8: Tensor
    s4: Tensor
    extent: Tensor
    trunk: Tensor  # (B, C, H/16, W/16): the trunk's at stride 16, as it comes
    key: Tensor  # (B, matched, H/16, W/16): what cells are compared by


class State(NamedTuple):
    masks: Tensor  # (B, K, H, W) in [0, 1]: the previous frame's masks, each object's sigmoid by itself
    active: Tensor  # (B, K) bool: slots in use
    hidden0: Tensor  # (B, K, hidden, H/32, W/32): the levels' hidden maps in the previous frame
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


class ConvLSTM(nn.Module):
    """One level's cell: i, f, o, g = convolution(inputs); cell = sigmoid(f) cell + sigmoid(i) tanh(g); hidden = sigmoid(o) tanh(cell).

    The convolution's input channels: level above, skip, mask, object before, frame before. What is absent counts as zero.
    """

    def __init__(self, above: int, skip: int, mask: int, hidden: int):
        super().__init__()
        self.inputs = (above, skip, mask, hidden, hidden)
        self.gates = nn.Conv2d(sum(self.inputs), 4 * hidden, 3, padding=1)

    def of_skip(self, skip: Tensor) -> Tensor:
        """(B, skip, h, w) -> (B, 4 * hidden, h, w), shared by all objects of the frame."""
        return F.conv2d(skip, self.gates.weight.split(self.inputs, 1)[1], self.gates.bias, padding=1)

    def of_past(self, mask: Tensor | None, before: Tensor | None) -> Tensor | None:
        """mask (B*K, 1, h, w), hidden map of the frame before (B*K, hidden, h, w) -> (B*K, 4 * hidden, h, w)."""
        _, _, by_mask, _, by_before = self.gates.weight.split(self.inputs, 1)
        shares = [(x, weight) for x, weight in ((mask, by_mask), (before, by_before)) if x is not None]
        if not shares:
            return None
        return F.conv2d(torch.cat([x for x, _ in shares], 1), torch.cat([weight for _, weight in shares], 1), padding=1)

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


class RVOS(Matching, VOSModel[Seen, Known]):  # type: ignore[override]  # it describes only where it has keys
    Config = RVOSConfig
    shown: ClassVar[type[Maps]] = Maps
    debug = {"backbone": "resnet10t", "backbone_stages": 3, "hidden": 16}
    stride = 1
    padding = "zeros"
    needs_first_frame = True
    adaptation = 0.5  # chosen on clips kept out of training: docs/trials.md, Adapted to the first frame
    independent = False
    skips: Any  # a ModuleList, whose members mypy takes for plain modules
    levels: Any

    def __init__(self, config: RVOSConfig | None = None):
        super().__init__()
        self.config = config or RVOSConfig()
        stages = (1, 2, 3, 4)[: self.config.backbone_stages]
        self.trunk = Trunk(self.config.backbone, stages, batch_norm=self.config.batch_norm, stride_on=self.config.stride_on)
        at4, at8, at16, at32 = [*self.trunk.channels, self.trunk.channels[-1]][:4]
        h, mask = self.config.hidden, 0 if self.config.zero_shot else 1
        self.skips = nn.ModuleList([Skip(at32, h, 1 if len(stages) == 4 else 2), Skip(at16, h), Skip(at8, h // 2), Skip(at4, h // 4)])
        self.levels = nn.ModuleList(
            [
                ConvLSTM(0, h, mask, h),
                ConvLSTM(h, h, mask, h // 2),
                ConvLSTM(h // 2, h // 2, mask, h // 4),
                ConvLSTM(h // 4, h // 4, mask, h // 8),
            ]
        )
        self.predictor = nn.Conv2d(h // 8, 1, 3, padding=1)
        self.keys = matching.Keys(at16, self.config.matched) if self.config.matched else None

    @property
    def finds_objects(self) -> bool:
        return self.config.zero_shot

    def encode(self, frames: Tensor) -> Seen:
        return self.prepared(self.maps(frames))

    def maps(self, frames: Tensor) -> Maps:
        """The trunk's part of `encode`: (B, 3, H, W) in [0, 1] -> Maps."""
        s4, s8, s16, *s32 = self.trunk(self.trunk.normalised(frames).to(self.predictor.weight.dtype))
        rows, columns = (frames.new_zeros(()).expand(frames.shape[0], side) for side in frames.shape[-2:])
        return Maps(s4, s8, s16, s32[0] if s32 else s16[:, :0], rows, columns)

    def prepared(self, maps: Maps) -> Seen:
        """The rest of it."""
        s4, s8, s16, s32, rows, columns = maps
        skips = zip(self.levels, self.skips, [s32 if s32.shape[1] else s16, s16, s8, s4], strict=True)
        extent = rows.new_zeros(()).expand(*rows.shape, columns.shape[1])
        seen = Features._make([*(level.of_skip(skip(x)) for level, skip, x in skips), extent])
        if self.keys is None:
            return seen
        return MatchedFeatures(*seen, s16, self.keys(s16) if self.matches else s16[:, :0])

    def start(self, features: Seen, masks: Tensor | None, active: Tensor | None = None) -> Known:
        """Zero-shot models take no masks; active (B, K) then also says how many slots there are. ValueError otherwise."""
        if self.config.zero_shot:
            if masks is not None:
                raise ValueError("this model finds the objects itself and takes no masks: give none, or load a model that is not zero-shot")
            b, k = active.shape if active is not None else (features.extent.shape[0], self.config.slots)
            return self._blank(features, features.extent.new_zeros(b, k, *features.extent.shape[-2:]), active)
        if masks is None:
            raise ValueError("this model must be told the objects: give the masks of one frame, or load a zero-shot model")
        state = self._blank(features, masks, active)
        state = State(state.masks, state.active, *self.decode(features, state, mask_pyramid(state.masks, STRIDES)))
        return matching.begin_matched(_key(features), state, self.config.lasting) if self.matches else state

    def _blank(self, features: Seen, masks: Tensor, active: Tensor | None) -> State:
        """The State before the first frame: nothing remembered."""
        b, k = masks.shape[:2]
        if active is None:
            active = torch.ones(b, k, dtype=torch.bool, device=masks.device)
        gates = features[:4]
        return State(masks.float(), active, *(x.new_zeros(b, k, x.shape[1] // 4, *x.shape[-2:]) for x in gates))

    def decode(self, features: Seen, state: Known, told: Sequence[Tensor | None]) -> list[Tensor]:
        """The hidden maps of this frame, a level each, as they stand in a State; told: a mask of each object for each level."""
        b, k = state.masks.shape[:2]
        known, weights = [], []
        for level, skip, mask, before in zip(self.levels, features[:4], told, state[2:6], strict=True):
            past = level.of_past(
                None if mask is None else mask.flatten(0, 1)[:, None].to(skip.dtype),
                None if self.config.recurrence == "spatial" else before.flatten(0, 1),
            )
            known.append(skip[:, None].expand(-1, k, -1, -1, -1) if past is None else skip[:, None] + past.unflatten(0, (b, k)))
            weights.append(level.of_present())
        return objects_in_turn(self.levels, known, weights, spatial=self.config.recurrence != "temporal")

    def predict(self, features: Seen, state: Known) -> Prediction:
        told: Sequence[Tensor | None]
        if isinstance(state, MatchedState):
            told = matching.told(_key(features), state, STRIDES)
        else:
            told = [None] * 4 if self.config.zero_shot else mask_pyramid(state.masks, STRIDES)
        hidden = self.decode(features, state, told)
        b, k, _, h, w = hidden[3].shape
        logits = self.predictor(resized(hidden[3].flatten(0, 1), (2 * h, 2 * w))).float()
        return Prediction(resized(logits, state.masks.shape[-2:]).view(b, k, *state.masks.shape[-2:]), (), tuple(hidden))

    def advance(self, features: Seen, prediction: Prediction, state: Known) -> tuple[Tensor, Known]:
        """Masks are fed back without gradient, as in the authors' training; it flows through the hidden maps."""
        masks = prediction.logits.sigmoid()
        handed_on = fed_back(masks.detach(), self.config.feedback_threshold)
        whole = self.config.zero_shot and self.config.overlap == "object"
        apart = one_claim(masks, state.active) if whole else masks
        probs, after = compete(apart, state.active), State(handed_on, state.active, *prediction.carry)
        if isinstance(state, MatchedState):
            return probs, matching.remembered_matched(_key(features), after, state)
        return probs, after

    def replace_masks(self, state: Known, masks: Tensor) -> Known:
        return state._replace(masks=masks.float())

    def annotate(self, features: Seen, masks: Tensor, given: Tensor, state: Known) -> Known:
        if self.config.zero_shot:
            raise ValueError("this model finds the objects itself and takes no masks: load a model that is not zero-shot to correct it")
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
