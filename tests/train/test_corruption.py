"""Corrupted masks: still masks, mostly not the truth, and nothing from nothing."""

from __future__ import annotations

import pytest
import torch

from vos_zoo.train.corruption import corrupt
from vos_zoo.train.patches import Look


def discs(count: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    disc = (((y - 24) ** 2 + (x - 28) ** 2) < 13**2).float()
    masks = torch.zeros(count, 2, 48, 64)
    masks[:, 0] = disc
    return masks


def test_shape_range_and_empty_slots() -> None:
    masks = discs(200)
    out = corrupt(masks, torch.Generator().manual_seed(0))
    assert out.shape == masks.shape and out.isfinite().all()
    assert out.min() >= 0 and out.max() <= 1
    assert out[:, 1].max() == 0, "an object that is not there gets no mask, not even by a spill of its neighbour"


def test_most_are_wrong_some_are_right() -> None:
    masks = discs(300)
    out = corrupt(masks, torch.Generator().manual_seed(1))[:, 0] > 0.5
    truth = masks[:, 0] > 0.5
    iou = (out & truth).sum((1, 2)) / (out | truth).sum((1, 2))
    assert 0.3 < (iou < 0.8).float().mean() < 0.9
    assert (iou > 0.95).float().mean() > 0.05
    assert (iou < 0.05).any(), "a few are as good as gone"


def test_a_neighbour_spills_only_into_objects() -> None:
    masks = discs(200)
    masks[:, 1, 4:12, 50:60] = 1
    out = corrupt(masks, torch.Generator().manual_seed(2))
    spilt = (out[:, 0, 4:12, 50:60].mean((1, 2)) > 0.2).float().mean()
    assert 0.01 < spilt < 0.4


def test_leaks_lie_anywhere_and_only_where_asked_for() -> None:
    masks = discs(300)
    far = torch.ones(48, 64, dtype=torch.bool)
    far[2:46, 6:50] = False
    near, leaking = (corrupt(masks, torch.Generator().manual_seed(3), leaks=share) > 0.5 for share in (0.0, 0.5))
    reached = [(out[:, 0, far].float().mean(1) > 0.03).float().mean() for out in (near, leaking)]
    assert reached[0] < 0.25 and reached[0] + 0.2 < reached[1] < 0.7
    assert not leaking[:, 1].any(), "an object that is not there has no leak either"


def test_the_generator_decides_everything() -> None:
    first, again, other = (corrupt(discs(3), torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.equal(again) and not first.equal(other)


@pytest.mark.parametrize(
    ("options", "mean", "next_draw"),
    [
        ((), 0.054449997, 1928722098),
        (("look",), 0.05688177, 894276062),
        (("leaks", "look", "ghosts"), 0.084084848, 1691373687),
    ],
)
def test_a_seed_goes_wrong_as_it_always_did(options: tuple[str, ...], mean: float, next_draw: int) -> None:
    """Recorded values: a recipe trains on the same masks, and draws as often, as when its weights were made."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    masks = torch.zeros(24, 3, 48, 64)
    for n in range(24):
        masks[n, 0] = (((y - 24) ** 2 + (x - 20 - n) ** 2) < 13**2).float()
        if n % 2:
            masks[n, 1, 4:14, 50 - n : 60 - n] = 1
    drawn = torch.Generator().manual_seed(7)
    look = Look(0.6, *(torch.rand(24, 3, 48, 64, generator=drawn) for _ in range(2)))
    given = {"leaks": 0.3, "look": look, "ghosts": torch.rand(24, 3, generator=drawn) < 0.2}
    rng = torch.Generator().manual_seed(3)
    out = corrupt(masks, rng, **{name: given[name] for name in options})
    assert float(out.double().mean()) == pytest.approx(mean, abs=1e-6)
    assert int(torch.randint(2**31, (), generator=rng)) == next_draw
