"""The engine, driven by a toy model: whatever it does with frames, ids and sizes, it knows only the contract."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from toy import Toy, squares_clip, toy_segmenter

from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.engine.propagation import _nearer_pass
from vos_zoo.errors import MaskError, VideoError, VosZooError, VosZooWarning
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.models.crvos import CRVOS
from vos_zoo.segmenter import Segmenter
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter


@pytest.fixture
def segmenter():
    return toy_segmenter()


def test_follows_objects_exactly(segmenter):
    video, truth = squares_clip()
    masks = segmenter.propagate(video, truth[0])
    assert isinstance(masks, MaskSequence)
    assert len(masks) == len(video) and masks.complete
    np.testing.assert_array_equal(np.asarray(masks), truth)
    assert masks.object_ids == (1, 2)
    assert (masks.confidence > 0.9).all() and not masks.lost.any()


def test_the_given_mask_is_the_first_result(segmenter):
    video, truth = squares_clip()
    given = np.where(truth[0] == 2, 0, truth[0])
    given[0, 0] = 1
    np.testing.assert_array_equal(segmenter.propagate(video, given)[0], given)


@pytest.mark.parametrize("ids", [(2, 300), (3, 1), (300, 2)])
def test_ids_are_kept_as_given(segmenter, ids):
    video, truth = squares_clip(ids=ids)
    masks = segmenter.propagate(video, truth[0])
    np.testing.assert_array_equal(np.asarray(masks), truth)
    assert masks.object_ids == tuple(sorted(ids))
    assert masks[3].dtype == (np.int32 if 300 in ids else np.uint8)


def test_propagate_stream_session_and_chunks_agree_byte_for_byte(segmenter):
    video, truth = squares_clip()
    whole = np.asarray(segmenter.propagate(video, truth[0]))
    streamed = list(segmenter.stream(iter(video), truth[0]))
    assert [item.index for item in streamed] == list(range(len(video)))
    assert all(np.array_equal(item.frame, video[item.index]) for item in streamed)
    session = segmenter.start(video[0], truth[0])
    stepped = [session.current()] + [session.step(frame) for frame in video[1:]]
    assert np.stack([item.mask for item in streamed]).tobytes() == whole.tobytes() == np.stack(stepped).tobytes()
    first = segmenter.start(video[0], truth[0])
    chunk = [first.step(frame) for frame in video[1:5]]
    chunk += [first.step(frame) for frame in video[5:]]
    assert np.stack(chunk).tobytes() == whole[1:].tobytes()


def test_sessions_do_not_see_each_other(segmenter):
    (video, truth), (other, other_truth) = squares_clip(), squares_clip(ids=(3,))
    a, b = segmenter.start(video[0], truth[0]), segmenter.start(other[0], other_truth[0])
    for t in range(1, 6):
        np.testing.assert_array_equal(a.step(video[t]), truth[t])
        np.testing.assert_array_equal(b.step(other[t]), other_truth[t])


@pytest.mark.parametrize("size", [None, 32, np.int64(64), (40, 56), "native"])
@pytest.mark.parametrize("frame_size", [(44, 60), (41, 57), (60, 44)])
def test_masks_come_back_at_the_videos_size(segmenter, size, frame_size):
    video, truth = squares_clip(frames=4, size=frame_size)
    masks = segmenter.propagate(video, truth[0], size=size)
    assert np.asarray(masks).shape == truth.shape
    overlap = (np.asarray(masks)[1:] == truth[1:]).mean()
    assert overlap > 0.97


def test_state_does_not_grow_with_time(segmenter):
    video, truth = squares_clip(frames=40)
    session = segmenter.start(video[0], truth[0])
    sizes = set()
    for frame in video[1:]:
        session.step(frame)
        sizes.add(session.state_bytes())
    assert len(sizes) == 1 and sizes.pop() > 0


# ---- annotated frames


def test_objects_that_appear_later(segmenter):
    video, truth = squares_clip(ids=(1, 2, 3), appear={3: 5})
    masks = segmenter.propagate(video, truth[0], masks={5: np.where(truth[5] == 3, 3, 0)})
    np.testing.assert_array_equal(np.asarray(masks), truth)
    assert np.isnan(masks.confidence[:5, 2]).all() and (masks.confidence[5:, 2] > 0.9).all()


def test_backward_and_both(segmenter):
    video, truth = squares_clip(ids=(1, 2))
    backward = segmenter.propagate(video, masks={11: truth[11]}, direction="backward")
    np.testing.assert_array_equal(np.asarray(backward), truth)
    both = segmenter.propagate(video, masks={4: truth[4]}, direction="both")
    np.testing.assert_array_equal(np.asarray(both), truth)
    split = {0: np.where(truth[0] == 1, 1, 0), 9: np.where(truth[9] == 2, 2, 0)}
    np.testing.assert_array_equal(np.asarray(segmenter.propagate(video, masks=split, direction="both")), truth)


def test_forward_from_the_middle_leaves_earlier_frames_uncomputed(segmenter):
    video, truth = squares_clip()
    masks = segmenter.propagate(video, masks={4: truth[4]})
    assert masks.computed.tolist() == [False] * 4 + [True] * 8
    assert not masks[2].any()
    np.testing.assert_array_equal(np.asarray(masks)[4:], truth[4:])


def test_both_takes_the_nearer_annotation(segmenter):
    video, truth = squares_clip(ids=(1,))
    wrong = np.zeros_like(truth[0])
    wrong[30:36, 40:50] = 1  # grey background, so a pass that starts here marks the background
    masks = np.asarray(segmenter.propagate(video, masks={0: truth[0], 11: wrong}, direction="both"))
    np.testing.assert_array_equal(masks[:6], truth[:6])
    assert (masks[6:] != truth[6:]).mean() > 0.5


def test_a_correction_replaces_and_takes_pixels_from_the_others(segmenter):
    video, truth = squares_clip()
    session = segmenter.start(video[0], np.where(truth[0] == 1, 1, 0))
    session.step(video[1])
    shown = session.annotate(video[1], np.where(truth[1] == 1, 2, 0), advance=False)
    assert session.index == 1
    np.testing.assert_array_equal(shown, np.where(truth[1] == 1, 2, 0))
    assert session.object_ids == (1, 2)


def test_annotate_in_place_of_step_advances(segmenter):
    video, truth = squares_clip()
    session = segmenter.start(video[0], np.where(truth[0] == 1, 1, 0))
    shown = session.annotate(video[1], {2: truth[1] == 2})
    assert session.index == 1
    np.testing.assert_array_equal(shown, truth[1])
    np.testing.assert_array_equal(session.step(video[2]), truth[2])


def test_an_object_may_be_said_to_be_gone(segmenter):
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0])
    shown = session.annotate(video[1], {2: np.zeros_like(truth[1], bool)})
    assert set(np.unique(shown)) == {0, 1} and session.lost == (2,) and session.confidence[2] == 0


def test_remove(segmenter):
    video, truth = squares_clip(ids=(1, 2, 3))
    session = segmenter.start(video[0], truth[0])
    session.step(video[1])
    session.remove([1])
    assert 1 not in session.current()
    np.testing.assert_array_equal(session.step(video[2]), np.where(truth[2] == 1, 0, truth[2]))
    with pytest.raises(MaskError, match=r"objects \[1\] are not followed; those that are: \[2, 3\]"):
        session.remove(1)
    session.remove(np.int64(2))
    session.annotate(video[2], {2: truth[2] == 2}, advance=False)
    assert session.object_ids == (3, 2)
    np.testing.assert_array_equal(session.step(video[3]), np.where(truth[3] == 1, 0, truth[3]))
    session.remove([2, 3])
    assert not session.step(video[3]).any() and session.object_ids == ()
    np.testing.assert_array_equal(session.annotate(video[4], truth[4]), truth[4])


def test_an_object_that_leaves_is_lost_and_found_again(segmenter):
    video, truth = squares_clip(ids=(1, 2))
    video[4:7][truth[4:7] == 2] = 120
    truth[4:7][truth[4:7] == 2] = 0
    masks = segmenter.propagate(video, truth[0])
    np.testing.assert_array_equal(np.asarray(masks), truth)
    assert masks.lost[:, 1].tolist() == [False] * 4 + [True] * 3 + [False] * 5
    assert (masks.confidence[4:7, 1] == 0).all()


def test_many_objects(segmenter):
    height, width, n = 40, 80, 120
    video = np.full((3, height, width, 3), 255, np.uint8)
    first = np.zeros((height, width), np.int32)
    for k in range(n):
        y, x = 4 * (k // 16), 5 * (k % 16)
        video[:, y : y + 3, x : x + 3] = (2 * k, 37 * k % 251, 91 * k % 249)
        first[y : y + 3, x : x + 3] = k + 1
    model = toy_segmenter()
    model.model.config = type(model.model.config)(tolerance=0.002)
    masks = model.propagate(video, first)
    assert masks.object_ids == tuple(range(1, n + 1))
    np.testing.assert_array_equal(masks[2], first)


def test_objects_in_chunks_give_what_all_at_once_give():
    """100 objects, 16 at a time: of the toy the same masks, of learnt convolutions the same probabilities."""
    height, width, n = 40, 80, 100
    rng = np.random.default_rng(2)
    video = rng.integers(0, 255, (3, height, width, 3), np.uint8)
    first = np.zeros((height, width), np.int32)
    for k in range(n):
        y, x = 4 * (k // 12), 6 * (k % 12)
        first[y : y + 3, x : x + 4] = k + 1
    toy = toy_segmenter()
    in_chunks = toy.propagate(video, first)
    assert toy.model.objects_at_once == 16 and in_chunks.object_ids == tuple(range(1, n + 1))
    toy.model.objects_at_once = n
    assert toy.propagate(video, first) == in_chunks

    torch.manual_seed(0)
    crvos = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7)))
    session = Segmenter(crvos, ModelConfig("tiny", "CRVOS"), device="cpu", dtype="float32").start(video[0], first)
    with torch.inference_mode():
        features = crvos.encode(torch.rand(1, 3, 48, 80))
        state = session.state.model.branches[0]
        parts, _ = crvos.step(features, state)
        whole, _ = crvos.advance(features, crvos.predict(features, state), state)
    assert parts.shape == (1, 1 + n, 48, 80)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-4)


# ---- progress, stop, interruption


def test_progress_tells_done_and_total(segmenter):
    video, truth = squares_clip()
    told = []
    segmenter.propagate(video, truth[0], progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 12) for n in range(1, 13)]
    told.clear()
    segmenter.propagate(iter(video), truth[0], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (12, None)


def test_stop_keeps_what_is_done(segmenter):
    video, truth = squares_clip()
    calls = iter([False, False, True])
    masks = segmenter.propagate(video, truth[0], stop=lambda: next(calls))
    assert masks.computed.tolist() == [True] * 3 + [False] * 9
    np.testing.assert_array_equal(np.asarray(masks)[:3], truth[:3])


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_it_carries_the_finished_frames(segmenter, problem):
    video, truth = squares_clip()

    def interrupted():
        yield from video[:5]
        raise problem("now")

    with pytest.raises(problem) as caught:
        segmenter.propagate(interrupted(), truth[0])
    assert len(caught.value.masks) == 5
    np.testing.assert_array_equal(np.asarray(caught.value.masks), truth[:5])


def test_a_stream_reads_no_further_than_it_is_asked(segmenter):
    video, truth = squares_clip()
    read = []

    def source():
        for n, frame in enumerate(video):
            read.append(n)
            yield frame

    stream = segmenter.stream(source(), truth[0])
    next(stream), next(stream)
    assert len(read) <= 3


def test_a_stream_leaves_gradients_on_for_its_caller(segmenter):
    video, truth = squares_clip()
    stream = segmenter.stream(video, truth[0])
    next(stream)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


# ---- bad input, each before any work


def bad_calls():
    video, truth = squares_clip()
    small = truth[0][::2, ::2]
    return {
        "size": (video, small, {}, MaskError, r"30x22.*60x44.*resize_mask=True"),
        "empty": (video, truth[0] * 0, {}, MaskError, r"no object: every pixel is background"),
        "none": (video, None, {}, MaskError, r"no mask was given: pass first_mask"),
        "twice": (video, truth[0], {"masks": {0: truth[0]}}, MaskError, r"frame 0 has two masks"),
        "beyond": (video, None, {"masks": {40: truth[0]}}, MaskError, r"frame 40.*12 frames"),
        "direction": (video, truth[0], {"direction": "up"}, MaskError, r"'forward', 'backward' or 'both', not 'up'"),
        "live": (iter(video), truth[0], {"direction": "backward"}, VideoError, r"only once and forwards"),
        "internal size": (video, truth[0], {"size": 4}, VosZooError, r"size 4 is too small: .* at least 8"),
        "odd size": (video, truth[0], {"size": "huge"}, VosZooError, r"shorter side in pixels.*not 'huge'"),
        "size in words": (video, truth[0], {"size": ("40", "56")}, VosZooError, r"\(height, width\) or 'native', not \('40', '56'\)"),
        "half a size": (video, truth[0], {"size": (40.5, 56)}, VosZooError, r"\(height, width\) or 'native', not \(40\.5, 56\)"),
        "only backward": (video, truth[0], {"direction": "backward"}, MaskError, r"nothing to go back to from frame 0.*masks=\{index"),
        "no file": ("nowhere.mp4", truth[0], {}, VideoError, r"nowhere\.mp4"),
    }


def bad_cases():
    """(method, case): a stream has no direction."""
    return [
        (m, case) for case, (*_, options, _, _) in bad_calls().items() for m in ("propagate", "stream")[: 1 + ("direction" not in options)]
    ]


@pytest.mark.parametrize(("method", "case"), bad_cases())
def test_bad_input_is_refused_before_any_work(segmenter, case, method):
    video, mask, options, error, message = bad_calls()[case]
    with pytest.raises(error, match=message):
        getattr(segmenter, method)(video, mask, **options)
    assert segmenter.model.encoded == 0


def test_a_mask_of_another_size_can_be_resized(segmenter):
    video, truth = squares_clip()
    big = truth[0].repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(np.asarray(segmenter.propagate(video, big, resize_mask=True)), truth)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((3, 44, 60), np.uint8), r"channels come last, use \.transpose\(1, 2, 0\)"),
        (torch.zeros((3, 44, 60), dtype=torch.uint8), r"channels come last, use \.permute\(1, 2, 0\)"),
        (np.zeros((44, 60, 3), np.float32), r"\(x \* 255\)\.round\(\)"),
        (np.full((44, 60, 3), np.nan), r"holds NaN"),
        (np.zeros((44, 60), np.uint8), r"make grey frames RGB with np\.repeat"),
        (np.zeros((44, 60, 4), np.uint8), r"drop the alpha channel"),
        (None, r"the frame is a NoneType: give \(H, W, 3\) uint8 arrays"),
        (np.zeros((20, 30, 3), np.uint8), r"this frame is 30x20, the session's are 60x44"),
    ],
)
def test_bad_frames_in_a_session(segmenter, frame, message):
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0])
    with pytest.raises(VideoError, match=message):
        session.step(frame)
    np.testing.assert_array_equal(session.step(video[1]), truth[1])


@pytest.mark.parametrize("form", [Image.fromarray, torch.from_numpy, lambda frame: frame], ids=["PIL", "tensor", "read-only array"])
def test_a_session_takes_frames_in_other_forms(segmenter, form):
    video, truth = squares_clip()
    video.flags.writeable = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # torch says so of the test's own tensors
        frames = [form(frame) for frame in video]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = segmenter.start(frames[0], truth[0])
        np.testing.assert_array_equal(session.step(frames[1]), truth[1])
        np.testing.assert_array_equal(session.annotate(frames[2], truth[2]), truth[2])


def test_a_step_that_is_interrupted_leaves_the_session_as_it_was(segmenter, monkeypatch):
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0])
    session.step(video[1])

    def interrupted(frames):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(segmenter.model, "encode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.step(video[2])
    assert session.index == 1
    np.testing.assert_array_equal(session.current(), truth[1])
    np.testing.assert_array_equal(session.step(video[2]), truth[2])


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_a_file_shorter_than_it_claims_shifts_no_mask_to_another_frame(segmenter, tmp_path, direction):
    video, truth = squares_clip(ids=(1,))
    with VideoWriter(tmp_path / "clip.mp4", fps=10, size=(44, 60), quality=0) as writer:
        for frame in video:
            writer.write(frame)
    with pytest.warns(VosZooWarning, match=r"clip ended after 12 frames: the masks of frames \[14\] were not used"):
        masks = segmenter.propagate(tmp_path / "clip.mp4", masks={2: truth[2], 10: truth[10], 14: truth[0]}, direction=direction)
    assert len(masks) == 12 and masks.computed.tolist() == [True] * 11 + [direction == "both"]
    done = 12 if direction == "both" else 11
    assert (np.asarray(masks)[:done] == truth[:done]).mean() > 0.98
    np.testing.assert_array_equal(masks[10], truth[10])
    with pytest.raises(VideoError, match=r"ended before frame 14, the first that has a mask"):
        segmenter.propagate(tmp_path / "clip.mp4", masks={14: truth[0]}, direction=direction)


def test_the_given_mask_lies_on_top_in_both_directions(segmenter, monkeypatch):
    """However sure the other pass is of another object there."""
    video, truth = squares_clip()
    monkeypatch.setattr("vos_zoo.engine.tracker.certainty_of", lambda probs: torch.ones(probs.shape[1] - 1))
    given = np.where(truth[6] == 2, 1, 0)
    masks = segmenter.propagate(video, masks={0: truth[0], 6: given, 8: {2: truth[8] == 2}}, direction="both")
    assert (masks[6][given == 1] == 1).all()


def test_id_255_survives_being_fed_back(segmenter):
    """In bytes it would be read as void, or as white, which is object 1."""
    video, truth = squares_clip()
    for ids in ((1, 255), (0, 255)):
        first = np.select([truth[0] == 1, truth[0] == 2], ids)
        masks = segmenter.propagate(video[:6], first)
        more = segmenter.propagate(video[5:], masks[5])
        assert more.object_ids == masks.object_ids == tuple(k for k in ids if k)
        assert segmenter.start(video[5], segmenter.start(video[0], first).current()).object_ids == masks.object_ids


def test_an_object_seen_in_the_padding_alone_is_lost(monkeypatch):
    segmenter = toy_segmenter()
    video, truth = squares_clip(size=(44, 60))  # two rows of padding above and below
    session = segmenter.start(video[0], truth[0])
    advance = segmenter.model.advance

    def in_the_padding(*arguments):
        probs, state = advance(*arguments)
        probs = torch.zeros_like(probs)
        probs[:, 0, 2:], probs[:, 1, :2] = 0.9, 0.9
        return probs, state

    monkeypatch.setattr(segmenter.model, "advance", in_the_padding)
    assert not session.step(video[1]).any()
    assert session.lost == (1, 2) and session.confidence == {1: 0.0, 2: 0.0}


def test_an_object_that_a_correction_covers_is_lost(segmenter):
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0])
    session.step(video[1])
    session.annotate(video[1], {3: truth[1] == 2}, advance=False)
    assert session.lost == (2,) and session.confidence[2] == 0 and session.confidence[3] == 1


def test_a_camera_is_let_go_of_when_the_mask_is_wrong(segmenter, monkeypatch):
    video, truth = squares_clip()
    opened = open_video(iter(video))
    monkeypatch.setattr("vos_zoo.segmenter.open_video", lambda source, backend: opened)
    with pytest.raises(MaskError, match="no object"):
        segmenter.propagate(0, truth[0] * 0)
    with pytest.raises(VideoError, match="is closed"):
        iter(opened)


def test_an_annotation_that_is_never_reached_is_told(segmenter):
    video, truth = squares_clip()
    with pytest.warns(VosZooWarning, match=r"ended after 12 frames: the masks of frames \[20\] were not used"):
        segmenter.propagate(iter(video), masks={0: truth[0], 20: truth[0]})
    with pytest.raises(VideoError, match=r"ended before frame 20, the first that has a mask"):
        segmenter.propagate(iter(video), masks={20: truth[0]})


def test_an_empty_later_mask_is_passed_over_with_a_warning(segmenter):
    video, truth = squares_clip()
    with pytest.warns(VosZooWarning, match="frame 3 is empty"):
        masks = segmenter.propagate(video, truth[0], masks={3: truth[0] * 0})
    np.testing.assert_array_equal(np.asarray(masks), truth)


def test_device_and_dtype_are_checked():
    with pytest.raises(VosZooError, match="device 'warp' can't be used here"):
        toy_segmenter(device="warp")
    with pytest.raises(VosZooError, match="device None can't be used here .*device='auto' takes the best"):
        toy_segmenter(device=None)
    for dtype in ("int4", ["float32"], torch.int32):
        with pytest.raises(VosZooError, match="dtype is 'auto'"):
            toy_segmenter(dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_masks(dtype):
    video, truth = squares_clip()
    masks = toy_segmenter(dtype=dtype).propagate(video, truth[0])
    assert (np.asarray(masks) == truth).mean() > 0.999


@pytest.mark.parametrize(
    ("internal", "inner"), [(None, (24, 40)), (48, (48, 65)), ((16, 32), (16, 32)), ("native", (44, 60)), (np.int64(22), (22, 30))]
)
def test_an_exact_size_of_the_config_is_the_default(internal, inner):
    config = ModelConfig("toy", "Toy", preprocess=Preprocess(size=(24, 40)))
    exact = Segmenter(Toy(), config, device="cpu", dtype="float32")
    grid = exact.grid_for((44, 60), internal)
    assert grid.video == (44, 60) and grid.inner == inner
    assert exact.info()["size"] == (24, 40) and exact.info()["short_side"] is None
    video, truth = squares_clip(frames=3)
    assert (np.asarray(exact.propagate(video, truth[0], size=internal)) == truth).mean() > 0.95


def test_info_and_repr(segmenter):
    info = segmenter.info()
    assert info["name"] == "toy" and info["parameters"] == 1 and info["device"] == "cpu" and info["dtype"] == "float32"
    assert repr(segmenter) == "<Segmenter toy (Toy) on cpu, float32>"


def test_no_warning_in_plain_use(segmenter):
    video, truth = squares_clip()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmenter.propagate(video, truth[0])


def test_a_stream_has_one_type_also_before_a_large_id_comes(segmenter):
    video, truth = squares_clip(ids=(1, 300), appear={300: 4})
    later = {4: np.where(truth[4] == 300, 300, 0)}
    whole = np.asarray(segmenter.propagate(video, truth[0], masks=later))
    streamed = np.stack([item.mask for item in segmenter.stream(video, truth[0], masks=later)])
    np.testing.assert_array_equal(whole, truth)
    assert {item.mask.dtype for item in segmenter.stream(video, truth[0], masks=later)} == {np.dtype(np.int32)}
    assert streamed.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("before", "after", "reached", "chosen"),
    [
        ([2], [3], [True, True], 0),
        ([3], [2], [True, True], 1),
        ([2], [2], [True, True], 0),
        ([3], [2], [True, False], 0),
        ([2], [], [True, True], 0),
        ([2], [], [False, True], None),
        ([], [2], [True, True], 1),
        ([], [2], [True, False], None),
        ([0], [0], [False, True], 1),
    ],
)
def test_which_pass_an_object_is_taken_from(before, after, reached, chosen):
    assert _nearer_pass(before, after, reached) == chosen


def test_a_sessions_state_is_one_value(segmenter):
    """To go back to an earlier frame is to assign what was then."""
    video, truth = squares_clip()
    session = segmenter.start(video[0], truth[0])
    session.step(video[1])
    before = session.state
    session.step(video[2])
    session.annotate(video[2], {2: truth[2] == 1}, advance=False)
    session.remove(1)
    assert before.index == 1 and before.object_ids == (1, 2)
    session.state = before
    np.testing.assert_array_equal(session.current(), truth[1])
    np.testing.assert_array_equal(session.step(video[2]), truth[2])


@pytest.mark.parametrize("size", [(2, 300), (300, 2), (24, 1500), (1, 1)])
def test_frames_of_any_shape_have_masks(segmenter, size):
    video = np.full((3, *size, 3), 120, np.uint8)
    first = np.zeros(size, np.uint8)
    first[: max(1, size[0] // 2), : max(1, size[1] // 2)] = 1
    video[:, first == 1] = (220, 40, 40)
    masks = segmenter.propagate(video, first, size=48)
    assert masks[2].shape == size and (masks[2] == first).mean() > 0.9
