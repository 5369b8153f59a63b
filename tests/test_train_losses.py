"""Losses against the same written out pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch

from vos_zoo.models.base import Prediction
from vos_zoo.train.losses import mean_iou, segmentation_loss


def likelihood(logits: list[float], truth: list[float]) -> float:
    """Mean negative log-likelihood of two channels' softmax, background at 0."""
    total = 0.0
    for score, true in zip(logits, truth, strict=True):
        of_object = math.exp(score) / (1 + math.exp(score))
        total -= true * math.log(of_object) + (1 - true) * math.log(1 - of_object)
    return total / len(truth)


def soft_dice(logits: list[float], truth: list[float]) -> float:
    p = [1 / (1 + math.exp(-score)) for score in logits]
    both = sum(a * b for a, b in zip(p, truth, strict=True))
    return 1 - (2 * both + 1) / (sum(p) + sum(truth) + 1)


def test_loss_is_likelihood_plus_dice_plus_coarse_likelihood() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 4, 8, generator=generator) * 2
    coarse = torch.randn(2, 2, 2, 4, generator=generator)
    truth = (torch.rand(2, 2, 4, 8, generator=generator) > 0.6).float()
    truth[1, 0] = 0  # out of sight: no Dice
    active = torch.tensor([[True, True], [True, False]])
    slots = [(0, 0), (0, 1), (1, 0)]
    expected = 0.0
    for b, k in slots:
        flat, true = logits[b, k].flatten().tolist(), truth[b, k].flatten().tolist()
        small = [float(truth[b, k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean()) for i in range(2) for j in range(4)]
        expected += likelihood(flat, true) + 0.25 * likelihood(coarse[b, k].flatten().tolist(), small)
        expected += 0.5 * soft_dice(flat, true) if sum(true) else 0.0
    loss = segmentation_loss(Prediction(logits, (coarse,)), truth, active)
    assert float(loss) == pytest.approx(expected / len(slots), rel=1e-5)


def test_slots_not_in_use_cost_nothing() -> None:
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    loss = segmentation_loss(Prediction(logits), torch.ones(1, 2, 8, 8), torch.tensor([[True, False]]))
    loss.backward()
    assert logits.grad is not None and logits.grad[0, 0].abs().sum() > 0 and logits.grad[0, 1].abs().sum() == 0


def test_mean_iou_by_count() -> None:
    logits, truth = torch.full((1, 4, 1, 4), -1.0), torch.zeros(1, 4, 1, 4)
    logits[0, 0, 0, :2], truth[0, 0, 0, 1:4] = 1, 1  # 1 of 4
    truth[0, 2, 0, 0] = 1  # missed
    logits[0, 3] = 1  # not in use
    active = torch.tensor([[True, True, True, False]])  # slot 1: nothing in both
    assert float(mean_iou(logits, truth, active)) == pytest.approx((0.25 + 1 + 0) / 3)
