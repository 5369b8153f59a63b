"""Several views of a video that decide together: what is averaged, what every view's memory gets, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import COLOURS, squares_clip, toy_segmenter

from vos_zoo import TTA
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine.grid import make_grid
from vos_zoo.engine.views import Branch, advance, branches_of, encode, leader
from vos_zoo.errors import VosZooError
from vos_zoo.models.crvos import CRVOS
from vos_zoo.segmenter import Segmenter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny() -> Segmenter:
    torch.manual_seed(3)
    model = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7)))
    config = ModelConfig(name="tiny", architecture="CRVOS", preprocess=Preprocess(short_side=48))
    return Segmenter(model, config, device="cpu", dtype="float32")


def agreement(a: object, b: object) -> float:
    return float((np.asarray(a) == np.asarray(b)).mean())


@pytest.mark.parametrize("off", [None, False, TTA(flip=False, scales=(1.0,))])
def test_one_view_is_the_plain_path_byte_for_byte(tiny, off):
    video, truth = squares_clip()
    plain, views = tiny.propagate(video, truth[0]), tiny.propagate(video, truth[0], tta=off)
    assert np.asarray(views).tobytes() == np.asarray(plain).tobytes()
    np.testing.assert_array_equal(views.confidence, plain.confidence)


@pytest.mark.parametrize("tta", ["flip", "scales", True, TTA(flip=True, scales=(0.8, 1))])
@pytest.mark.parametrize("size", [(44, 60), (41, 57)])
def test_the_views_of_a_model_that_is_right_are_right(tta, size):
    video, truth = squares_clip(size=size)
    masks = toy_segmenter().propagate(video, truth[0], tta=tta)
    assert agreement(masks, truth) > 0.99
    assert masks.object_ids == (1, 2) and not masks.lost.any()


def test_propagate_stream_and_session_agree(tiny):
    video, truth = squares_clip(frames=5)
    whole = np.asarray(tiny.propagate(video, truth[0], tta="flip"))
    streamed = np.stack([item.mask for item in tiny.stream(iter(video), truth[0], tta="flip")])
    session = tiny.start(video[0], truth[0], tta="flip")
    stepped = np.stack([session.current()] + [session.step(frame) for frame in video[1:]])
    assert whole.tobytes() == streamed.tobytes() == stepped.tobytes()
    assert session.state_bytes() == 2 * tiny.start(video[0], truth[0]).state_bytes()


def symmetric_clip() -> tuple[np.ndarray, np.ndarray]:
    """A square in the middle that grows: every frame and mask is its own mirror image."""
    video, truth = np.full((6, 48, 64, 3), 120, np.uint8), np.zeros((6, 48, 64), np.int32)
    for t in range(6):
        video[t, 16 - t : 32 + t, 24 - t : 40 + t] = COLOURS[1]
        truth[t, 16 - t : 32 + t, 24 - t : 40 + t] = 1
    assert (video == video[:, :, ::-1]).all()
    return video, truth


def test_flipping_makes_the_masks_of_a_symmetric_video_symmetric(tiny):
    """A model with learnt convolutions prefers a side; with its mirror image beside it, it can't."""
    video, truth = symmetric_clip()
    both, plain = np.asarray(tiny.propagate(video, truth[0], tta="flip")), np.asarray(tiny.propagate(video, truth[0]))
    assert agreement(both, both[:, :, ::-1]) > 0.999
    assert agreement(plain, plain[:, :, ::-1]) < 0.999


def test_a_mirrored_video_gives_mirrored_masks(tiny):
    video, truth = squares_clip(frames=6, size=(48, 64))
    there = np.asarray(tiny.propagate(video, truth[0], tta="flip"))
    mirrored = np.asarray(tiny.propagate(video[:, :, ::-1], truth[0][:, ::-1], tta="flip"))
    assert agreement(mirrored[:, :, ::-1], there) > 0.999
    assert len(np.unique(there[1:])) > 1


class Fixed(torch.nn.Module):
    """Predicts a given probability everywhere and shows what `advance` is handed."""

    stride, needs_first_frame = 8, False

    def __init__(self, probability: float):
        super().__init__()
        self.logit, self.seen = torch.tensor(probability).logit(), []

    def encode(self, frames):
        return frames

    def start(self, features, masks, active):
        return toy_segmenter().model.start(features if features is not None else masks.new_zeros(1, 3, *masks.shape[-2:]), masks)

    def predict_in_chunks(self, features, state):
        from vos_zoo.models.base import Prediction

        return Prediction(self.logit.expand(state.masks.shape).clone())

    def advance(self, features, prediction, state):
        self.seen.append(prediction.logits)
        return toy_segmenter().model.advance(features, prediction, state)


def test_probabilities_are_averaged_by_weight_and_every_view_gets_the_average():
    models = [Fixed(0.9), Fixed(0.2)]
    branches = [
        Branch(models[0], CPU, make_grid((40, 56), short_side=None, stride=8, padding="zeros"), False, 0.75),
        Branch(models[1], CPU, make_grid((40, 56), short_side=20, stride=8, padding="zeros"), True, 0.25),
    ]
    frame, layers = np.zeros((40, 56, 3), np.uint8), np.ones((1, 40, 56), bool)
    first = [branch.annotate(None, frame, layers, [True]) for branch in branches]
    ((probs, states),) = advance([branches], [first], encode([branches], [frame]))
    average = 0.75 * 0.9 + 0.25 * 0.2
    assert average == pytest.approx(0.725)
    for model, branch in zip(models, branches, strict=True):
        (logits,) = model.seen
        inside = branch.grid.unpadded(logits).sigmoid()
        torch.testing.assert_close(inside, torch.full_like(inside, average), atol=1e-5, rtol=0)
    assert models[1].seen[0].shape[-2:] == (24, 32)  # 20 x 28, padded
    assert float(models[1].seen[0][0, 0, 0, 0].sigmoid()) == pytest.approx(0.2)  # of the padding nobody else knows anything
    sharpened = average**2 / (average**2 + (1 - average) ** 2)
    torch.testing.assert_close(probs[0, 1], torch.full((40, 56), sharpened), atol=1e-5, rtol=0)
    torch.testing.assert_close(states[0].masks[0, 0], torch.full((40, 56), sharpened), atol=1e-5, rtol=0)
    torch.testing.assert_close(branches[1].grid.unpadded(states[1].masks), torch.full((1, 1, 20, 28), sharpened), atol=1e-5, rtol=0)


def test_the_finest_view_that_is_not_flipped_leads():
    grid = make_grid((48, 64), short_side=32, stride=16, padding="zeros")
    model = toy_segmenter().model
    branches = branches_of(model, CPU, grid, TTA(scales=(1.0, 1.4, 1.2)))
    assert [round(branch.grid.inner[0] / 32, 1) for branch in branches] == [1.0, 1.4, 1.2] * 2
    assert [branch.flipped for branch in branches] == [False] * 3 + [True] * 3
    assert sum(branch.weight for branch in branches) == pytest.approx(1)
    assert leader(branches) == 1


def test_annotations_and_removals_reach_every_view():
    video, truth = squares_clip(ids=(1, 2, 3), appear={3: 4})
    session = toy_segmenter().start(video[0], np.where(truth[0] == 1, 1, 0), tta=TTA(scales=(1.0, 1.5)))
    assert agreement(session.annotate(video[1], {2: truth[1] == 2}), truth[1]) > 0.99
    for t in (2, 3):
        assert agreement(session.step(video[t]), truth[t]) > 0.99
    assert agreement(session.annotate(video[4], {3: truth[4] == 3}), truth[4]) > 0.99
    session.remove(1)
    for t in (5, 6):
        assert agreement(session.step(video[t]), np.where(truth[t] == 1, 0, truth[t])) > 0.99
    assert session.object_ids == (2, 3)
    session.remove([2, 3])
    assert not session.step(video[7]).any() and session.state_bytes() == 0


def test_both_directions_take_it():
    video, truth = squares_clip()
    masks = toy_segmenter().propagate(video, masks={5: truth[5]}, direction="both", tta="flip")
    assert masks.complete and agreement(masks, truth) > 0.99


def test_an_interrupted_step_leaves_every_view_as_it_was(monkeypatch):
    segmenter = toy_segmenter()
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0], tta="flip")
    advance_, calls = segmenter.model.advance, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return advance_(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(segmenter.model, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.step(video[1])
    assert session.index == 0
    assert agreement(session.step(video[1]), truth[1]) == 1


@pytest.mark.parametrize(
    ("tta", "message"),
    [
        ("flips", r"tta is True, 'flip', 'scales', TTA\(flip=\.\.\., scales=\.\.\.\) or None, not 'flips'"),
        (1.2, r"not 1\.2"),
        ([1.0, 1.2], r"not \[1\.0, 1\.2\]"),
    ],
)
def test_a_wrong_tta_is_refused_before_any_work(tta, message):
    segmenter = toy_segmenter()
    video, truth = squares_clip(frames=3)
    for call in (
        lambda: segmenter.propagate(video, truth[0], tta=tta),
        lambda: segmenter.stream(video, truth[0], tta=tta),
        lambda: segmenter.start(video[0], truth[0], tta=tta),
        lambda: segmenter.propagate_many([video], [truth[0]], tta=tta),
    ):
        with pytest.raises(VosZooError, match=message):
            call()
    assert segmenter.model.encoded == 0


@pytest.mark.parametrize("scales", [(), (1.0, 1), (0.01,), (20,), (True,), ("1",), 1.0, (float("nan"),)])
def test_wrong_scales_are_refused(scales):
    with pytest.raises(VosZooError, match=r"scales are different factors from 0\.1 to 10, for instance \(1\.0, 1\.2, 1\.4\), not"):
        TTA(scales=scales)


def test_a_wrong_flip_is_refused():
    with pytest.raises(VosZooError, match="flip is True or False, not 'no'"):
        TTA(flip="no")  # type: ignore[arg-type]
