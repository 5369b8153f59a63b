"""A lost object is found again by its looks, and a mask on something else is taken away: driven by a model that can't look for itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import COLOURS, toy_segmenter

import vos_zoo
from vos_zoo.benchmark import measure
from vos_zoo.benchmark.synthetic import SyntheticClip
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine.appearance import MAX_FRAMES, Appearance, AppearanceMemory, is_background, similarities
from vos_zoo.engine.grid import make_grid
from vos_zoo.engine.redetection import (
    FRAMES_PER_LOOK,
    ObjectMatch,
    agreement,
    better_masks,
    match,
    share_inside,
    taken_away,
)
from vos_zoo.engine.views import Branch
from vos_zoo.errors import CheckpointError, VosZooError
from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.crvos import CRVOS
from vos_zoo.models.parts.ops import aggregate
from vos_zoo.models.rvos import RVOS
from vos_zoo.segmenter import Segmenter


class State(NamedTuple):
    masks: Tensor
    active: Tensor


@dataclass(frozen=True)
class Config:
    pass


class Still(VOSModel):
    """Holds the last mask still, whatever it sees; tells things apart by their colour."""

    Config = Config
    stride = 8
    padding = "zeros"
    describes = True

    def __init__(self, config: Config | None = None):
        super().__init__()
        self.config = config or Config()
        self.one = torch.nn.Parameter(torch.tensor(1.0))

    def encode(self, frames: Tensor) -> Tensor:
        return frames

    def describe(self, features: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(features, self.stride)

    def start(self, features: Tensor, masks: Tensor, active: Tensor | None = None) -> State:
        return State(masks, torch.ones(masks.shape[:2], dtype=torch.bool) if active is None else active)

    def predict(self, features: Tensor, state: State) -> Prediction:
        return Prediction((state.masks - 0.5) * 20)

    def advance(self, features: Tensor, prediction: Prediction, state: State) -> tuple[Tensor, State]:
        probs = aggregate(prediction.logits, state.active)
        return probs, State(probs[:, 1:], state.active)

    def annotate(self, features: Tensor, masks: Tensor, given: Tensor, state: State) -> State:
        old = torch.cat([state.masks, masks[:, state.masks.shape[1] :]], 1)
        active = torch.cat([state.active, given[:, state.active.shape[1] :]], 1)
        return State(torch.where(given[..., None, None], masks, old), active)


def still(redetection: bool = True, name: str = "still", short_side: int | None = None) -> Segmenter:
    config = ModelConfig(name=name, architecture="Still", preprocess=Preprocess(short_side))
    return Segmenter(Still(), config, device="cpu", dtype="float32", redetection=redetection)


def clip(places: list[dict[int, tuple[int, int]]], scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Squares of 24 pixels at (y, x) of each frame, multiples of 8, over grey, 64x96 in all; everything times scale."""
    video = np.full((len(places), 64, 96, 3), 120, np.uint8)
    truth = np.zeros((len(places), 64, 96), np.int32)
    for t, frame in enumerate(places):
        for k, (y, x) in frame.items():
            video[t, y : y + 24, x : x + 24] = COLOURS[k]
            truth[t, y : y + 24, x : x + 24] = k
    return video.repeat(scale, 1).repeat(scale, 2), truth.repeat(scale, 1).repeat(scale, 2)


def assert_found(mask: np.ndarray, truth: np.ndarray) -> None:
    """Where it is, but for corners: what finds it sees cells of 8x8 pixels."""
    assert (mask != truth).mean() < 0.01 and set(np.unique(mask)) == set(np.unique(truth))


HERE, THERE = (8, 8), (32, 64)
MOVES = [{1: HERE}] * 2 + [{1: (8, 16)}] * 8
NEW = (120, 200, 40)  # neither like object 1 nor like what is around it
JUMPS = [{1: HERE}] * 2 + [{1: THERE}] * 8


def test_an_object_that_jumped_is_found_at_the_next_look():
    video, truth = clip(JUMPS)
    masks = still().propagate(video, truth[0])
    for t in range(2, FRAMES_PER_LOOK):
        np.testing.assert_array_equal(masks[t], truth[0])
    for t in range(FRAMES_PER_LOOK, len(video)):
        assert_found(masks[t], truth[t])
    without = still(redetection=False).propagate(video, truth[0])
    assert all(np.array_equal(without[t], truth[0]) for t in range(len(video)))


def test_an_object_that_is_gone_has_no_pixel_and_comes_back():
    video, truth = clip([{1: HERE}] * 2 + [{}] * 9 + [{1: THERE}] * 5)
    masks = still().propagate(video, truth[0])
    assert not masks[FRAMES_PER_LOOK].any() and not masks[FRAMES_PER_LOOK + 1].any() and not masks[2 * FRAMES_PER_LOOK].any()
    assert masks.lost[FRAMES_PER_LOOK : 3 * FRAMES_PER_LOOK].all() and not masks.lost[: FRAMES_PER_LOOK - 1].any()
    assert (masks.confidence[FRAMES_PER_LOOK : 3 * FRAMES_PER_LOOK] == 0).all()
    for t in range(3 * FRAMES_PER_LOOK, len(video)):
        assert_found(masks[t], truth[t])
    assert not masks.lost[3 * FRAMES_PER_LOOK :].any()


def test_others_are_left_alone():
    """Object 2 stays where it is, object 1 jumps: the mask of 2 is the same in every frame."""
    video, truth = clip([{1: HERE, 2: (8, 64)}] * 2 + [{1: (40, 8), 2: (8, 64)}] * 8)
    masks = np.asarray(still().propagate(video, truth[0]))
    assert all(np.array_equal(mask == 2, truth[0] == 2) for mask in masks)
    assert_found(masks[-1], truth[-1])


def test_what_agrees_halfway_is_left_to_the_model():
    """The square moves by a third of its side, and leaves something new: the mask held still is not so wrong that it is doubted."""
    video, truth = clip(MOVES)
    video[2:, 8:32, 8:16] = NEW
    masks = still().propagate(video, truth[0])
    assert all(np.array_equal(masks[t], truth[0]) for t in range(len(video)))


def test_but_what_surely_is_background_is_cut_out():
    video, truth = clip(MOVES)
    masks = still().propagate(video, truth[0])
    assert all(np.array_equal(masks[t], truth[0]) for t in range(FRAMES_PER_LOOK))
    for t in range(FRAMES_PER_LOOK, len(video)):
        assert_found(masks[t], truth[0] & truth[t])


def test_what_is_cut_is_not_handed_on():
    """After the look nobody cuts any more: the model holds the smaller mask still."""
    video, truth = clip(MOVES)
    masks = still().propagate(video[: 2 * FRAMES_PER_LOOK], truth[0])
    for t in range(FRAMES_PER_LOOK + 1, 2 * FRAMES_PER_LOOK):
        np.testing.assert_array_equal(masks[t], masks[FRAMES_PER_LOOK])


def test_a_side_that_was_never_seen_is_not_cut():
    """A third of the square is of a colour that is neither its own nor that of what is around it."""
    video, truth = clip([{1: HERE}] * 10, scale=2)
    video[2:, 16:64, 16:32] = NEW
    masks = still().propagate(video, truth[0])
    assert all(np.array_equal(mask, truth[0]) for mask in masks)


def test_what_came_later_is_cut_where_it_lies_apart():
    """The middle of a bar turns to background, and one end to what nobody has seen: the other end is what is left of the object."""
    video, truth = clip([{1: HERE}] * 10, scale=2)
    video[2:, 16:64, 24:48] = video[0, 0, 0]
    video[2:, 16:64, 48:64] = NEW
    masks = still().propagate(video, truth[0])
    left = truth[0].copy()
    left[:, 24:] = 0
    np.testing.assert_array_equal(masks[FRAMES_PER_LOOK - 1], truth[0])
    assert_found(masks[2 * FRAMES_PER_LOOK], left)


@pytest.mark.parametrize("slot", [0, 1])
def test_only_who_leaks_is_cut(slot):
    """One of two squares moves by a third."""
    moved = {1 + slot: (8, 16 if slot == 0 else 56), 2 - slot: (8, 64) if slot == 0 else HERE}
    video, truth = clip([{1: HERE, 2: (8, 64)}] * 2 + [moved] * 4)
    mask = still().propagate(video, truth[0])[-1]
    assert_found(mask == 1 + slot, (truth[0] == 1 + slot) & (truth[-1] == 1 + slot))
    np.testing.assert_array_equal(mask == 2 - slot, truth[0] == 2 - slot)


def test_a_mask_does_not_give_way_to_a_part_of_itself():
    """Two thirds of the square take on a colour that nobody has seen; what still looks like it is a part of the mask."""
    video, truth = clip([{1: HERE}] * 10, scale=2)
    video[2:, 16:64, 16:48] = NEW
    masks = still().propagate(video, truth[0])
    assert all(np.array_equal(mask, truth[0]) for mask in masks)
    mask, part = torch.ones(1, 4, 4), torch.zeros(1, 4, 4)
    part[0, :2] = 1
    assert (
        share_inside(part, mask).tolist() == [1.0]
        and share_inside(mask, part).tolist() == [0.5]
        and share_inside(0 * part, mask).tolist() == [0.0]
    )


class Swallows(Still):
    """Gives the first object whatever any has."""

    def predict(self, features: Tensor, state: State) -> Prediction:
        masks = torch.zeros_like(state.masks)
        masks[:, 0] = state.masks.sum(1).clamp(max=1)
        return Prediction((masks - 0.5) * 20)


def test_what_another_swallowed_is_given_back():
    """The model gives nothing back whatever it is told, so that no new mask of it could."""
    video, truth = clip([{1: HERE, 2: THERE}] * (FRAMES_PER_LOOK + 1))
    config = ModelConfig(name="swallows", architecture="Still", preprocess=Preprocess(None))
    masks = Segmenter(Swallows(), config, device="cpu", dtype="float32", redetection=True).propagate(video, truth[0])
    np.testing.assert_array_equal(masks[FRAMES_PER_LOOK - 1], truth[0] > 0)
    assert_found(masks[FRAMES_PER_LOOK], truth[0])
    assert not masks.lost[FRAMES_PER_LOOK].any()


def test_a_new_mask_does_not_take_most_of_anothers():
    """Unless that one is found elsewhere in the same look, or nothing stands where it would take the place of one."""
    masks, maps, new = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    masks[0, :1], masks[1, 1:2], maps[0, 1:3], new[0, 1:3] = 1, 1, 1, 1  # object 0 looks like what 1 is on
    doubted = [ObjectMatch(0.0, 1.0, 1.0, 4), ObjectMatch(0.9, 0.0, 1.0, 4)]
    assert better_masks(new, masks, maps, doubted, [0]) == []
    assert better_masks(new, masks, maps, [doubted[0]._replace(cells=0.0), doubted[1]], [0]) == [0]
    masks[1, 3] = 1  # half of it is left
    assert better_masks(new, masks, maps, doubted, [0]) == [0]
    masks[1, 3], maps[1, 3], new[1, 3] = 0, 1, 1
    assert better_masks(new, masks, maps, [doubted[0], doubted[0]], [0, 1]) == [0, 1]


def test_a_mask_on_what_looks_like_another_object_is_not_taken_away():
    """Which of two that look alike is which, looks can't say."""
    masks, maps = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    masks[0, :2], maps[1, :2] = 1, 1
    (mistaken, _) = matches = match(masks, maps, maps)
    assert mistaken.agreement == 0 and mistaken.likeness == 1
    assert not taken_away(matches, recovered=[], gone=[])


def test_nothing_is_background_where_none_was_seen():
    """Objects that fill the first frame, and an object that has no cell of its own."""
    similar, owners = torch.rand(6, 4), torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    assert not is_background(*similarities(similar, owners)).any()
    owners = torch.tensor([[1.0, 1, 1, 0.6], [0, 0, 0, 0.4]])
    assert not is_background(*similarities(similar, owners)).any()
    some = similarities(torch.tensor([[0.9, 0.2], [0.9, 0.7], [0.29, 0.0]]), torch.eye(2))
    assert is_background(*some).tolist() == [[True, False, False]]


def test_what_looks_like_nothing_annotated_is_not_taken_for_the_object():
    """Another thing stands where the object was: its mask is taken away, and goes to nothing else."""
    video, truth = clip([{1: HERE}] * 2 + [{2: HERE, 3: THERE}] * 6)
    masks = still().propagate(video, truth[0])
    assert not np.asarray(masks)[FRAMES_PER_LOOK:].any()


@pytest.mark.parametrize("moved", [0, 32])
def test_a_small_object_is_not_taken_away(moved):
    """Its cells look more like what is around it; whether its mask still lies on it can't be told."""
    video, truth = np.full((10, 64, 96, 3), 120, np.uint8), np.zeros((64, 96), np.int32)
    truth[10:14, 10:14] = 1
    for t, frame in enumerate(video):
        frame[10:14, 10 + moved * (t > 1) : 14 + moved * (t > 1)] = COLOURS[1]
    masks = still().propagate(video, truth)
    assert all(np.array_equal(mask, truth) for mask in masks)


def test_all_ways_of_going_through_a_video_agree_byte_for_byte():
    video, truth = clip([{1: HERE, 2: (8, 64)}] * 3 + [{1: (40, 8), 2: (8, 64)}] * 4 + [{2: (40, 64)}] * 8)
    segmenter = still()
    whole = np.asarray(segmenter.propagate(video, truth[0]))
    streamed = np.stack([item.mask for item in segmenter.stream(iter(video), truth[0])])
    session, grouped = (segmenter.start(video[0], truth[0]) for _ in range(2))
    stepped = np.stack([session.current(), *(session.step(frame) for frame in video[1:])])
    groups = [grouped.run(list(video[1:7])), grouped.run(list(video[7:]))]
    together = np.stack([grouped.current() * 0 + truth[0], *(shown.mask for group in groups for shown in group)])
    assert whole.tobytes() == streamed.tobytes() == stepped.tobytes() == together.astype(whole.dtype).tobytes()
    many = dict(segmenter.propagate_many([video, video[:, ::-1].copy()], [truth[0], truth[0][::-1].copy()], progress=False))
    assert np.asarray(many[0]).tobytes() == whole.tobytes()
    np.testing.assert_array_equal(np.asarray(many[1]), whole[:, ::-1])


def test_the_memory_does_not_grow_with_time():
    video, truth = clip(JUMPS * 4)
    session = still().start(video[0], truth[0])
    before = session.state_bytes()
    assert before > still(redetection=False).start(video[0], truth[0]).state_bytes()
    for frame in video[1:]:
        session.step(frame)
    assert session.state_bytes() == before


def test_nor_without_end_with_annotations():
    video, truth = clip([{1: HERE, 2: (8, 64)}] * 2)
    session = still().start(video[0], truth[0])
    sizes = []
    for _ in range(3 * MAX_FRAMES):
        session.annotate(video[1], {1: truth[0] == 1})
        sizes.append(session.state_bytes())
    assert len(set(sizes[MAX_FRAMES:])) == 1
    session.step(video[1])
    np.testing.assert_array_equal(session.current(), truth[0])  # object 2 is known from the first frame still


def test_a_step_that_fails_leaves_what_is_gone_as_it_was(monkeypatch):
    video, truth = clip([{1: HERE}] * 2 + [{}] * 8)
    session = still().start(video[0], truth[0])
    for frame in video[1:FRAMES_PER_LOOK]:
        session.step(frame)
    before = session.state.model.redetection.gone
    with monkeypatch.context() as patch:
        patch.setattr("vos_zoo.engine.tracker.certainty_of", lambda probs: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            session.step(video[FRAMES_PER_LOOK])
    assert session.state.model.redetection.gone == before and session.index == FRAMES_PER_LOOK - 1
    assert not session.step(video[FRAMES_PER_LOOK]).any()


def test_an_object_that_is_removed_is_background_from_then_on():
    video, truth = clip([{1: HERE, 2: (8, 64)}] * 2 + [{1: (40, 8), 2: (8, 64)}] * 8)
    session = still().start(video[0], truth[0])
    session.remove(1)
    for frame in video[1:]:
        session.step(frame)
    np.testing.assert_array_equal(session.current(), np.where(truth[0] == 2, 2, 0))
    session.remove(2)
    assert not any(session.step(video[-1]).any() for _ in range(FRAMES_PER_LOOK))


def test_an_object_that_comes_later_is_found_again_too():
    video, truth = clip([{1: HERE}] * 3 + [{1: HERE, 2: (8, 64)}] * 2 + [{1: HERE, 2: (40, 40)}] * 8)
    masks = still().propagate(video, masks={0: truth[0], 3: np.where(truth[3] == 2, 2, 0)})
    assert_found(masks[-1], truth[-1])


def test_what_is_annotated_again_is_there():
    video, truth = clip([{1: HERE}] * 2 + [{}] * FRAMES_PER_LOOK + [{1: THERE}] * 2)
    session = still().start(video[0], truth[0])
    for frame in video[1 : FRAMES_PER_LOOK + 1]:
        session.step(frame)
    assert session.lost == (1,)
    session.annotate(video[-1], truth[-1])
    assert_found(session.step(video[-1]), truth[-1])


@pytest.mark.parametrize("tta", [None, "flip", True])
def test_several_views_find_it_together(tta):
    video, truth = clip(JUMPS)
    masks = still().propagate(video, truth[0], tta=tta)
    assert_found(masks[-1], truth[-1])


def test_another_models_features_do_as_well():
    """They are looked at in three quarters of its size: 64 pixels of 85."""
    describer = still(short_side=85)
    other = Segmenter(Still(), ModelConfig(name="other", architecture="Still"), device="cpu", dtype="float32", redetection=describer)
    for scale in (1, 2):
        video, truth = clip(JUMPS, scale=scale)
        assert_found(other.propagate(video, truth[0])[-1], truth[-1])
    assert other.info()["redetection"] == "still" and other.describer.model is not other.model


def test_an_ensemble_looks_for_what_all_its_members_would():
    video, truth = clip(JUMPS)
    both, mixed = vos_zoo.ensemble([still(), still()]), vos_zoo.ensemble([still(), still(redetection=False)])
    assert_found(both.propagate(video, truth[0])[-1], truth[-1])
    assert mixed.describer is None
    np.testing.assert_array_equal(mixed.propagate(video, truth[0])[-1], truth[0])


def test_a_model_that_tells_nothing_apart_is_refused():
    with pytest.raises(VosZooError, match="redetection=False"):
        toy_segmenter(redetection=True)


def test_agreement():
    mask, half = torch.ones(1, 2, 2), torch.full((1, 2, 2), 0.5)
    assert agreement(mask, mask).tolist() == [1.0] and agreement(half, mask).tolist() == [0.5]
    assert agreement(mask, 0 * mask).tolist() == agreement(0 * mask, 0 * mask).tolist() == [0.0]


def test_maps_are_shares_and_what_is_unknown_is_nobodys():
    """A mask that was not given may be wrong: its cells are neither the object's nor the background's."""
    video, truth = clip([{1: HERE, 2: (8, 64)}])
    model = Still()
    grid = make_grid(video[0].shape[:2], short_side=None, stride=8, padding="zeros")
    appearance = Appearance(Branch(model, torch.device("cpu"), grid), 0)
    features = [model.encode(grid.frame(video[0], torch.device("cpu")))]
    layers = np.stack([truth[0] == 1, truth[0] == 2])
    memory = appearance.remember(AppearanceMemory(), video[0], features, layers, [True, False])
    maps = appearance.compare(memory, video[0], features, 2).maps
    assert maps.shape == (2, 8, 12)
    np.testing.assert_allclose(maps[0], appearance.cells_of(grid.masks(layers, torch.device("cpu"))[0])[0], atol=0.05)
    assert float(maps.sum(0).max()) <= 1 + 1e-5
    assert float(maps[1].max()) == 0
    assert memory.bytes() < 8 * 12 * (3 + 3) * 4  # without object 2's nine cells


def test_crvos_describes_at_its_stride():
    model = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7)))
    features = model.encode(torch.rand(2, 3, 48, 64))
    assert model.describes and model.describe(features).shape == (2, model.trunk.channels[-1], 3, 4)


def test_cells_of_a_model_of_any_size_are_those_that_it_describes():
    """RVOS takes frames as they are, and describes them by its trunk's cells of 16 pixels, those at the border cut off."""
    model = RVOS(RVOS.Config(**RVOS.debug, matched=4)).eval()
    grid = make_grid((41, 67), short_side=None, stride=model.stride, padding=model.padding)
    appearance = Appearance(Branch(model, torch.device("cpu"), grid), shared=None)
    frame = np.random.default_rng(0).integers(0, 255, (41, 67, 3), dtype=np.uint8)
    layers = np.zeros((1, 41, 67), bool)
    layers[0, 16:, 48:] = True
    memory = appearance.remember(AppearanceMemory(), frame, [], layers, [True])
    maps = appearance.compare(memory, frame, [], 1).maps
    assert maps.shape == (1, 3, 5)
    assert torch.equal(maps[0] > 0.5, appearance.cells_of(torch.from_numpy(layers).float())[0] > 0.5)
    assert appearance.over_frame(maps).shape == (1, 41, 67)


def test_shipped_checkpoints_name_one_that_describes():
    named = {name: catalogue.read(name).redetection for name in catalogue.names()}
    assert all(named[name] == name for name in ("crvos", "rvos", "acclvos", "scm")) and named["crvos-resnet18"] == "crvos"
    assert all(vos_zoo.create(one, device="cpu").model.describes for one in sorted({*named.values()} - {None}))


def test_loading_with_and_without(tmp_path):
    own, without, other = vos_zoo.load("crvos"), vos_zoo.load("crvos", redetection=False), vos_zoo.load("crvos-resnet18")
    assert own.describer.model is own.model and without.describer is None
    assert other.describer is not None and other.describer.config.name == "crvos"
    other.save_pretrained(tmp_path / "copy")
    again = vos_zoo.load(tmp_path / "copy")
    assert again.describer is not None and again.describer.config.name == "crvos"
    assert vos_zoo.load(tmp_path / "copy", redetection=False).describer is None


def test_an_adapted_copy_looks_with_the_features_it_came_with():
    segmenter = vos_zoo.load("crvos")
    video, truth = clip(JUMPS)
    adapted = segmenter.finetune(video[0], truth[0], steps=1, size=64, progress=False)
    assert adapted.describer.model is segmenter.model


def test_a_config_that_names_none_that_ships_is_refused(tmp_path):
    vos_zoo.load("crvos").save_pretrained(tmp_path / "copy")
    file = tmp_path / "copy" / "config.json"
    file.write_text(file.read_text().replace('"redetection": "crvos"', '"redetection": "crvoz"'))
    with pytest.raises(CheckpointError, match=r"'crvoz'.*'crvos'.*redetection=False"):
        vos_zoo.load(tmp_path / "copy")
    assert vos_zoo.load(tmp_path / "copy", redetection=False).describer is None
    file.write_text(file.read_text().replace('"redetection": "crvoz"', '"redetection": "evil/repo"'))
    with pytest.raises(CheckpointError, match="may hold at most 96 letters"):
        vos_zoo.load(tmp_path / "copy", redetection=False)


def test_the_command_line_can_leave_it_out(tmp_path, capsys):
    from vos_zoo.cli import main

    assert main(["info", "crvos-resnet18"]) == 0
    assert "looked for by the features of crvos" in capsys.readouterr().out
    assert main(["info", "crvos-resnet18", "--no-redetection"]) == 0
    assert "not looked for" in capsys.readouterr().out


def test_what_it_costs_is_a_stage_of_the_benchmark(tmp_path):
    looking, blind = (
        measure.measure_speed(still(on), SyntheticClip(9, (64, 96), 2), tmp_path, repeats=1, stages=["redetection"])[0]
        for on in (True, False)
    )
    assert looking.what == blind.what == "redetection" and looking.seconds > blind.seconds


def test_masks_with_and_without_are_different_runs():
    from vos_zoo.commands.options import settings_of

    assert settings_of(still())["redetection"] == "still" and settings_of(still(redetection=False))["redetection"] is None


def test_the_more_a_mask_agrees_the_more_another_has_to():
    """A mask that covers half of the square is doubted a little: what gains a quarter and more takes its place."""
    video, truth = clip([{1: HERE}] * 2 + [{1: (8, 24)}] * 8)  # what is held still covers a third of where the square is, a soft IoU of 0.2
    assert_found(still().propagate(video, truth[0])[-1], truth[-1])
    video, truth = clip([{1: HERE}] * 2 + [{1: (8, 16)}] * 8)  # two thirds, 0.5: it is cut, not replaced
    assert_found(still().propagate(video, truth[0])[-1], truth[0] & truth[-1])


def test_looks_take_no_longer_than_frames_do():
    """Frames that are much larger than the describer's own are described by themselves, at its size; much smaller ones at theirs.

    Another model's frames are looked at in a smaller size than the describer's own.
    """
    segmenter, config = still(short_side=64), ModelConfig(name="other", architecture="Still")
    other = Segmenter(Still(), config, device="cpu", redetection=segmenter)

    def grid(following: Segmenter, internal: int) -> tuple[tuple[int, int], int | None]:
        redetector = following.redetector_for(following.branches_for((256, 256), following.input_spec(internal)), (256, 256))
        return redetector.appearance.grid.inner, redetector.appearance.shared

    assert [grid(segmenter, size) for size in (32, 64, 80, 256)] == [((32, 32), 0), ((64, 64), 0), ((80, 80), 0), ((64, 64), None)]
    assert [grid(other, size) for size in (32, 64, 80, 256)] == [((32, 32), None), ((48, 48), None), ((48, 48), None), ((48, 48), None)]


def test_maps_do_not_depend_on_how_many_similarities_there_are_at_once(monkeypatch):
    video, truth = clip(JUMPS)
    whole = np.asarray(still().propagate(video, truth[0]))
    monkeypatch.setattr("vos_zoo.engine.appearance.MAX_SIMILARITIES", 500)
    np.testing.assert_array_equal(np.asarray(still().propagate(video, truth[0])), whole)


@pytest.mark.parametrize(
    ("agrees", "cells", "needed"),
    [(0.0, 0.0, 0.3), (0.1, 0.4, 0.3), (0.25, 0.4, 0.35), (0.3, 0.4, 0.55),  # nothing stands there
     (0.0, 10, 0.6), (0.29, 10, 0.6), (0.29, 0.6, 0.6), (0.3, 10, 0.6), (0.49, 10, 0.74),
     (0.5, 10, float("inf")), (1.0, 10, float("inf"))],
)  # fmt: skip
def test_the_less_a_mask_is_doubted_the_more_another_must_agree(agrees, cells, needed):
    assert ObjectMatch(agrees, 1.0, 1.0, cells).agreement_needed == pytest.approx(needed)


def test_a_match_of_every_kind():
    """One object where its map is, one on nothing, one without a mask whose map proposes one."""
    masks, maps = torch.zeros(3, 6, 4), torch.zeros(3, 6, 4)
    masks[0, :2], maps[0, :2] = 1, 1
    masks[1, 4:], maps[1, 3] = 1, 0.1
    maps[2, 2:4] = 0.9
    here, elsewhere, unseen = match(masks, maps, maps.round())
    assert here == ObjectMatch(1.0, 1.0, 1.0, 8.0)
    assert elsewhere.agreement == elsewhere.likeness == 0 and elsewhere.cells == 8
    assert unseen.agreement == 0 and unseen.cells == 0 and unseen.proposal_agreement == pytest.approx(0.9)


def test_who_is_taken_away():
    on_it, strange, small = ObjectMatch(0.9, 1, 0.9, 9), ObjectMatch(0, 0, 0.01, 9), ObjectMatch(0, 0, 0.01, 1)
    assert taken_away([on_it, strange, small], recovered=[], gone=[]) == {1}
    assert taken_away([on_it, strange, small], recovered=[1], gone=[]) == set()
    assert taken_away([on_it, strange, small], recovered=[], gone=[2]) == {1, 2}


def test_what_is_written_of_the_looks_is_true():
    """The number stands in one place, prose says it in words: every fourth frame."""
    root = Path(vos_zoo.__file__).resolve().parent.parent
    ordinals = ["second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
    pages = [root / "README.md", root / "ARCHITECTURE.md", root / "vos_zoo/checkpoints/card_facts.py"]
    pages += [page for page in (root / "docs").rglob("*.md") if page.name != "trials.md"]  # what was tried besides
    lines = [line for page in pages if page.is_file() for line in page.read_text(encoding="utf-8").splitlines()]
    about_looks = [line for line in lines if "Annotations" not in line and "YouTube" not in line]
    said = {word for line in about_looks for word in re.findall(r"every (\w+) frame", line)} & set(ordinals)
    assert said == {ordinals[FRAMES_PER_LOOK - 2]}
