"""Losses on a model's Prediction: what a recipe's `loss: {kind: ...}` names.

Each is a sum that `total` divides: loss(prediction, truth, active) / loss.total(active). So a batch can be split among processes and
steps of accumulation, and the parts' losses, each divided by the whole batch's total, add up to the whole's.
truth (B, K, H, W) 0 or 1; active (B, K) bool: slots that count. Letters: B clips, K objects, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.models.base import Prediction
from vos_zoo.models.parts.ops import aggregate


class Loss(Protocol):
    def __call__(self, prediction: Prediction, truth: Tensor, active: Tensor) -> Tensor: ...

    def total(self, active: Tensor) -> Tensor: ...


class PerSlot:
    """A mean over active slots."""

    def total(self, active: Tensor) -> Tensor:
        return active.sum()


class PerClip:
    """A mean over clips."""

    def total(self, active: Tensor) -> Tensor:
        return active.new_tensor(len(active), dtype=torch.int64)


@dataclass(frozen=True)
class BceDice(PerSlot):
    """Negative log-likelihood (CRVOS 2.5) + dice * soft Dice of objects in sight + auxiliary * the same likelihood of coarse maps.

    The likelihood of two channels' softmax is the binary one of their difference, which is what `logits` holds.
    """

    dice: float = 0.5
    auxiliary: float = 0.25

    def __call__(self, prediction: Prediction, truth: Tensor, active: Tensor) -> Tensor:
        loss = _likelihood(prediction.logits, truth)
        if self.dice:
            p = prediction.logits.sigmoid()
            overlap = (2 * (p * truth).sum((2, 3)) + 1) / (p.sum((2, 3)) + truth.sum((2, 3)) + 1)
            loss = loss + self.dice * (1 - overlap) * _in_sight(truth)
        for coarse in prediction.auxiliary if self.auxiliary else ():
            factor = truth.shape[-1] // coarse.shape[-1]
            loss = loss + self.auxiliary * _likelihood(coarse, F.avg_pool2d(truth, factor))
        return (loss * active).sum()


@dataclass(frozen=True)
class NegativeLogLikelihood(PerSlot):
    """The likelihood alone, as CRVOS was trained (2.5)."""

    def __call__(self, prediction: Prediction, truth: Tensor, active: Tensor) -> Tensor:
        return (_likelihood(prediction.logits, truth) * active).sum()


@dataclass(frozen=True)
class SoftIou(PerSlot):
    """1 - soft IoU of every object (RVOS, ACCLVOS), with a likelihood beside it.

    An object out of sight has an IoU loss of 1 whatever is predicted, and no gradient; with `absent` it learns to vanish instead.
    Both weights at 0 are the published loss.
    """

    present: float = 0.0  # weight of the likelihood beside the IoU, objects in sight
    absent: float = 1.0  # weight of the likelihood of objects out of sight; 0: their IoU loss, a constant 1

    def __call__(self, prediction: Prediction, truth: Tensor, active: Tensor) -> Tensor:
        loss = 1 - soft_iou(prediction.logits.sigmoid(), truth)
        if self.present or self.absent:
            likelihood = _likelihood(prediction.logits, truth)
            out_of_sight = self.absent * likelihood if self.absent else loss
            loss = torch.where(_in_sight(truth), loss + self.present * likelihood, out_of_sight)
        return (loss * active).sum()


@dataclass(frozen=True)
class AggregatedEntropy(PerClip):
    """Cross-entropy of the objects' aggregated maps, coarse and refined, + IoU loss of the refined one (SCM 2.2, STM 3).

    Coarse maps are the prediction's `auxiliary`; a model without any has the refined entropy alone. The IoU is a mean over the
    objects in sight, aggregated too.
    """

    coarse: float = 1.0
    refined: float = 1.0
    iou: float = 1.0

    def __call__(self, prediction: Prediction, truth: Tensor, active: Tensor) -> Tensor:
        true = truth * active[:, :, None, None]
        probs = aggregate(prediction.logits, active, "prod")
        loss = self.refined * _entropy(probs, true)
        for logits in prediction.auxiliary if self.coarse else ():
            if logits.shape[-2:] != truth.shape[-2:]:
                logits = F.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=False)
            loss = loss + self.coarse * _entropy(aggregate(logits, active, "prod"), true)
        if self.iou:
            present = _in_sight(true).float()
            missed = (1 - soft_iou(probs[:, 1:], true)) * present
            loss = loss + self.iou * missed.sum(1) / present.sum(1).clamp(min=1)
        return loss.sum()


LOSSES: dict[str, type] = {"bce_dice": BceDice, "nll": NegativeLogLikelihood, "soft_iou": SoftIou, "scm": AggregatedEntropy}


def soft_iou(probs: Tensor, truth: Tensor) -> Tensor:
    """(B, K): sum(p t) / sum(p + t - p t) of maps (B, K, H, W) in [0, 1], as RVOS computes it."""
    both = probs * truth
    return both.sum((2, 3)) / ((probs + truth - both).sum((2, 3)) + 1e-6)


def mean_iou(logits: Tensor, truth: Tensor, active: Tensor) -> Tensor:
    """Mean intersection over union of hard masks over active slots: (B, K, H, W) -> scalar; nothing in both counts 1."""
    predicted, true = logits > 0, truth > 0.5
    both, either = (predicted & true).sum((2, 3)), (predicted | true).sum((2, 3))
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return (iou * active).sum() / active.sum().clamp(min=1)


def _in_sight(truth: Tensor) -> Tensor:
    return truth.sum((2, 3)) > 0


def _likelihood(logits: Tensor, target: Tensor) -> Tensor:
    """(B, K): binary negative log-likelihood, a mean over pixels."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3))


def _entropy(probs: Tensor, truth: Tensor) -> Tensor:
    """(B,): mean cross-entropy of probs (B, 1 + K, H, W), background first; truth (B, K, H, W) without overlaps."""
    labels = torch.cat([1 - truth.amax(1, keepdim=True), truth], 1)
    return -(probs.clamp(min=1e-7).log() * labels).sum(1).mean((1, 2))
