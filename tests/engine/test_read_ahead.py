"""The fast path, frames read ahead and encoded in batches, against the plain loop of one frame after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from toy import squares_clip, toy_segmenter

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine import read_ahead, tracker
from vos_zoo.engine.read_ahead import ReadAhead, frames_at_once, in_groups
from vos_zoo.errors import MaskError, VideoError, VosZooError
from vos_zoo.example.clip import render_example
from vos_zoo.models.acclvos import ACCLVOS, ACCLVOSConfig
from vos_zoo.models.base import VOSModel
from vos_zoo.models.crvos import CRVOS, CRVOSConfig
from vos_zoo.models.rvos import RVOS, RVOSConfig
from vos_zoo.models.scm import SCM, SCMConfig
from vos_zoo.segmenter import Segmenter
from vos_zoo.videos.writer import VideoWriter

TINY: dict[str, Callable[[], VOSModel]] = {
    "crvos": lambda: CRVOS(CRVOSConfig("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7))),
    "crvos, frozen batch norm": lambda: CRVOS(CRVOSConfig("resnet10t", 4, "frozen", (12, 10, 8), (14, 9, 7))),
    "rvos": lambda: RVOS(RVOSConfig("resnet10t", backbone_stages=3, hidden=16)),
    "rvos-zeroshot": lambda: RVOS(RVOSConfig("resnet10t", hidden=8, zero_shot=True, slots=3)),
    "acclvos": lambda: ACCLVOS(ACCLVOSConfig("resnet10t", hidden=16)),
    "scm": lambda: SCM(SCMConfig("resnet10t", key=8, value=8, decoder=8, refine_width=4, max_memory=3, memory_every=2)),
}


def tiny(name: str) -> Segmenter:
    """Random weights, by which most pixels are an object's."""
    torch.manual_seed(2)
    model: Any = TINY[name]()
    video, mask = noisy_clip(1, (48, 80))
    with torch.no_grad():
        features = model.encode(torch.from_numpy(video).permute(0, 3, 1, 2) / 255)
        state = model.start(features, None if model.finds_objects else torch.from_numpy(mask == 1)[None, None].float())
        model.predictor.bias[-1] -= model.predict(features, state).logits.quantile(0.2) - 0.25
    config = ModelConfig(name="tiny", architecture=type(model).__name__, preprocess=Preprocess(short_side=48))
    return Segmenter(model, config, device="cpu", dtype="float32")


def noisy_clip(frames: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A square that drifts over coloured noise, and the first frame's ids. One: far from both, two are equally likely to random weights."""
    video, truth = squares_clip(frames=frames, size=size, ids=(1,))
    noise = np.random.default_rng(0).integers(-60, 60, video.shape)
    return np.clip(video.astype(int) + noise, 0, 255).astype(np.uint8), truth[0]


@pytest.fixture
def batches_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, on a CPU."""
    monkeypatch.setattr(tracker, "frames_at_once", lambda device, size: 4)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vos_zoo read ahead"]


# ---- the same masks


@pytest.mark.parametrize("size", [(41, 57), (64, 96)])
@pytest.mark.parametrize("name", TINY)
def test_every_model_gives_the_plain_loops_masks(batches_of_four: None, name: str, size: tuple[int, int]) -> None:
    segmenter = tiny(name)
    video, mask = noisy_clip(11, size)
    given = None if segmenter.finds_objects else mask
    one = segmenter.start(video[0], given)
    plain, sure = [one.current()], [one.confidence]
    for frame in video[1:]:
        plain.append(one.step(frame))
        sure.append(one.confidence)
    fast = segmenter.propagate(video, given)
    assert (np.asarray(fast) == np.stack(plain)).mean() >= 0.9999
    for k in fast.object_ids:
        of_object = [each.get(k, np.nan) for each in sure]
        np.testing.assert_allclose(fast.confidence[:, fast.object_ids.index(k)], of_object, atol=1e-4)
    assert max(each.get(1, 0) for each in sure[1:]) > 0, "something is followed"


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 9])
def test_any_number_of_frames(batches_of_four: None, frames: int) -> None:
    video, truth = squares_clip(frames=frames)
    segmenter = toy_segmenter()
    np.testing.assert_array_equal(np.asarray(segmenter.propagate(video, truth[0])), truth)
    assert [item.index for item in segmenter.stream(video, truth[0])] == list(range(frames))


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_an_object_added_in_the_middle_of_a_batch(batches_of_four: None, at: int) -> None:
    video, truth = squares_clip(ids=(1, 2, 3), appear={3: at})
    masks = toy_segmenter().propagate(video, truth[0], masks={at: np.where(truth[at] == 3, 3, 0)})
    np.testing.assert_array_equal(np.asarray(masks), truth)
    both = toy_segmenter().propagate(video, masks={0: truth[0], at: np.where(truth[at] == 3, 3, 0)}, direction="both")
    np.testing.assert_array_equal(np.asarray(both)[at:], truth[at:])


def test_all_objects_gone_in_the_middle_of_a_batch(batches_of_four: None) -> None:
    video, truth = squares_clip()
    one = toy_segmenter().start(video[0], truth[0])
    one.remove([1, 2])
    shown = one.run(list(video[1:4]))
    assert len(shown) == 3 and not any(each.mask.any() for each in shown) and one.index == 3
    np.testing.assert_array_equal(one.annotate(video[4], truth[4]), truth[4])


def test_the_encoder_sees_every_frame_once(batches_of_four: None) -> None:
    video, truth = squares_clip(ids=(1, 2, 3), appear={3: 6})
    segmenter = toy_segmenter()
    segmenter.propagate(video, truth[0], masks={6: np.where(truth[6] == 3, 3, 0)})
    assert segmenter.model.encoded == len(video)  # type: ignore[operator]


def test_views_that_decide_together(batches_of_four: None) -> None:
    video, truth = squares_clip()
    np.testing.assert_array_equal(np.asarray(toy_segmenter().propagate(video, truth[0], tta="flip")), truth)


# ---- what ends early


def test_stopped_in_the_middle_of_a_batch(batches_of_four: None) -> None:
    video, truth = squares_clip()
    left = iter([False, False, True])
    masks = toy_segmenter().propagate(video, truth[0], stop=lambda: next(left))
    assert masks.computed.tolist() == [True] * 3 + [False] * 9
    np.testing.assert_array_equal(np.asarray(masks)[:3], truth[:3])


def test_interrupted_in_the_middle_of_a_batch(batches_of_four: None) -> None:
    video, truth = squares_clip()

    def progress(done: int, total: int | None) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        toy_segmenter().propagate(video, truth[0], progress=progress)
    kept = caught.value.masks  # type: ignore[attr-defined]
    assert kept.computed.sum() == 7
    np.testing.assert_array_equal(np.asarray(kept)[:7], truth[:7])


def test_a_step_that_fails_leaves_the_session_at_the_frame_before(monkeypatch: pytest.MonkeyPatch) -> None:
    video, truth = squares_clip()
    segmenter = toy_segmenter()
    one = segmenter.start(video[0], truth[0])
    one.step(video[1])
    advance, calls = segmenter.model.advance, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return advance(*arguments)

    monkeypatch.setattr(segmenter.model, "advance", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        one.run(list(video[2:6]))
    assert one.index == 1
    np.testing.assert_array_equal(one.current(), truth[1])
    np.testing.assert_array_equal(np.stack([each.mask for each in one.run(list(video[2:6]))]), truth[2:6])


@pytest.mark.parametrize("mode", ["throughput", "latency"])
def test_a_generator_that_raises_in_the_middle_of_a_batch(batches_of_four: None, mode: str) -> None:
    video, truth = squares_clip()

    def frames() -> Iterator[np.ndarray]:
        yield from video[:7]
        raise OSError("the cable is out")

    with pytest.raises(OSError, match="cable") as caught:
        toy_segmenter().propagate(frames(), truth[0], mode=mode)
    assert caught.value.masks.computed.sum() == 7  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(caught.value.masks)[:7], truth[:7])  # type: ignore[attr-defined]


def test_a_folder_with_a_bad_image_in_the_middle_of_a_batch(batches_of_four: None, tmp_path: Any) -> None:
    from PIL import Image

    video, truth = squares_clip()
    for n, frame in enumerate(video):
        Image.fromarray(frame).save(tmp_path / f"{n:03}.jpg", quality=95)
    whole = (tmp_path / "006.jpg").read_bytes()
    (tmp_path / "006.jpg").write_bytes(whole[:-40])
    with pytest.raises(VideoError, match="006") as caught:
        toy_segmenter().propagate(tmp_path, truth[0])
    assert caught.value.masks.computed.sum() == 6  # type: ignore[attr-defined]
    assert not threads()


# ---- when frames are read


def counting(video: np.ndarray, read: list[int]) -> Iterator[np.ndarray]:
    for n, frame in enumerate(video):
        read.append(n)
        yield frame


def test_latency_mode_reads_a_frame_when_the_mask_before_it_is_out(batches_of_four: None) -> None:
    video, truth = squares_clip()
    read: list[int] = []
    for item in toy_segmenter().stream(counting(video, read), truth[0]):
        assert read[-1] == item.index, "generators and live sources are in latency mode unless told otherwise"
    read.clear()
    ahead = [read[-1] - item.index for item in toy_segmenter().stream(counting(video, read), truth[0], mode="throughput")]
    assert max(ahead) == 3


def test_files_are_read_ahead_in_a_thread_that_ends_with_the_stream(tmp_path: Any) -> None:
    video, truth = squares_clip(frames=40, size=(48, 64))
    with VideoWriter(tmp_path / "clip.mp4", fps=25, size=(48, 64)) as writer:
        for frame in video:
            writer.write(frame)
    segmenter = toy_segmenter()
    stream = segmenter.stream(tmp_path / "clip.mp4", truth[0])
    next(stream)
    next(stream)
    assert len(threads()) == 1
    stream.close()  # type: ignore[attr-defined]
    del stream
    assert not threads()
    slow = segmenter.propagate(tmp_path / "clip.mp4", truth[0], mode="latency")
    assert not threads()
    assert np.asarray(segmenter.propagate(tmp_path / "clip.mp4", truth[0])).tobytes() == np.asarray(slow).tobytes()


def test_an_unknown_mode_is_refused_before_anything_is_read() -> None:
    video, truth = squares_clip()
    for call in (toy_segmenter().propagate, toy_segmenter().stream):
        with pytest.raises(VosZooError, match="throughput"):
            call(video, truth[0], mode="fast")
    with pytest.raises(MaskError):
        toy_segmenter().stream(video, None, mode="latency")


# ---- the parts


def test_read_ahead_keeps_order_and_depth() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(20):
            taken.append(n)
            yield n

    with ReadAhead(items(), depth=3) as ahead:
        assert next(ahead) == 0
        deadline = time.monotonic() + 5
        while len(taken) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(taken) == 5, "one used, three ready, one in hand"
        assert list(ahead) == list(range(1, 20))
        with pytest.raises(StopIteration):
            next(ahead)
    assert not threads()


def test_read_ahead_hands_errors_on_and_closes_what_it_reads() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield 1
            yield 2
            raise ValueError("bad frame")
        finally:
            closed.append(True)

    with ReadAhead(items()) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(ValueError, match="bad frame"):
            next(ahead)
        with pytest.raises(StopIteration):
            next(ahead)
    endless = ReadAhead(iter(int, 1), depth=2)
    endless.close()
    with pytest.raises(StopIteration):
        next(endless)
    generator = items()
    with ReadAhead(generator, depth=1):
        pass
    assert len(closed) == 2 and not threads()


def test_groups() -> None:
    def groups(count: int, size: int, begins: tuple[int, ...] = ()) -> list[list[int]]:
        return [[index for index, _ in group] for group in in_groups(((n, "") for n in range(3, 3 + count)), size, begins)]

    assert groups(5, 2) == [[3, 4], [5, 6], [7]]
    assert groups(6, 4, (5, 7)) == [[3, 4], [5, 6], [7, 8]]
    assert groups(2, 1, (3,)) == [[3], [4]] and groups(0, 4) == []


def test_frames_at_once_fit_the_device() -> None:
    assert frames_at_once("cpu", (480, 864)) == 1
    assert frames_at_once("cuda", (480, 864)) == read_ahead.FRAMES
    assert frames_at_once("cuda", (1080, 1920)) == 1 and frames_at_once("cuda", (720, 1280)) == 4


def test_a_batch_is_one_call_of_the_encoder(batches_of_four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    video, truth = squares_clip(frames=9)
    segmenter = toy_segmenter()
    encode, sizes = segmenter.model.encode, []

    def spied(frames: torch.Tensor) -> Any:
        sizes.append(len(frames))
        return encode(frames)

    monkeypatch.setattr(segmenter.model, "encode", spied)
    segmenter.propagate(video, truth[0])
    assert sizes == [1, 4, 4]


def test_half_precision_with_learnt_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = vos_zoo.load("crvos-resnet18", device="cpu", dtype="bfloat16")
    example = render_example(size=(120, 216), frames=6)
    plain = np.asarray(segmenter.propagate(example.frames, example.masks[0], size=96, mode="latency"))
    monkeypatch.setattr(tracker, "frames_at_once", lambda device, size: 4)
    fast = np.asarray(segmenter.propagate(example.frames, example.masks[0], size=96, mode="throughput"))
    assert (fast == plain).mean() >= 0.999 and plain[-1].any()
