"""A model that finds the objects itself: no mask goes in, ids come out, and errors say which model does what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import COLOURS, squares_clip, toy_segmenter

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.errors import MaskError, VideoError, VosZooError
from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts.ops import compete
from vos_zoo.segmenter import Segmenter


class State(NamedTuple):
    masks: Tensor  # (B, K, H, W)
    active: Tensor  # (B, K) bool
    colours: Tensor  # (B, K, 3) that the slots look for
    steps: Tensor  # (B, K) int64: frames seen


@dataclass(frozen=True)
class Config:
    slots: int = 4


class Finder(VOSModel):
    """Slot k looks for the k-th colour of COLOURS; needs no first frame, to see that it is stepped on frame 0 like on any other."""

    Config = Config
    stride = 8
    needs_first_frame = False
    finds_objects = True

    def __init__(self, config: Config | None = None):
        super().__init__()
        self.config = config or Config()
        self.colours = torch.nn.Parameter(torch.tensor(list(COLOURS.values())) / 255)
        self.encoded = 0

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded += len(frames)
        return frames

    def start(self, features: Tensor | None, masks: Tensor | None, active: Tensor | None = None) -> State:
        assert features is None and masks is None and active is None
        slots = self.config.slots
        active, steps = torch.ones(1, slots, dtype=torch.bool), torch.zeros(1, slots, dtype=torch.int64)
        return State(torch.zeros(1, slots, 1, 1), active, self.colours[None, :slots], steps)

    def predict(self, features: Tensor, state: State) -> Prediction:
        distance = (features[:, None] - state.colours[..., None, None]).abs().amax(2)
        return Prediction((0.1 - distance) * 60)

    def advance(self, features: Tensor, prediction: Prediction, state: State) -> tuple[Tensor, State]:
        masks = prediction.logits.sigmoid()
        return compete(masks, state.active), State(masks, state.active, state.colours, state.steps + 1)


def finder(**config: int) -> Segmenter:
    return Segmenter(Finder(Config(**config)), ModelConfig(name="finder", architecture="Finder"), device="cpu", dtype="float32")


@pytest.fixture
def segmenter() -> Segmenter:
    return finder()


def found_clip() -> tuple[np.ndarray, np.ndarray]:
    """Objects 1 and 2 from the start, 4 (of colour 300) from frame 5 on; none of the third colour."""
    video, truth = squares_clip(ids=(1, 2, 300), appear={300: 5})
    truth[truth == 300] = 4
    return video, truth


def test_objects_are_found_without_a_mask(segmenter):
    video, truth = found_clip()
    masks = segmenter.propagate(video)
    np.testing.assert_array_equal(np.asarray(masks), truth)
    assert masks.complete and len(masks) == len(video)
    assert segmenter.model.encoded == len(video)  # frame 0 is stepped too, once


def test_the_result_holds_those_that_ever_had_a_pixel_from_then_on(segmenter):
    video, truth = found_clip()
    masks = segmenter.propagate(video)
    assert masks.object_ids == (1, 2, 4)
    assert np.isnan(masks.confidence[:5, 2]).all() and (masks.confidence[5:, 2] > 0.9).all()
    assert (masks.confidence[:, :2] > 0.9).all() and not masks.lost.any()


def test_one_that_vanishes_is_lost_not_forgotten(segmenter):
    video, truth = found_clip()
    video[8:][truth[8:] == 2] = 120
    masks = segmenter.propagate(video)
    assert masks.object_ids == (1, 2, 4)
    assert masks.lost[:, 1].tolist() == [False] * 8 + [True] * 4 and (masks.confidence[8:, 1] == 0).all()


def test_nothing_to_find(segmenter):
    masks = segmenter.propagate(np.full((3, 20, 30, 3), 120, np.uint8))
    assert masks.object_ids == () and masks.complete and not np.asarray(masks).any()


def test_propagate_stream_and_session_agree(segmenter):
    video, truth = found_clip()
    whole = np.asarray(segmenter.propagate(video))
    streamed = list(segmenter.stream(iter(video)))
    assert [item.index for item in streamed] == list(range(len(video)))
    session = segmenter.start(video[0])
    assert session.index == 0 and session.object_ids == (1, 2) and session.confidence.keys() == {1, 2}
    stepped = [session.current()] + [session.step(frame) for frame in video[1:]]
    assert session.object_ids == (1, 2, 4) and session.index == 11
    assert whole.tobytes() == np.stack([item.mask for item in streamed]).tobytes() == np.stack(stepped).tobytes()


def test_every_frame_is_stepped_once(segmenter):
    video, _ = found_clip()
    session = segmenter.start(video[0])
    assert session.state.model.branches[0].steps.tolist() == [[1] * 4]
    session.step(video[1])
    assert session.state.model.branches[0].steps.tolist() == [[2] * 4]


def test_what_was_found_can_be_dropped(segmenter):
    video, truth = found_clip()
    session = segmenter.start(video[0])
    with pytest.raises(MaskError, match=r"objects \[4\] are not followed; those that are: \[1, 2\]"):
        session.remove(4)
    session.remove(1)
    for t in range(1, 7):
        np.testing.assert_array_equal(session.step(video[t]), np.where(truth[t] == 1, 0, truth[t]))
    assert session.object_ids == (2, 4)


def test_more_slots_than_bytes_hold():
    many = finder(slots=300)
    many.model.colours = torch.nn.Parameter(torch.full((300, 3), 2.0))
    many.model.colours.data[299] = torch.tensor(COLOURS[2]) / 255
    video, truth = squares_clip(frames=3, ids=(2,))
    masks = many.propagate(video)
    assert masks.object_ids == (300,)
    np.testing.assert_array_equal(np.asarray(masks), np.where(truth == 2, 300, 0))


def test_several_videos_in_a_batch(segmenter):
    clips = [found_clip()[0], squares_clip(ids=(2,))[0], found_clip()[0][:4]]
    alone = [segmenter.propagate(clip) for clip in clips]
    together = dict(segmenter.propagate_many(clips, batch=3))
    assert sorted(together) == [0, 1, 2]
    for n, masks in together.items():
        assert masks == alone[n] and masks.object_ids == alone[n].object_ids


def test_progress_counts_all_frames(segmenter):
    told = []
    segmenter.propagate(found_clip()[0], progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 12) for n in range(1, 13)]


@pytest.mark.parametrize("method", ["propagate", "stream"])
def test_a_mask_is_refused_before_any_work(segmenter, method):
    video, truth = found_clip()
    message = r"finder finds the objects itself and takes no masks: leave them out, or use a model that follows given ones"
    for masks in ({"first_mask": truth[0]}, {"masks": {2: truth[2]}}):
        with pytest.raises(MaskError, match=message):
            getattr(segmenter, method)(video, **masks)
    assert segmenter.model.encoded == 0


def test_a_session_refuses_masks_too(segmenter):
    video, truth = found_clip()
    with pytest.raises(MaskError, match=r"finder finds the objects itself and takes no mask: start\(frame\)"):
        segmenter.start(video[0], truth[0])
    session = segmenter.start(video[0])
    with pytest.raises(MaskError, match=r"this model finds the objects itself and takes no masks: call step\(frame\)"):
        session.annotate(video[1], truth[1])
    assert session.index == 0


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_it_goes_forward_only(segmenter, direction):
    with pytest.raises(MaskError, match=rf"direction='{direction}' starts from given masks, and finder finds the objects itself"):
        segmenter.propagate(found_clip()[0], direction=direction)
    assert segmenter.model.encoded == 0


def test_several_views_would_not_agree_on_the_ids(segmenter):
    video, _ = found_clip()
    for call in (lambda: segmenter.propagate(video, tta="flip"), lambda: segmenter.start(video[0], tta=True)):
        with pytest.raises(VosZooError, match=r"finder finds the objects itself, and what is object 1 in one view.*leave tta out"):
            call()


def test_there_is_nothing_to_finetune(segmenter):
    video, truth = found_clip()
    with pytest.raises(VosZooError, match="finder finds the objects itself and follows no mask"):
        segmenter.finetune(video[0], truth[0])


def test_a_video_that_ends_before_it_began(segmenter):
    class Empty:
        def __iter__(self):
            return iter(())

    with pytest.raises(VideoError):
        segmenter.propagate(Empty())


def test_a_model_that_follows_masks_asks_for_one():
    video, _ = squares_clip(frames=2)
    message = r"no mask was given: pass first_mask, the objects of frame 0.*a model that finds objects itself is rvos-zeroshot"
    with pytest.raises(MaskError, match=message):
        toy_segmenter().propagate(video)
    with pytest.raises(MaskError, match=r"no mask was given: toy follows the objects of a mask, start\(frame, mask\)"):
        toy_segmenter().start(video[0])
