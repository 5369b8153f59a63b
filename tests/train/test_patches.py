"""Patches of one colour, and masks whose mistakes follow them."""

from __future__ import annotations

import torch

from vos_zoo.train.corruption import corrupt
from vos_zoo.train.patches import Look, coloured_patch


def stripes(count: int) -> torch.Tensor:
    """Pictures (count, 3, 48, 64) of three upright bands: red, green, blue."""
    pictures = torch.zeros(count, 3, 48, 64)
    for n, (a, b) in enumerate(((0, 20), (20, 44), (44, 64))):
        pictures[:, n, :, a:b] = 1
    return pictures


def test_a_patch_has_one_colour_and_lies_about_its_point() -> None:
    pictures = stripes(200)
    where = torch.zeros(200, 1, 48, 64)
    where[..., 8:40, 24:40] = 1  # green
    patches = coloured_patch(pictures, pictures, where, torch.Generator().manual_seed(0))[:, 0]
    assert not patches[:, :, :19].any() and not patches[:, :, 45:].any(), "a patch does not cross into another colour"
    sizes = patches.sum((1, 2))
    assert (sizes > 0).float().mean() > 0.9 and sizes.float().std() > 20
    assert not coloured_patch(pictures, pictures, torch.zeros_like(where), torch.Generator().manual_seed(0)).any()


def test_two_frames_leak_onto_the_same_colour() -> None:
    pictures = stripes(100)
    moved = pictures.roll(6, 3)
    draws = [torch.Generator().manual_seed(1) for _ in range(2)]
    anywhere = torch.ones(100, 1, 48, 64)
    here, there = (coloured_patch(each, pictures, anywhere, rng) for each, rng in zip((pictures, moved), draws, strict=True))
    for n in range(100):
        colours = {int(p[n].argmax(0)[m[n, 0]].mode().values) for p, m in ((pictures, here), (moved, there)) if m[n].sum() > 20}
        assert len(colours) <= 1


def test_leaks_of_a_mask_stay_within_one_colour() -> None:
    pictures = torch.nn.functional.interpolate(stripes(300), scale_factor=4)
    masks = torch.zeros(300, 1, 192, 256)
    masks[:, :, 80:112, 100:130] = 1  # an object in the green band
    followed = Look(1.0, pictures, pictures)
    blobs, patches = (corrupt(masks, torch.Generator().manual_seed(2), 0.0, leaks=1.0, look=look)[:, 0] > 0.5 for look in (None, followed))

    def colours(out: torch.Tensor) -> torch.Tensor:
        """How many of the outer bands a mask lies in."""
        return (out[:, :, :72].flatten(1).sum(1) > 40).float() + (out[:, :, 184:].flatten(1).sum(1) > 40).float()

    assert (colours(blobs) == 2).float().mean() > 0.4
    assert (colours(patches) == 2).float().mean() < 0.3, "one or two patches, each of one colour"
    assert (colours(patches) > 0).float().mean() > 0.3


def test_a_ghost_is_a_mask_without_its_object() -> None:
    pictures = torch.nn.functional.interpolate(stripes(60), scale_factor=4)
    ghosts = torch.zeros(60, 2, dtype=torch.bool)
    ghosts[:30, 0] = True
    out = corrupt(torch.zeros(60, 2, 192, 256), torch.Generator().manual_seed(3), look=Look(0.5, pictures, pictures), ghosts=ghosts)
    assert out.isfinite().all() and not out[30:].any() and not out[:, 1].any()
    assert (out[:30, 0].amax((1, 2)) > 0.5).float().mean() > 0.5
