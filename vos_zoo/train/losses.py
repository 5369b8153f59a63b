"""Losses on a model's Prediction, each object by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.models.base import Prediction


def segmentation_loss(prediction: Prediction, truth: Tensor, active: Tensor, dice: float = 0.5, auxiliary: float = 0.25) -> Tensor:
    """Negative log-likelihood (CRVOS 2.5) + dice * soft Dice on objects in sight + auxiliary * the same likelihood of coarse maps.

    truth (B, K, H, W) 0 or 1; active (B, K) bool: slots that count. Scalar, mean over active slots.
    The likelihood of two channels' softmax is the binary one of their difference, which is what `logits` holds.
    """
    weight = active.float() / active.sum().clamp(min=1)

    def likelihood(logits: Tensor, target: Tensor) -> Tensor:
        return (F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3)) * weight).sum()

    loss = likelihood(prediction.logits, truth)
    if dice:
        p = prediction.logits.sigmoid()
        present = (truth.sum((2, 3)) > 0) * weight
        overlap = (2 * (p * truth).sum((2, 3)) + 1) / (p.sum((2, 3)) + truth.sum((2, 3)) + 1)
        loss = loss + dice * ((1 - overlap) * present).sum()
    if auxiliary:
        for coarse in prediction.auxiliary:
            factor = truth.shape[-1] // coarse.shape[-1]
            loss = loss + auxiliary * likelihood(coarse, F.avg_pool2d(truth, factor))
    return loss


def mean_iou(logits: Tensor, truth: Tensor, active: Tensor) -> Tensor:
    """Mean intersection over union of hard masks over active slots: (B, K, H, W) -> scalar; nothing in both counts 1."""
    predicted, true = logits > 0, truth > 0.5
    both, either = (predicted & true).sum((2, 3)), (predicted | true).sum((2, 3))
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return (iou * active).sum() / active.sum().clamp(min=1)
