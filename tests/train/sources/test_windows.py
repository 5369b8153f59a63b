"""Windows of real clips: which frames they take, and that crops keep masks on their objects."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from training_data import RED, around, clips_of, core, write_clip

from vos_zoo.errors import DataError
from vos_zoo.train.sources.clips import Clip
from vos_zoo.train.sources.views import ViewConfig, view_grid
from vos_zoo.train.sources.windows import ClipSampler


@pytest.fixture(autouse=True)
def _true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.sources.windows.clip_photometry", lambda frames, rng: frames)


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
    sampler = ClipSampler([numbered("a", 50, runs)], 16, 16)
    steps, seen = set(), set()
    for window in sampler.batch(150, 4, rng(), max_skip=3).frames:
        taken = frames_taken(window)
        (step,) = {b - a for a, b in pairwise(taken)}
        steps.add(step)
        seen.update(taken)
        assert any(start <= min(taken) and max(taken) < stop for start, stop in runs), taken
    assert steps == {-3, -2, -1, 1, 2, 3}
    assert seen == set(range(3, 8)) | set(range(20, 40))


def test_random_gaps_and_the_frame_before_each() -> None:
    sampler = ClipSampler([numbered("a", 50, [(10, 40)])], 16, 16)
    gaps, backwards = set(), 0
    for n in range(60):
        batch = sampler.batch(1, 3, rng(n), max_skip=5, random_gaps=True)
        taken = frames_taken(batch.frames[0])
        differences = [b - a for a, b in pairwise(taken)]
        assert all(d > 0 for d in differences) or all(d < 0 for d in differences)
        gaps.update(abs(d) for d in differences)
        backwards += differences[0] < 0
        assert batch.before is not None and batch.before.shape == batch.masks.shape
    assert gaps == {1, 2, 3, 4, 5} and 10 < backwards < 50


def test_the_mask_before_is_that_of_the_videos_previous_frame(tmp_path: Path) -> None:
    places = [(20, 5 + 3 * t) for t in range(12)]
    (clip,) = clips_of(write_clip(tmp_path / "a", frames=12, ids={1: places}))
    plain = ViewConfig(view="frame", flip=0.0, reverse=0.0, photometry=False)
    sampler = ClipSampler([clip], 64, 96, slots=1, view=plain)
    batch = sampler.batch(6, 3, rng(), max_skip=4, random_gaps=True)
    for masks, before in zip(batch.masks[:, 1:, 0].flatten(0, 1), batch.before[:, 1:, 0].flatten(0, 1), strict=True):  # type: ignore[index]
        left, left_before = (int(each.any(0).nonzero()[0]) for each in (masks, before))
        assert left - left_before == 3, "one frame earlier, whatever the gap"


def grid_of(frames: int = 1, **config: object) -> torch.Tensor:
    masks = torch.zeros(frames, 1, 48, 80)
    masks[:, :, 30:40, 50:70] = 1
    values: dict[str, object] = {"flip": 0.0, **config}
    return view_grid(masks, (24, 40), ViewConfig(**values), rng())[0]  # type: ignore[arg-type]


def test_the_whole_frame_is_seen_as_it_is() -> None:
    grid = grid_of(view="frame")
    assert grid[0, :, 0].tolist() == pytest.approx(((torch.arange(40) + 0.5) / 20 - 1).tolist(), abs=1e-6)
    assert grid[:, 0, 1].tolist() == pytest.approx(((torch.arange(24) + 0.5) / 12 - 1).tolist(), abs=1e-6)
    assert grid_of(view="frame", flip=1.0)[0, :, 0].tolist() == pytest.approx(grid[0, :, 0].flip(0).tolist(), abs=1e-6)
    torch.testing.assert_close(grid_of(view="frame", scale=(2.0, 2.0)), grid / 2)


def test_a_turned_frame_keeps_angles_and_lengths() -> None:
    straight, turned = grid_of(view="frame"), grid_of(view="frame", rotate=30.0)
    scale = torch.tensor([80 / 48, 1.0])  # to half frame heights
    a, b = (grid[0, 0] * scale for grid in (straight, turned))
    assert float(a.norm()) == pytest.approx(float(b.norm()), rel=1e-4)
    right, down = (turned[0, -1] - turned[0, 0]) * scale, (turned[-1, 0] - turned[0, 0]) * scale
    assert float(right @ down) == pytest.approx(0, abs=1e-4) and float(right[1].abs()) > 0.01


def test_a_crop_around_all_objects_has_the_scale_and_holds_them() -> None:
    masks = torch.zeros(2, 2, 96, 160)
    masks[0, 0, 40:50, 100:110], masks[1, 1, 60:70, 120:130] = 1, 1
    config = ViewConfig(view="objects", short_edge=(96, 192), flip=0.0)
    spans = set()
    for n in range(30):
        grid = view_grid(masks, (48, 80), config, rng(n))[0]
        (x0, y0), (x1, y1) = grid[0, 0].tolist(), grid[-1, -1].tolist()
        spans.add((x1 - x0) / 2 * 80 / 79)  # of the frame's width
        assert (x1 - x0) / (y1 - y0) == pytest.approx(79 / 80 / (47 / 48), rel=1e-3)
        if (y1 - y0) > 1.1 * (30 / 96 * 2):
            assert x0 < 100 / 80 - 1 and x1 > 130 / 80 - 1 and y0 < 40 / 48 - 1 and y1 > 70 / 48 - 1
        assert x0 >= -1 and x1 <= 1 and y0 >= -1 and y1 <= 1
    assert min(spans) < 0.3 and max(spans) > 0.45, "short edges of 96 to 192 pixels: half to a quarter of the frame is seen"


def test_what_the_papers_do_not_do_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.sources.windows.clip_photometry", lambda frames, rng: pytest.fail("photometry"))
    plain = ViewConfig(view="frame", flip=0.0, reverse=0.0, photometry=False)
    sampler = ClipSampler([numbered("a", 9, [(0, 9)])], 16, 16, view=plain)
    for n in range(10):
        taken = frames_taken(sampler.batch(1, 4, rng(n), max_skip=1).frames[0])
        assert taken == list(range(taken[0], taken[0] + 4)), "consecutive, forwards"


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
    (clip,) = clips_of(write_clip(tmp_path / "a", frames=6, ids=ids))
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
    (clip,) = clips_of(write_clip(tmp_path / "a", frames=4))
    batch = ClipSampler([clip], 32, 48, slots=3).batch(4, 2, rng())
    assert batch.active.tolist() == [[True, False, False]] * 4
    assert batch.masks[:, :, 1:].sum() == 0


def test_the_generator_decides_everything(tmp_path: Path) -> None:
    sampler = ClipSampler(clips_of(write_clip(tmp_path / "a", frames=6)), 32, 48)
    first, again, other = (sampler.batch(2, 3, rng(seed)) for seed in (1, 1, 2))
    assert all(a.equal(b) for a, b in zip(first[:3], again[:3], strict=True))
    assert not first.frames.equal(other.frames)


def test_no_usable_clip_is_an_error() -> None:
    with pytest.raises(DataError, match="no clip has an object that is seen in two neighbouring annotated frames; add clips"):
        ClipSampler([Clip("a", torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8), {})], 16, 16)


def twins_of(share: float, slots: int = 2, *, bystanders: float = 0.0) -> ClipSampler:
    """Windows of a clip in which a square of 12 moves right by 2 a frame, on a picture whose columns are of different greys."""
    frames = torch.arange(96, dtype=torch.uint8).view(1, 1, 1, 96).expand(8, 3, 64, 96).clone()
    ids = torch.zeros(8, 64, 96, dtype=torch.uint8)
    for t in range(8):
        ids[t, 20:32, 10 + 2 * t : 22 + 2 * t] = 1
        frames[t, :, 20:32, 10 + 2 * t : 22 + 2 * t] = 200
    plain = ViewConfig(view="frame", flip=0.0, reverse=0.0, photometry=False, twins=share, bystanders=bystanders)
    return ClipSampler([Clip("moving", frames, ids, {1: [(0, 8)]})], 64, 96, slots=slots, view=plain)


def test_a_twin_looks_like_its_object_moves_the_other_way_and_hides_it_or_is_hidden() -> None:
    batch, again = (twins_of(1.0).batch(1, 4, rng(seed), max_skip=1) for seed in (0, 0))
    assert batch.active.tolist() == [[True, True]] and all(torch.equal(a, b) for a, b in zip(batch[:3], again[:3], strict=True))
    own, other = batch.masks[0, :, 0], batch.masks[0, :, 1]
    assert not (own * other).any() and (own.sum((1, 2)) + other.sum((1, 2)) > 144).all()
    for t in range(4):
        assert (batch.frames[0, t, :, other[t] > 0] * 255 - 200).abs().max() < 1
    middle = [float((each * torch.arange(96)).sum() / each.sum()) for each in other]
    assert all(left - right == pytest.approx(2, abs=0.1) for left, right in pairwise(middle)), "its mirror image moves left"


def test_a_clips_twin_is_always_in_the_same_place_and_needs_a_free_slot() -> None:
    shown = {}
    for seed in range(6):
        batch = twins_of(1.0).batch(1, 2, rng(seed), max_skip=1)
        for frame, masks in zip(batch.frames[0], batch.masks[0], strict=True):
            at = int(masks[0].any(0).nonzero()[0])
            assert torch.equal(shown.setdefault(at, frame), frame), "so what a trunk shows of it can be kept"
    assert len(shown) > 4
    for sampler in (twins_of(0.0), twins_of(1.0, slots=1)):
        batch = sampler.batch(4, 2, rng(), max_skip=1)
        assert batch.active.sum() == 4
    counts = [int(twins_of(0.5).batch(1, 2, rng(seed), max_skip=1).active.sum()) for seed in range(24)]
    assert 6 <= counts.count(2) <= 18
    with pytest.raises(DataError, match="twins 2 is a share"):
        ViewConfig(twins=2)


def test_bystanders_look_like_the_object_and_belong_to_the_background() -> None:
    plain, hidden, counts = twins_of(0.0, slots=1), 0, set()
    for seed in range(24):
        batch = twins_of(0.0, slots=1, bystanders=1.0).batch(1, 2, rng(seed), max_skip=1)
        alone = plain.batch(1, 2, rng(seed), max_skip=1)
        assert batch.active.tolist() == [[True]]
        own, whole = batch.masks[0, :, 0] > 0, alone.masks[0, :, 0] > 0
        assert not (own & ~whole).any() and own.any(2).any(1).all(), "an object may be hidden in part, and never grows"
        hidden += int((whole & ~own).any())
        looks = (batch.frames[0, :, 0] * 255 - 200).abs() < 1
        assert (looks & ~whole).any(), "a copy is seen elsewhere"
        counts.add(int((looks & ~whole)[0].sum()) // 144)
        again = twins_of(0.0, slots=1, bystanders=1.0).batch(1, 2, rng(seed), max_skip=1)
        assert torch.equal(batch.frames, again.frames) and torch.equal(batch.masks, again.masks)
    assert 0 < hidden < 24 and len(counts) > 1, "some lie in front; there are one, two or three"
    with pytest.raises(DataError, match="bystanders 2 is a share"):
        ViewConfig(bystanders=2)


def test_a_share_of_windows_has_bystanders_and_the_others_are_as_without() -> None:
    changed = [
        not torch.equal(*(twins_of(0.0, bystanders=share).batch(1, 2, rng(seed), max_skip=1).frames for share in (0.5, 1e-9)))
        for seed in range(24)
    ]
    assert 6 <= sum(changed) <= 18
