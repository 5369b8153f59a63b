"""Losses against the same written out pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vos_zoo.models.base import Prediction
from vos_zoo.train.losses import LOSSES, AggregatedEntropy, BceDice, Loss, NegativeLogLikelihood, SoftIou, mean_iou, soft_iou


def value(loss: Loss, prediction: Prediction, truth: Tensor, active: Tensor) -> float:
    return float(loss(prediction, truth, active) / loss.total(active))


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def likelihood(logits: list[float], truth: list[float]) -> float:
    """Mean negative log-likelihood of two channels' softmax, background at 0."""
    total = 0.0
    for score, true in zip(logits, truth, strict=True):
        of_object = math.exp(score) / (1 + math.exp(score))
        total -= true * math.log(of_object) + (1 - true) * math.log(1 - of_object)
    return total / len(truth)


def soft_dice(logits: list[float], truth: list[float]) -> float:
    p = [sigmoid(score) for score in logits]
    both = sum(a * b for a, b in zip(p, truth, strict=True))
    return 1 - (2 * both + 1) / (sum(p) + sum(truth) + 1)


def iou_loss(p: list[float], truth: list[float]) -> float:
    """1 - sum(p t) / (sum(p + t - p t) + 1e-6)."""
    return 1 - sum(a * b for a, b in zip(p, truth, strict=True)) / (sum(a + b - a * b for a, b in zip(p, truth, strict=True)) + 1e-6)


@pytest.fixture
def case() -> tuple[Prediction, Tensor, Tensor]:
    """Two clips of two slots: object (1, 0) is out of sight, slot (1, 1) not in use."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 4, 8, generator=generator) * 2
    coarse = torch.randn(2, 2, 2, 4, generator=generator)
    truth = torch.zeros(2, 2, 4, 8)
    truth[0, 0, :2, :5], truth[0, 1, 2:, 3:] = 1, 1
    return Prediction(logits, (coarse,)), truth, torch.tensor([[True, True], [True, False]])


SLOTS = [(0, 0), (0, 1), (1, 0)]


def test_likelihood_dice_and_coarse_likelihood(case: tuple[Prediction, Tensor, Tensor]) -> None:
    (logits, (coarse,), _), truth, _ = case
    plain = expected = 0.0
    for b, k in SLOTS:
        flat, true = logits[b, k].flatten().tolist(), truth[b, k].flatten().tolist()
        small = [float(truth[b, k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean()) for i in range(2) for j in range(4)]
        plain += likelihood(flat, true)
        expected += likelihood(flat, true) + 0.25 * likelihood(coarse[b, k].flatten().tolist(), small)
        expected += 0.5 * soft_dice(flat, true) if sum(true) else 0.0
    assert value(BceDice(), *case) == pytest.approx(expected / 3, rel=1e-5)
    assert value(NegativeLogLikelihood(), *case) == pytest.approx(plain / 3, rel=1e-5)
    assert value(BceDice(dice=0, auxiliary=0), *case) == pytest.approx(plain / 3, rel=1e-5)


@pytest.mark.parametrize(("present", "absent"), [(0.0, 0.0), (0.0, 2.0), (0.5, 1.0)])
def test_soft_iou_with_likelihood_beside_it(case: tuple[Prediction, Tensor, Tensor], present: float, absent: float) -> None:
    prediction, truth, _ = case
    expected = 0.0
    for b, k in SLOTS:
        flat, true = prediction.logits[b, k].flatten().tolist(), truth[b, k].flatten().tolist()
        if sum(true):
            expected += iou_loss([sigmoid(score) for score in flat], true) + present * likelihood(flat, true)
        else:
            expected += absent * likelihood(flat, true) if absent else 1.0
    assert value(SoftIou(present, absent), *case) == pytest.approx(expected / 3, rel=1e-5)


def test_an_absent_object_teaches_nothing_by_soft_iou_alone() -> None:
    truth, active = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, dtype=torch.bool)
    for absent in (0.0, 1.0):
        logits = torch.full((1, 1, 4, 4), 3.0, requires_grad=True)
        loss = SoftIou(absent=absent)
        (loss(Prediction(logits), truth, active) / loss.total(active)).backward()
        assert logits.grad is not None
        assert bool((logits.grad > 0).all()) if absent else logits.grad.abs().max() < 1e-6


def aggregated(p: list[float]) -> list[float]:
    """STM eq. 1 by hand: background first."""
    every = [math.prod(1 - q for q in p), *p]
    odds = [q / (1 - q) for q in every]
    return [odd / sum(odds) for odd in odds]


def test_entropy_of_aggregated_maps_and_their_iou(case: tuple[Prediction, Tensor, Tensor]) -> None:
    prediction, truth, active = case
    fine = Prediction(prediction.logits, (prediction.logits * 0.5,))
    entropies, ious = {1.0: 0.0, 0.5: 0.0}, []
    for b, slots in ((0, [0, 1]), (1, [0])):
        of_slot: dict[int, list[float]] = {k: [] for k in slots}
        for y in range(4):
            for x in range(8):
                label = next((n for n, k in enumerate(slots, 1) if truth[b, k, y, x] > 0), 0)
                for scale in entropies:
                    probs = aggregated([sigmoid(scale * float(prediction.logits[b, k, y, x])) for k in slots])
                    entropies[scale] -= math.log(probs[label]) / 64
                    if scale == 1.0:
                        for n, k in enumerate(slots, 1):
                            of_slot[k].append(probs[n])
        losses = [iou_loss(of_slot[k], truth[b, k].flatten().tolist()) for k in slots if truth[b, k].any()]
        ious.append(sum(losses) / len(losses) if losses else 0.0)
    iou = sum(ious) / 2
    assert value(AggregatedEntropy(), fine, truth, active) == pytest.approx(entropies[1.0] + entropies[0.5] + iou, rel=1e-4)
    assert value(AggregatedEntropy(0, 2, 0), fine, truth, active) == pytest.approx(2 * entropies[1.0], rel=1e-4)
    assert value(AggregatedEntropy(1, 0, 0), fine, truth, active) == pytest.approx(entropies[0.5], rel=1e-4)
    assert value(AggregatedEntropy(iou=0), Prediction(fine.logits), truth, active) == pytest.approx(entropies[1.0], rel=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_slots_not_in_use_cost_nothing(kind: str) -> None:
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    LOSSES[kind]()(Prediction(logits), torch.ones(1, 2, 8, 8), torch.tensor([[True, False]])).backward()
    assert logits.grad is not None and logits.grad[0, 0].abs().sum() > 0 and logits.grad[0, 1].abs().sum() == 0


@pytest.mark.parametrize("kind", LOSSES)
def test_parts_of_a_batch_add_up_to_the_whole(kind: str, case: tuple[Prediction, Tensor, Tensor]) -> None:
    (logits, (coarse,), _), truth, active = case
    loss = LOSSES[kind]()
    parts = [loss(Prediction(logits[[b]], (coarse[[b]],)), truth[[b]], active[[b]]) for b in (0, 1)]
    assert float(sum(parts)) == pytest.approx(float(loss(*case)), rel=1e-5)
    assert sum(int(loss.total(active[[b]])) for b in (0, 1)) == int(loss.total(active))


def test_mean_iou_by_count() -> None:
    logits, truth = torch.full((1, 4, 1, 4), -1.0), torch.zeros(1, 4, 1, 4)
    logits[0, 0, 0, :2], truth[0, 0, 0, 1:4] = 1, 1  # 1 of 4
    truth[0, 2, 0, 0] = 1  # missed
    logits[0, 3] = 1  # not in use
    active = torch.tensor([[True, True, True, False]])  # slot 1: nothing in both
    assert float(mean_iou(logits, truth, active)) == pytest.approx((0.25 + 1 + 0) / 3)


def test_soft_iou_of_hard_masks_is_the_iou() -> None:
    a, b = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    a[..., :2, :], b[..., 1:3, :] = 1, 1
    assert float(soft_iou(a, b)) == pytest.approx(4 / 12)
