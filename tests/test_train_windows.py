"""Windows of real clips: which frames they take, and that crops keep masks on their objects."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from training_data import RED, around, core, write_clip

from vos_zoo.errors import DataError
from vos_zoo.train.clips import Clip, load_clips
from vos_zoo.train.windows import ClipSampler


@pytest.fixture(autouse=True)
def _true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.windows.clip_photometry", lambda frames, rng: frames)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(name: str, length: int, runs: list[tuple[int, int]]) -> Clip:
    """Frame t is of the grey t, so that a window shows which frames it took; the object fills the middle."""
    frames = torch.arange(length, dtype=torch.uint8).view(length, 1, 1, 1).expand(length, 3, 24, 32).contiguous()
    ids = torch.zeros(length, 24, 32, dtype=torch.uint8)
    ids[:, 6:18, 8:24] = 1
    return Clip(name, frames, ids, {1: runs})


def frames_taken(window: torch.Tensor) -> list[int]:
    greys = window.mean((1, 2, 3)) * 255
    assert (window * 255 - greys.view(-1, 1, 1, 1)).abs().max() < 0.01
    return greys.round().int().tolist()


def test_windows_lie_within_one_run_evenly_spaced() -> None:
    runs = [(3, 8), (20, 40)]
    sampler = ClipSampler([numbered("a", 50, runs)], 16, 16, max_skip=3)
    steps, seen = set(), set()
    for window in sampler.batch(150, 4, rng()).frames:
        taken = frames_taken(window)
        (step,) = {b - a for a, b in pairwise(taken)}
        steps.add(step)
        seen.update(taken)
        assert any(start <= min(taken) and max(taken) < stop for start, stop in runs), taken
    assert steps == {-3, -2, -1, 1, 2, 3}
    assert seen == set(range(3, 8)) | set(range(20, 40))


def test_a_short_run_is_played_back_again() -> None:
    sampler = ClipSampler([numbered("a", 9, [(4, 7)])], 16, 16)
    windows = {tuple(frames_taken(w)) for w in sampler.batch(30, 5, rng()).frames}
    assert windows == {(4, 5, 6, 5, 4)}


def test_many_clips_of_one_source_count_less() -> None:
    clips = [numbered("a__1", 10, [(0, 10)]), numbered("a__2", 10, [(0, 10)]), numbered("b__1", 10, [(0, 10)])]
    clips[2].frames += 100
    frames = ClipSampler(clips, 16, 16).batch(300, 2, rng()).frames
    share = (frames.mean((1, 2, 3, 4)) * 255 > 50).float().mean().item()
    assert share == pytest.approx(1 / (1 + 2 / 2**0.5), abs=0.08)


def test_crops_keep_masks_on_their_objects(tmp_path: Path) -> None:
    ids = {1: [(20, 10 + 4 * t) for t in range(6)], 2: [(30, 60 - 2 * t) for t in range(6)]}
    (clip,) = load_clips([write_clip(tmp_path / "a", frames=6, ids=ids)])
    batch = ClipSampler([clip], 48, 64, slots=2).batch(24, 3, rng())
    assert batch.frames.shape == (24, 3, 3, 48, 64) and batch.masks.shape == (24, 3, 2, 48, 64)
    assert batch.active.all() and set(batch.masks.unique().tolist()) == {0, 1}
    assert (batch.masks[:, 0, 0].sum((1, 2)) > 20).all(), "the target is in sight in the first frame"
    red, blue = torch.tensor(RED) / 255, torch.tensor([20, 60, 240]) / 255
    seen = set()
    for frames, masks in zip(batch.frames, batch.masks, strict=True):
        in_slot = frames[0][:, masks[0, 0] > 0].mean(1)
        first_is_red = bool((in_slot - red).abs().sum() < (in_slot - blue).abs().sum())
        seen.add(first_is_red)
        for slot, colour in enumerate((red, blue) if first_is_red else (blue, red)):
            near = (frames - colour.view(3, 1, 1)).abs().amax(1) < 0.05
            assert near[core(masks[:, slot])].all(), "under the mask lies the object"
            assert around(masks[:, slot])[near].all(), "and nowhere else"
    assert seen == {True, False}


def test_slots_without_an_object_are_empty_and_inactive(tmp_path: Path) -> None:
    (clip,) = load_clips([write_clip(tmp_path / "a", frames=4)])
    batch = ClipSampler([clip], 32, 48, slots=3).batch(4, 2, rng())
    assert batch.active.tolist() == [[True, False, False]] * 4
    assert batch.masks[:, :, 1:].sum() == 0


def test_the_generator_decides_everything(tmp_path: Path) -> None:
    sampler = ClipSampler(load_clips([write_clip(tmp_path / "a", frames=6)]), 32, 48)
    first, again, other = (sampler.batch(2, 3, rng(seed)) for seed in (1, 1, 2))
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    assert not first.frames.equal(other.frames)


def test_no_usable_clip_is_an_error() -> None:
    with pytest.raises(DataError, match="no clip has an object that is seen in two neighbouring annotated frames; add clips"):
        ClipSampler([Clip("a", torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8), {})], 16, 16)
