"""CRVOS: Clue Refining Network for Video Object Segmentation (Cho et al., ICIP 2020, arXiv 2002.03651).

    encoder (2.1)        trunk features at strides 16, 8, 4
    the Clue (2.2)       the previous frame's coarse mask (background, object) and three coordinate channels, at stride 16
    refine modules (2.3) three times: reduce the skip feature, blend it with the map so far, deconvolve to two channels
    prediction (2.3)     the three two-channel maps, fused by one transposed convolution to full resolution

The only memory is the previous coarse mask: 2 channels at stride 16, whatever the length of the video.

Where the paper is silent, the authors' published code decides (widths, kernel sizes, padding, aggregation). Deviations:
- The Clue's third coordinate, the distance from the centre, spans [0, 1.41] as in the authors' code; the paper says [-1, 1].
- convolution([feature, clue]) is computed as convolution(feature) + convolution(clue), with the same weights: the heavy half
  sees neither the recurrence nor the object, so it belongs to `encode` and all objects of a frame share it.
- Trunk and widths are arguments. The paper's model is the default: ResNet-50, stride 16 from a dilated fourth stage.

Table 3's rows are two more arguments (RM: the paper's refine modules, PM: the previous mask as specifier):

    I RM            specifier="none"              III RM, Clue    the default
    II RM, PM       specifier="mask"              IV Clue         refine="bilinear"

- specifier="none" ignores the state: it segments what salient object there is, the same for every slot.
- refine="bilinear" is the "general" module as far as the paper describes it: one convolution after the concatenation, its features
  (all of them, not two channels) upsampled bilinearly. The last module alone predicts, by a 3x3 convolution and bilinear x4.

matched=C, not in the paper, replaces the previous mask in the Clue by what matching finds (parts/matching.py): where this frame looks like
its objects did in the previous frame and in up to `lasting` others. The state then holds the keys of these frames as well, of C channels,
whatever the length of the video. matching=False switches it off again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts import matching
from vos_zoo.models.parts.backbones import Trunk, check_trunk
from vos_zoo.models.parts.matching import MatchingState
from vos_zoo.models.parts.ops import aggregate, check_threshold, coordinates, fed_back

GUIDE_CHANNELS = {"clue": 5, "mask": 2, "none": 0}  # of each specifier


@dataclass(frozen=True)
class CRVOSConfig:
    backbone: str = "resnet50"  # any timm model with features at strides 4, 8, 16
    backbone_stages: int = 4  # 4: dilated fourth stage at stride 16; 3: stride 16 is the third stage
    batch_norm: str = "frozen"  # or "folded" into the convolutions
    reduced: tuple[int, int, int] = (256, 128, 128)  # channels of the reduced skip features at strides 16, 8, 4
    blended: tuple[int, int, int] = (128, 128, 128)  # channels inside the refine modules at strides 16, 8, 4
    specifier: str = "clue"  # what tells the object: "clue", "mask" (no coordinates) or "none"
    refine: str = "deconvolution"  # refine modules: the paper's, or the general "bilinear" ones
    feedback_threshold: float | None = None  # masks handed on are 1 above this, 0 elsewhere (ops.fed_back); None: soft, as they are
    background: str = "min"  # aggregation of objects: "min" as CRVOS, "prod" as STM
    stride_on: str = "3x3"  # the convolution of a bottleneck that has its stride; "1x1": the one before, as in Caffe (backbones.py)
    matched: int = 0  # channels of the keys that frames are matched by; 0: no keys, the previous mask alone, as the paper has it
    matching: bool = True  # False: the previous mask alone though there are keys
    lasting: int = 4  # frames that are matched with beside the previous one: an object's first, and the latest of each fifth

    def __post_init__(self) -> None:
        check_threshold(self.feedback_threshold)
        check_trunk(self.backbone, self.batch_norm, self.stride_on)
        if self.backbone_stages not in (3, 4):
            raise ValueError(f"backbone_stages is 3 or 4, not {self.backbone_stages}")
        object.__setattr__(self, "reduced", tuple(self.reduced))
        object.__setattr__(self, "blended", tuple(self.blended))
        for name in ("reduced", "blended"):
            widths = getattr(self, name)
            if len(widths) != 3 or not all(isinstance(w, int) and 1 <= w <= 4096 for w in widths):
                raise ValueError(f"{name} must be three channel counts between 1 and 4096, not {widths}")
        if self.specifier not in GUIDE_CHANNELS:
            raise ValueError(f"specifier is 'clue', 'mask' or 'none', not {self.specifier!r}")
        if self.refine not in ("deconvolution", "bilinear"):
            raise ValueError(f"refine is 'deconvolution' or 'bilinear', not {self.refine!r}")
        matching.check_matching(self.matched, self.lasting)
        if self.matched and self.specifier == "none":
            raise ValueError("matched has nothing to replace where specifier is 'none': set matched to 0")
        if self.background not in ("min", "prod"):
            raise ValueError(f"background is 'min' or 'prod', not {self.background!r}")


class Maps(NamedTuple):
    """What the trunk shows of frames."""

    s4: Tensor  # (B, C, H/4, W/4)
    s8: Tensor  # (B, C, H/8, W/8)
    s16: Tensor  # (B, C, H/16, W/16)


class Features(NamedTuple):
    """What the three refine modules see of a frame: their blending convolutions' feature half."""

    s16: Tensor  # (B, blended[0], H/16, W/16)
    s8: Tensor  # (B, blended[1], H/8, W/8)
    s4: Tensor  # (B, blended[2], H/4, W/4)
    trunk: Tensor  # (B, C, H/16, W/16): the trunk's deepest, as it comes
    key: Tensor  # (B, matched, H/16, W/16): what cells are compared by


class State(NamedTuple):
    masks: Tensor  # (B, K, H/16, W/16) in [0, 1]: the previous frame's coarse masks, after aggregation
    active: Tensor  # (B, K) bool: slots in use


class Refine(nn.Module):
    """Refine module: 1x1 reduction of the skip feature, 3x3 blend with the map from below, then upscaling by 1 or 2.

    by="deconvolution" hands on a map of two channels, by="bilinear" the blended features: `handed_on` channels.
    """

    def __init__(self, feature: int, guide: int, reduced: int, blended: int, *, upscale: int, by: str):
        super().__init__()
        self.upscale, self.by = upscale, by
        self.reduce = nn.Conv2d(feature, reduced, 1)
        self.blend = nn.Conv2d(reduced + guide, blended, 3, padding=1)
        if by == "deconvolution":
            self.deconv = nn.ConvTranspose2d(blended, 2, 2 + upscale, upscale, padding=1)
        self.handed_on = 2 if by == "deconvolution" else blended
        for conv in (self.reduce, self.blend):
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def of_feature(self, skip: Tensor) -> Tensor:
        """(B, feature, h, w) -> (B, blended, h, w), shared by all objects of the frame."""
        reduced = F.relu(self.reduce(skip))
        return F.conv2d(reduced, self.blend.weight[:, : reduced.shape[1]], self.blend.bias, padding=1)

    def forward(self, feature: Tensor, guide: Tensor) -> Tensor:
        """feature (B, blended, h, w) from of_feature; guide (B*K, guide, h, w) -> (B*K, handed_on, h*upscale, w*upscale)."""
        b, c, h, w = feature.shape
        if guide.shape[1] > 0:
            blended = F.conv2d(guide, self.blend.weight[:, -guide.shape[1] :], padding=1).unflatten(0, (b, -1)) + feature[:, None]
        else:
            blended = feature[:, None].expand(b, guide.shape[0] // b, c, h, w)
        blended = F.relu(blended).flatten(0, 1)
        if self.by == "deconvolution":
            return self.deconv(blended)
        return F.interpolate(blended, scale_factor=self.upscale, mode="bilinear", align_corners=False) if self.upscale > 1 else blended


class CRVOS(VOSModel[Features, Any]):  # Any: a State, or where it matches a MatchingState
    Config = CRVOSConfig
    shown: ClassVar[type[Maps]] = Maps
    debug = {"backbone": "resnet10t", "backbone_stages": 3, "reduced": (8, 8, 8), "blended": (8, 8, 8)}
    stride = 16
    padding = "reflect"
    describes = True

    def __init__(self, config: CRVOSConfig | None = None):
        super().__init__()
        self.config = config or CRVOSConfig()
        stages = self.config.backbone_stages
        self.trunk = Trunk(
            self.config.backbone, (1, 2, stages), dilated=stages == 4, batch_norm=self.config.batch_norm, stride_on=self.config.stride_on
        )
        at4, at8, at16 = self.trunk.channels
        self.keys = matching.Keys(at16, self.config.matched) if self.config.matched else None
        (r16, r8, r4), (b16, b8, b4) = self.config.reduced, self.config.blended
        by, guide = self.config.refine, GUIDE_CHANNELS[self.config.specifier]
        self.refine16 = Refine(at16, guide, r16, b16, upscale=2, by=by)
        self.refine8 = Refine(at8, self.refine16.handed_on, r8, b8, upscale=2, by=by)
        self.refine4 = Refine(at4, self.refine8.handed_on, r4, b4, upscale=1, by=by)
        self.predictor: nn.ConvTranspose2d | nn.Conv2d
        if by == "deconvolution":
            self.lift = nn.ConvTranspose2d(2, 2, 4, 2, padding=1)
            self.predictor = nn.ConvTranspose2d(6, 2, 6, 4, padding=1)
        else:
            self.predictor = nn.Conv2d(b4, 2, 3, padding=1)

    @property
    def matches(self) -> bool:
        """Whether the Clue is what matching finds, not the previous mask."""
        return self.keys is not None and self.config.matching

    @property
    def needs_first_frame(self) -> bool:  # type: ignore[override]
        return self.matches

    def encode(self, frames: Tensor) -> Features:
        return self.prepared(self.maps(frames))

    def maps(self, frames: Tensor) -> Maps:
        """The trunk's part of `encode`: (B, 3, H, W) in [0, 1] -> Maps."""
        return Maps(*self.trunk(self.trunk.normalised(frames).to(self.predictor.weight.dtype)))

    def prepared(self, maps: Maps) -> Features:
        """The rest of it."""
        s4, s8, s16 = maps
        key = self.keys(s16) if self.keys is not None and self.matches else s16[:, :0]
        return Features(self.refine16.of_feature(s16), self.refine8.of_feature(s8), self.refine4.of_feature(s4), s16, key)

    def start(self, features: Features | None, masks: Tensor, active: Tensor | None = None) -> State | MatchingState:
        if active is None:
            active = torch.ones(masks.shape[:2], dtype=torch.bool, device=masks.device)
        coarse = F.avg_pool2d(masks.float(), self.stride)
        if not self.matches:
            return State(coarse, active)
        assert features is not None
        return matching.begin(features.key, coarse, active, self.config.lasting)

    def guide(self, features: Features, state: State | MatchingState, like: Tensor) -> Tensor:
        """The specifier (B*K, 5, H/16, W/16): background, object; height, width, distance from the centre. Or its first 2, or 0."""
        b, k, h, w = state.masks.shape
        coarse = matching.found(features.key, state) if isinstance(state, MatchingState) else state.masks
        mask = coarse.reshape(b * k, 1, h, w).to(like.dtype)
        place = coordinates(h, w, like).expand(b * k, 3, h, w)
        return torch.cat([1 - mask, mask, place], 1)[:, : GUIDE_CHANNELS[self.config.specifier]]

    def predict(self, features: Features, state: State | MatchingState) -> Prediction:
        b, k = state.masks.shape[:2]

        def log_odds(two_channels: Tensor) -> Tensor:
            two_channels = two_channels.float()
            return (two_channels[:, 1] - two_channels[:, 0]).unflatten(0, (b, k))

        map8 = self.refine16(features.s16, self.guide(features, state, features.s16))
        map4 = self.refine8(features.s8, map8)
        map4_refined = self.refine4(features.s4, map4)
        if self.config.refine == "bilinear":
            return Prediction(F.interpolate(log_odds(self.predictor(map4_refined)), scale_factor=4, mode="bilinear", align_corners=False))
        scores = self.predictor(torch.cat([self.lift(map8), map4, map4_refined], 1))
        return Prediction(log_odds(scores), (log_odds(map8), log_odds(map4)))

    def advance(self, features: Features, prediction: Prediction, state: Any) -> tuple[Tensor, Any]:
        probs = aggregate(prediction.logits, state.active, self.config.background)
        handed_on = fed_back(probs[:, 1:], self.config.feedback_threshold)
        state = state._replace(masks=F.avg_pool2d(handed_on, self.stride))
        if not self.matches:
            return probs, state
        return probs, matching.remembered(features.key, state._replace(age=state.age + 1), matching.EVERY)

    def replace_masks(self, state: State | MatchingState, masks: Tensor) -> Any:
        return state._replace(masks=F.avg_pool2d(masks.float(), self.stride))

    def annotate(self, features: Features | None, masks: Tensor, given: Tensor, state: Any) -> Any:
        new = masks.shape[1] - state.masks.shape[1]
        coarse = F.avg_pool2d(masks.float(), self.stride)
        given_here = given[:, :, None, None]
        taken = (coarse * given_here).sum(1, keepdim=True).clamp(max=1)
        old = F.pad(state.masks, (0, 0, 0, 0, 0, new)) * (1 - taken)
        active = F.pad(state.active, (0, new)) | given
        masks = torch.where(given_here, coarse, old)
        if not self.matches:
            return State(masks, active)
        assert features is not None
        return matching.corrected(features.key, state, masks, active, matching.EVERY)

    def describe(self, features: Features) -> Tensor:
        return features.trunk
