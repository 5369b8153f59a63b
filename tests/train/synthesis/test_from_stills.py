"""Synthetic clips: masks stay on their objects, what is in front hides what is behind, slots say what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from training_data import around, bank_of, core, save, still

from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.sources.photometry import clip_photometry
from vos_zoo.train.sources.stills import StillBank
from vos_zoo.train.synthesis.from_stills import Synthesizer
from vos_zoo.train.synthesis.inpainting import fill_in
from vos_zoo.train.synthesis.scene import Layer, SynthesisConfig

COLOURS = [(240, 10, 20), (240, 20, 240), (250, 250, 10)]  # much red: the backgrounds have little


@pytest.fixture
def bank(tmp_path: Path) -> StillBank:
    for n, colour in enumerate(COLOURS):
        image, mask = still(n, colour=colour)
        save(tmp_path / f"s/images/{n}.png", image)
        save(tmp_path / f"s/masks/{n}.png", mask)
    return bank_of(tmp_path / "s", cache=tmp_path / "cache", size=96)


@pytest.fixture
def true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("clip_photometry", "layer_photometry"):
        monkeypatch.setattr(f"vos_zoo.train.synthesis.from_stills.{name}", lambda pixels, rng: pixels)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def colour_of(pixels: torch.Tensor) -> int:
    """The colour of COLOURS that (3, n) pixels have, all of them."""
    distances = (pixels[None] - torch.tensor(COLOURS).view(3, 3, 1) / 255).abs().amax((1, 2))
    assert distances.min() < 0.06, f"not one colour: {distances.tolist()}"
    return int(distances.argmin())


@pytest.mark.usefixtures("true_colours")
def test_the_mask_covers_its_object_and_nothing_else(bank: StillBank) -> None:
    config = SynthesisConfig(together=1.0, pasted=(1.0,), speed=(0.1,), freeze=0.0)
    batch = Synthesizer(bank, 48, 80, slots=1, config=config).batch(12, 4, rng())
    moved = 0
    for frames, masks in zip(batch.frames, batch.masks[:, :, 0], strict=True):
        colour = torch.tensor(COLOURS[colour_of(frames.transpose(0, 1)[:, core(masks)])]) / 255
        near = (frames - colour.view(3, 1, 1)).abs().amax(1) < 0.05
        assert around(masks)[near].all()
        moved += not masks[0].equal(masks[-1])
    assert moved == 12


@pytest.mark.usefixtures("true_colours")
def test_each_slot_follows_one_object_and_slots_never_overlap(bank: StillBank) -> None:
    config = SynthesisConfig(pasted=(0.2, 0.4, 0.4), look_alike=0.2)
    batch = Synthesizer(bank, 48, 80, slots=3, config=config).batch(24, 4, rng(1))
    assert batch.masks.sum(2).max() == 1 and batch.masks.unique().tolist() == [0, 1]
    checked = 0
    for frames, masks in zip(batch.frames, batch.masks.transpose(1, 2), strict=True):
        for slot in masks:
            inside = core(slot)
            if inside.any():
                colour_of(frames.transpose(0, 1)[:, inside])
                checked += 1
    assert checked > 30


def test_slots_in_use_come_first_and_the_others_are_empty(bank: StillBank) -> None:
    for pasted, slots, held in (((1.0,), 2, 1), ((0.0, 1.0), 2, 2), ((0.0, 0.0, 1.0), 2, 2), ((0.0, 0.0, 1.0), 4, 3)):
        batch = Synthesizer(bank, 32, 48, slots=slots, config=SynthesisConfig(pasted=pasted)).batch(3, 2, rng())
        assert batch.active.tolist() == [[n < held for n in range(slots)]] * 3
        assert batch.masks[:, :, held:].sum() == 0
        assert batch.frames.shape == (3, 2, 3, 32, 48) and batch.masks.shape == (3, 2, slots, 32, 48)


@pytest.mark.usefixtures("true_colours")
@pytest.mark.parametrize("front", [0, 1])
def test_what_is_in_front_hides_what_is_behind(bank: StillBank, monkeypatch: pytest.MonkeyPatch, front: int) -> None:
    base = Layer(2, 0, -1, 0, 1, (0.0, 0.0), 1.5, (0.0, 0.0), False)
    cutouts = [Layer(n, 1, n, 0, 0, (-0.13, 0.0), 1.0, (0.0, 0.0), False) for n in (0, 1)]
    layers = [base, *(cutouts if front == 1 else cutouts[::-1])]
    monkeypatch.setattr("vos_zoo.train.synthesis.from_stills.plan_scene", lambda *args: layers)
    batch = Synthesizer(bank, 48, 80, config=SynthesisConfig(freeze=1.0, elastic=0.0)).batch(1, 2, rng())
    areas = batch.masks[0, 0].sum((1, 2))
    assert areas[front] > 150 and areas[1 - front] < 0.4 * areas[front]
    assert colour_of(batch.frames[0, 0, :, 24, 40][:, None]) == front
    assert batch.active.all(), "hidden, but there"


def test_gaps_are_frames_left_out_of_a_smooth_clip(bank: StillBank) -> None:
    """A clip drawn with gaps shows moments of the clip that consecutive frames show."""
    synthesizer = Synthesizer(bank, 48, 80, slots=2, config=SynthesisConfig(freeze=0.0, speed=(0.05,)))
    for seed in range(4):
        apart = synthesizer.batch(1, 3, rng(seed), skip=4)
        assert apart.before is not None and apart.before[:, 0].equal(apart.masks[:, 0])
        state = rng(seed)
        scenes = synthesizer.plan(1, state)
        gaps = torch.randint(1, 5, (1, 2), generator=state)
        times = [0, *gaps[0].cumsum(0).tolist()]
        rows = torch.tensor([[times[0], times[0], times[1] - 1, times[1], times[2] - 1, times[2]]])
        _, masks, _ = synthesizer._composite(scenes.layers, scenes.owner, synthesizer._warp(scenes, 6, state, "cpu", rows))
        assert apart.masks.equal(masks[:, 1::2]) and apart.before[:, 1:].equal(masks[:, 2::2])
    assert synthesizer.batch(2, 3, rng(), skip=1).before is None, "no gaps: the frame before is in the clip"


def test_other_objects_of_the_base_are_targets_too(tmp_path: Path) -> None:
    image, mask = still(0)
    numbers = mask.copy()
    numbers[5:20, 70:90], numbers[55:68, 5:25] = 2, 3
    save(tmp_path / "s/images/a.png", image)
    save(tmp_path / "s/masks/a.png", numbers)
    bank = bank_of(tmp_path / "s", cache=tmp_path / "cache", size=96)
    config = SynthesisConfig(together=1.0, pasted=(1.0,), companions=1.0)
    batch = Synthesizer(bank, 48, 80, slots=4, config=config).batch(8, 3, rng())
    assert batch.active.tolist() == [[True, True, True, False]] * 8
    assert batch.masks.sum(2).max() == 1 and (batch.masks[:, 0].sum((2, 3)) > 0)[:, :3].float().mean() > 0.6
    alone = Synthesizer(bank, 48, 80, slots=4, config=SynthesisConfig(together=1.0, pasted=(1.0,))).batch(8, 3, rng())
    assert alone.active.sum() == 8
    three = Synthesizer(bank, 48, 80, slots=3, config=SynthesisConfig(together=1.0, pasted=(0.0, 1.0), companions=1.0))
    assert three.batch(4, 2, rng()).active.all(), "what is pasted where no slot is left is nobody's"


@pytest.mark.usefixtures("true_colours")
def test_motion_blur_smears_what_moves_and_keeps_masks_in_place(bank: StillBank) -> None:
    def drawn(share: float, freeze: float) -> tuple[torch.Tensor, torch.Tensor]:
        config = SynthesisConfig(together=0.0, pasted=(1.0,), speed=(0.25,), freeze=freeze, camera=0.0, elastic=0.0, motion_blur=share)
        batch = Synthesizer(bank, 48, 80, slots=1, config=config).batch(6, 4, rng(3))
        return batch.frames, batch.masks

    (sharp, masks), (smeared, smeared_masks) = drawn(1e-9, 0.0), drawn(1.0, 0.0)
    both, either = (masks * smeared_masks).sum(), torch.maximum(masks, smeared_masks).sum()
    assert both / either > 0.7
    assert (sharp - smeared).abs().mean() > 0.005
    edges = [(each[..., 1:] - each[..., :-1]).abs().amax((1, 2, 3, 4)).mean() for each in (sharp, smeared)]
    assert edges[1] < edges[0], "edges are softer"
    still_sharp, still_smeared = drawn(1e-9, 1.0)[0], drawn(1.0, 1.0)[0]
    torch.testing.assert_close(still_sharp, still_smeared, atol=2e-2, rtol=0)


@pytest.mark.parametrize("skip", [None, 3])
def test_cutouts_vanish_for_a_stretch_and_come_back(bank: StillBank, skip: int | None) -> None:
    still = SynthesisConfig(together=0.0, pasted=(1.0,), freeze=1.0, vanishing=1.0)
    clip = Synthesizer(bank, 48, 64, 1, still).batch(16, 6, torch.Generator().manual_seed(3), skip=skip)
    areas = clip.masks.sum((2, 3, 4))
    assert (areas[:, 0] > 0).all()
    assert ((areas[:, 1:] == 0).any(1)).all(), "every cutout is gone at some time"
    assert ((areas == 0) | (areas == areas[:, :1])).all(), "and whole at any other"
    assert (areas[:, -1] > 0).any() and (areas[:, -1] == 0).any(), "some come back within the clip"
    if skip:
        assert clip.before is not None and (clip.before[:, 1].sum((1, 2, 3)) > 0).any()


@pytest.mark.parametrize("skip", [None, 3])
def test_bars_hide_what_lies_behind_and_move_past_it(bank: StillBank, skip: int | None) -> None:
    def drawn(bars: float) -> ClipBatch:
        still = SynthesisConfig(together=0.0, pasted=(1.0,), freeze=1.0, bars=bars)
        return Synthesizer(bank, 48, 80, 1, still).batch(24, 4, rng(5), skip=skip)

    without, few, all_of_them = drawn(0.0), drawn(1e-9), drawn(1.0)
    assert few.masks.equal(without.masks), "a share of next to nothing"
    hidden = without.masks.bool() & ~all_of_them.masks.bool()
    assert not (all_of_them.masks.bool() & ~without.masks.bool()).any(), "no mask grows"
    touched = hidden.flatten(1).any(1)
    assert 0.3 < touched.float().mean() <= 1
    lost = hidden.sum() / without.masks[touched].sum()
    assert 0.02 < lost < 0.5, f"thin: {lost:.2f} of the objects that they cross"
    assert not hidden[:, 0].equal(hidden[:, -1]), "they move, the objects do not"
    if skip:
        assert few.before is not None and all_of_them.before is not None
        assert (few.before.bool() & ~all_of_them.before.bool())[:, 1:].any(), "in the frames between, too"


def test_frozen_clips_stand_still(bank: StillBank) -> None:
    masks = Synthesizer(bank, 32, 48, config=SynthesisConfig(freeze=1.0)).batch(4, 3, rng()).masks
    assert masks.equal(masks[:, :1].expand_as(masks)) and masks.sum() > 0


def test_the_generator_decides_everything(bank: StillBank) -> None:
    synthesizer = Synthesizer(bank, 32, 48)
    first, again, other = (synthesizer.batch(2, 3, rng(seed)) for seed in (1, 1, 2))
    assert all(a.equal(b) for a, b in zip(first[:3], again[:3], strict=True))
    assert not first.frames.equal(other.frames)


def test_photometry_stays_in_range_and_changes_clips_apart() -> None:
    frames = torch.rand(1, 2, 3, 32, 48, generator=rng()).expand(12, -1, -1, -1, -1).clone()
    out = clip_photometry(frames.clone(), rng(1))
    assert out.shape == frames.shape and out.min() >= 0 and out.max() <= 1
    means = out.mean((1, 2, 3, 4))
    assert len({round(float(m), 3) for m in means}) > 6


def test_a_filled_hole_continues_its_surroundings() -> None:
    left, right = torch.tensor([0.1, 0.3, 0.5]), torch.tensor([0.9, 0.6, 0.5])
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[24:40, 20:44] = True
    for other in (left, right):
        rgb = left.view(3, 1, 1).repeat(1, 64, 64)
        rgb[:, :, 32:] = other.view(3, 1, 1)
        rgb[:, hole] = torch.tensor([0.0, 1.0, 0.0]).view(3, 1)
        filled = fill_in(rgb, hole)
        beyond = ~(F.max_pool2d(hole[None].float(), 9, 1, 4)[0] > 0)
        assert filled[:, beyond].equal(rgb[:, beyond])
        assert (filled[:, 32, 20] - left).abs().max() < 0.25 and (filled[:, 32, 43] - other).abs().max() < 0.25
        if other is left:
            torch.testing.assert_close(filled[:, hole], left.view(3, 1).expand(-1, int(hole.sum())), atol=1e-4, rtol=0)
