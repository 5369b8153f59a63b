"""Several videos in a batch: the masks of each by itself, in whatever order they get done, and one bad video harms no other."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from toy import squares_clip, toy_segmenter

from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine.states import join, signature, split
from vos_zoo.errors import MaskError, VideoError, VosZooError, VosZooWarning
from vos_zoo.models.crvos import CRVOS
from vos_zoo.segmenter import Segmenter
from vos_zoo.videos.video import open_video


@pytest.fixture
def segmenter() -> Segmenter:
    return toy_segmenter()


@pytest.fixture(scope="module")
def tiny() -> Segmenter:
    torch.manual_seed(3)
    model = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7)))
    config = ModelConfig(name="tiny", architecture="CRVOS", preprocess=Preprocess(short_side=48))
    return Segmenter(model, config, device="cpu", dtype="float32")


def clips(*shapes: tuple[int, tuple[int, int], tuple[int, ...]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(frames, size, ids) of each -> videos, truths."""
    made = [squares_clip(frames=frames, size=size, ids=ids) for frames, size, ids in shapes]
    return [video for video, _ in made], [truth for _, truth in made]


MIXED = (
    (12, (44, 60), (1, 2)),
    (5, (44, 60), (1,)),
    (9, (44, 60), (2, 300, 1)),
    (7, (60, 44), (3,)),
    (12, (44, 60), (1,)),
    (3, (60, 44), (2, 1)),
)


@pytest.mark.parametrize("batch", [1, 2, 4, 16])
def test_the_masks_are_those_of_each_video_by_itself(segmenter, batch):
    """Other lengths, other numbers of objects, other sizes."""
    videos, truths = clips(*MIXED)
    together = dict(segmenter.propagate_many(videos, [truth[0] for truth in truths], batch=batch))
    assert sorted(together) == list(range(len(videos)))
    for n, (video, truth) in enumerate(zip(videos, truths, strict=True)):
        alone = segmenter.propagate(video, truth[0])
        assert together[n] == alone
        np.testing.assert_array_equal(np.asarray(together[n]), truth)
        np.testing.assert_allclose(together[n].confidence, alone.confidence, atol=1e-5)
        np.testing.assert_array_equal(together[n].lost, alone.lost)


def test_learnt_convolutions_in_float32(tiny):
    videos, truths = clips((6, (44, 60), (1,)), (6, (44, 60), (2,)), (4, (44, 60), (300,)), (6, (60, 44), (1,)))
    together = dict(tiny.propagate_many(videos, [truth[0] for truth in truths], batch=3))
    for n, (video, truth) in enumerate(zip(videos, truths, strict=True)):
        alone = np.asarray(tiny.propagate(video, truth[0]))
        assert (np.asarray(together[n]) == alone).mean() >= 0.9999
        assert len(np.unique(alone[1:])) > 1


def test_fewer_objects_share_a_batch_with_more(tiny):
    """Slots that stay empty change nothing in the others."""
    videos, truths = clips((5, (44, 60), (1,)), (5, (44, 60), (1, 2, 3)))
    seen = []
    step = tiny.model.step

    def spy(features, state):
        seen.append(tuple(state.masks.shape[:2]) + (state.active.sum(1).tolist(),))
        return step(features, state)

    tiny.model.step = spy
    try:
        together = dict(tiny.propagate_many(videos, [truth[0] for truth in truths]))
    finally:
        del tiny.model.step
    assert seen == [(2, 3, [1, 3])] * 4
    assert (np.asarray(together[0]) == np.asarray(tiny.propagate(videos[0], truths[0][0]))).mean() >= 0.9999


def test_frames_are_encoded_in_one_batch(segmenter, monkeypatch):
    videos, truths = clips(*[(6, (44, 60), (1,))] * 3)
    calls = []
    encode = segmenter.model.encode
    monkeypatch.setattr(segmenter.model, "encode", lambda frames: calls.append(len(frames)) or encode(frames))
    list(segmenter.propagate_many(videos, [truth[0] for truth in truths], batch=3))
    assert calls == [1, 1, 1] + [3] * 5  # the given masks one by one, then five frames of three


def test_one_with_many_objects_does_not_make_all_pay(segmenter, monkeypatch):
    many = np.zeros((44, 60), np.int32)
    many[:40, :60] = np.arange(1, 25).reshape(4, 6).repeat(10, 0).repeat(10, 1)
    video = np.random.default_rng(0).integers(0, 255, (3, 44, 60, 3), np.uint8)
    batches = []
    step = segmenter.model.step
    monkeypatch.setattr(segmenter.model, "step", lambda features, state: batches.append(state.masks.shape[:2]) or step(features, state))
    list(segmenter.propagate_many([video] * 3, [many, many > 23, many > 22]))
    assert sorted(set(batches)) == [(1, 24), (2, 1)]


def test_annotated_frames_in_the_middle(segmenter):
    video, truth = squares_clip(ids=(1, 2, 3), appear={3: 5})
    other, other_truth = squares_clip(ids=(1, 2))
    first = [truth[0], None, other_truth[0]]
    later = [{5: np.where(truth[5] == 3, 3, 0)}, {4: other_truth[4]}, None]
    together = dict(segmenter.propagate_many([video, other, other], first, masks=later))
    np.testing.assert_array_equal(np.asarray(together[0]), truth)
    assert together[1].computed.tolist() == [False] * 4 + [True] * 8
    np.testing.assert_array_equal(np.asarray(together[1])[4:], other_truth[4:])
    np.testing.assert_array_equal(np.asarray(together[2]), other_truth)
    assert together[0] == segmenter.propagate(video, truth[0], masks=later[0])


def test_several_views_of_several_videos(segmenter):
    videos, truths = clips((6, (44, 60), (1, 2)), (6, (44, 60), (1,)))
    for n, masks in segmenter.propagate_many(videos, [truth[0] for truth in truths], tta="flip", batch=2):
        assert masks == segmenter.propagate(videos[n], truths[n][0], tta="flip")


def test_results_come_when_they_are_done_and_videos_are_opened_as_needed(segmenter):
    opened = []

    def endless() -> Iterator[np.ndarray]:
        n = 0
        while True:
            opened.append(n)
            yield squares_clip(frames=3 + n % 2)[0]
            n += 1

    def masks() -> Iterator[np.ndarray]:
        while True:
            yield squares_clip(frames=1)[1][0]

    results = segmenter.propagate_many(endless(), masks(), batch=2)
    assert opened == []
    done = [next(results)[0] for _ in range(6)]
    assert sorted(done) == list(range(6)) and done[:2] == [0, 1] and len(opened) <= 6 + 2 + 8 + 1
    results.close()


def test_sizes_are_brought_together(segmenter, monkeypatch):
    """Alternating sizes: each runs with its like, so that the batches are as full as can be."""
    videos, truths = clips(*[(4, (44, 60), (1,)), (4, (60, 44), (1,))] * 4)
    batches = []
    step = segmenter.model.step
    monkeypatch.setattr(segmenter.model, "step", lambda features, state: batches.append(len(features)) or step(features, state))
    order = [n for n, _ in segmenter.propagate_many(videos, [truth[0] for truth in truths], batch=4)]
    assert batches == [4] * 6
    assert order == [0, 2, 4, 6, 1, 3, 5, 7]


def test_progress_counts_videos(segmenter):
    videos, truths = clips(*[(3, (44, 60), (1,))] * 3)
    told = []
    list(segmenter.propagate_many(videos, [t[0] for t in truths], progress=lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3)]


# ---- bad videos


def bad_videos(tmp_path):
    """Three good ones, and between them: no such file, no object in the mask, a picture that is damaged half way, a reader that fails."""
    video, truth = squares_clip(frames=6)
    folder = tmp_path / "frames"
    folder.mkdir()
    for n, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"{n}.jpg")
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:-80])

    def fails():
        yield from video[:2]
        raise RuntimeError("no more tape")

    videos = [video, "nowhere.mp4", video, video, folder, fails(), video]
    return videos, [truth[0], truth[0], truth[0] * 0, truth[0], truth[0], truth[0], truth[0]], truth


def test_a_bad_video_is_told_and_the_others_go_on(segmenter, tmp_path):
    videos, masks, truth = bad_videos(tmp_path)
    with pytest.warns(VosZooWarning) as told:
        done = dict(segmenter.propagate_many(videos, masks, batch=3))
    assert sorted(done) == [0, 3, 6]
    for result in done.values():
        np.testing.assert_array_equal(np.asarray(result), truth)
    texts = sorted(str(each.message) for each in told)
    assert [text.split(" was left out: ")[0] for text in texts] == [
        "video 1 (nowhere.mp4)",
        "video 2 (ndarray)",
        f"video 4 ({tmp_path / 'frames'})",
        "video 5 (generator)",
    ]
    for text, reason in zip(texts, ["no file or folder 'nowhere.mp4'", "holds no object", "3.jpg", "no more tape"], strict=True):
        assert reason in text


def test_errors_can_be_taken_by_a_function(segmenter, tmp_path):
    videos, masks, truth = bad_videos(tmp_path)
    taken, told = {}, []
    done = dict(segmenter.propagate_many(videos, masks, on_error=taken.__setitem__, progress=lambda n, total: told.append(n)))
    assert sorted(done) == [0, 3, 6] and sorted(taken) == [1, 2, 4, 5]
    assert isinstance(taken[1], VideoError) and isinstance(taken[2], MaskError)
    assert len(taken[4].masks) == 3 and len(taken[5].masks) == 2
    np.testing.assert_array_equal(np.asarray(taken[5].masks), truth[:2])
    assert told == list(range(1, 8))


def test_a_function_that_raises_ends_the_work(segmenter):
    video, truth = squares_clip(frames=4)

    def stop(index, error):
        raise error

    results = segmenter.propagate_many([video, "nowhere.mp4"], [truth[0]] * 2, on_error=stop)
    with pytest.raises(VideoError, match="nowhere"):
        list(results)


def test_what_interrupts_the_work_carries_the_frames_so_far(segmenter, monkeypatch):
    videos, truths = clips(*[(6, (44, 60), (1,))] * 2)
    step, calls = segmenter.model.step, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(segmenter.model, "step", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(segmenter.propagate_many(videos, [truth[0] for truth in truths]))
    assert {n: len(masks) for n, masks in caught.value.masks.items()} == {0: 3, 1: 3}


def test_a_model_that_fails_is_no_bad_video(segmenter, monkeypatch):
    def out_of_memory(*arguments):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(segmenter.model, "step", out_of_memory)
    video, truth = squares_clip(frames=3)
    with pytest.raises(torch.OutOfMemoryError):
        list(segmenter.propagate_many([video], [truth[0]]))


def test_videos_that_it_opened_are_closed(segmenter, monkeypatch, tmp_path):
    video, truth = squares_clip(frames=4)
    opened = []

    def spy(source, backend):
        opened.append(open_video(source))
        return opened[-1]

    monkeypatch.setattr("vos_zoo.segmenter.open_video", spy)
    results = segmenter.propagate_many([video] * 5, [truth[0]] * 5, batch=1)
    next(results)
    assert len(opened) == 5
    del results
    gc.collect()
    assert all(each._closed for each in opened)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("clip.mp4", []), {}, VideoError, r"videos is a list.*of videos, not 'clip\.mp4': for one video call propagate"),
        ((7, []), {}, VideoError, r"videos is a list.*not 7"),
        (([1, 2], [3]), {}, MaskError, r"as many masks as videos are needed: there are 2 videos, 1 first_masks"),
        (([1], [None]), {"masks": [{}, {}]}, MaskError, r"there are 1 videos, 1 first_masks, 2 masks"),
        (([1], {0: 3}), {}, MaskError, r"first_masks holds one entry a video.*it can't be a dict"),
        (([1], "masks"), {}, MaskError, r"first_masks holds one entry a video.*it can't be a str"),
        (([1], [3]), {"masks": 4}, MaskError, r"masks holds one entry a video.*it can't be a int"),
        (([1], [3]), {"batch": 0}, VosZooError, r"batch is the number of videos that run together, 1 or more, not 0"),
        (([1], [3]), {"batch": 2.0}, VosZooError, r"not 2\.0"),
        (([1], [3]), {"size": 4}, VosZooError, r"size 4 is too small"),
    ],
)
def test_what_can_not_be_right_is_refused_at_the_call(segmenter, arguments, options, error, message):
    with pytest.raises(error, match=message):
        segmenter.propagate_many(*arguments, **options)


def test_generators_of_different_length_are_found_out(segmenter):
    video, truth = squares_clip(frames=3)
    results = segmenter.propagate_many((video for _ in range(3)), (truth[0] for _ in range(2)), batch=1)
    with pytest.raises(MaskError, match="as many masks as videos are needed: one of them ended before the other"):
        list(results)


# ---- states, joined


class State(NamedTuple):
    masks: Tensor  # (B, K, 2, 2)
    active: Tensor  # (B, K)
    age: Tensor  # (B, K) int64
    memory: Tensor  # (B, K, M, 3)


def state(k: int, m: int = 2, fill: float = 1.0) -> State:
    memory = torch.arange(k)[None, :, None, None].expand(1, k, m, 3) + fill
    return State(torch.full((1, k, 2, 2), fill), torch.ones(1, k, dtype=torch.bool), torch.full((1, k), 7), memory)


def test_states_are_joined_and_split():
    parts = [state(1, fill=1.0), state(3, fill=2.0)]
    whole = join(parts)
    assert whole.masks.shape == (2, 3, 2, 2) and whole.memory.shape == (2, 3, 2, 3)
    assert whole.active.tolist() == [[True, False, False], [True, True, True]]
    assert not whole.masks[0, 1:].any()
    assert (whole.memory[0] == 1).all() and (whole.age == 7).all()  # empty slots are like the last that is none
    for part, again in zip(parts, split(whole, [1, 3]), strict=True):
        assert type(again) is State
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(part, again, strict=True))


def test_one_state_stays_the_very_same():
    one = state(2)
    assert join([one]) is one and split(one, [2]) == [one]


def test_states_that_can_not_be_joined_differ_in_signature():
    assert signature(state(1)) == signature(state(5))
    assert signature(state(1)) != signature(state(1, m=3))
    assert signature(state(1)) != signature(state(1)._replace(memory=state(1).memory.half()))
