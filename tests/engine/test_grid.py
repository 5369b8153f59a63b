"""Grids: sizes, padding on the right sides, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vos_zoo.engine.grid import LONGEST, MAX_PIXELS, STRIP, Grid, likeliest, make_grid, resize
from vos_zoo.errors import VosZooError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("video", "padding", "pads"),
    [
        ((480, 854), "reflect", (5, 5, 0, 0)),
        ((240, 427), "reflect", (3, 2, 0, 0)),
        ((240, 427), "zeros", (2, 3, 0, 0)),
        ((100, 150), "reflect", (5, 5, 6, 6)),
        ((101, 149), "reflect", (6, 5, 6, 5)),
        ((101, 149), "zeros", (5, 6, 5, 6)),
    ],
)
def test_padding_goes_where_the_papers_code_puts_it(video, padding, pads):
    grid = make_grid(video, short_side=None, stride=16, padding=padding)
    assert grid.pads == pads and grid.inner == video
    assert grid.size[0] % 16 == grid.size[1] % 16 == 0
    frame = np.random.default_rng(0).integers(0, 256, (*video, 3), np.uint8)
    padded = grid.frame(frame, CPU)[0]
    left, _, top, _ = pads
    mode = {"reflect": "reflect", "zeros": "constant"}[padding]
    expected = np.pad(frame, ((top, pads[3]), (left, pads[1]), (0, 0)), mode=mode).transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_allclose(padded.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("video", "short_side", "inner"), [((480, 854), 240, (240, 427)), ((1920, 1080), 480, (853, 480)), ((90, 120), 480, (480, 640))]
)
def test_short_side(video, short_side, inner):
    assert make_grid(video, short_side=short_side, stride=16, padding="zeros").inner == inner


@pytest.mark.parametrize("video", [(1, 1), (3, 5), (16, 7), (5, 200)])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_frames_smaller_than_their_padding(video, padding):
    grid = make_grid(video, short_side=None, stride=16, padding=padding)
    out = grid.frame(np.full((*video, 3), 255, np.uint8), CPU)
    assert out.shape[-2:] == grid.size
    assert grid.slots(torch.cat([1 - out[:, :1], out[:, :1]], 1)).shape == video


@pytest.mark.parametrize("objects", [1, 3, 300])
def test_masks_there_and_back(objects):
    grid = make_grid((41, 57), short_side=None, stride=16, padding="reflect")
    truth = np.random.default_rng(1).integers(0, objects + 1, (41, 57))
    layers = grid.masks(np.stack([truth == k for k in range(1, objects + 1)]), CPU)
    probs = torch.cat([1 - layers.sum(1, keepdim=True), layers], 1)
    found = grid.slots(probs).numpy()
    np.testing.assert_array_equal(found, truth)
    assert found.dtype == (np.uint8 if objects < 256 else np.int32)


@pytest.mark.parametrize("at_once", [0, 1, 2, 3, 4])
def test_a_few_objects_at_a_time_give_what_all_at_once_give(monkeypatch, at_once):
    grid = make_grid((60, 90), short_side=32, stride=16, padding="reflect")
    probs = torch.rand(1, 5, *grid.size).softmax(1)
    layers = np.random.default_rng(0).random((5, 60, 90)) > 0.5
    assert STRIP >= 5 * 60 * 90
    labels, masks = grid.slots(probs), grid.masks(layers, CPU)
    monkeypatch.setattr("vos_zoo.engine.grid.STRIP", at_once * 60 * 90 + 10)
    np.testing.assert_array_equal(grid.slots(probs), labels)
    assert torch.equal(grid.masks(layers, CPU), masks)


@pytest.mark.parametrize(("factor", "inner", "size"), [(1, (32, 48), (32, 48)), (1.2, (38, 58), (48, 64)), (0.5, (16, 24), (16, 32))])
def test_a_grid_can_be_made_larger_or_smaller(factor, inner, size):
    grid = make_grid((60, 90), short_side=32, stride=16, padding="reflect").scaled(factor, 16)
    assert grid.video == (60, 90) and grid.inner == inner and grid.size == size and grid.mode == "reflect"


def test_probabilities_are_resized_not_labels():
    grid = Grid((4, 40), (1, 10), (0, 0, 0, 0), "zeros")
    edge = torch.tensor([1.0] * 5 + [0.0] * 5).view(1, 1, 1, 10)
    labels = grid.slots(torch.cat([edge * 0.9 + 0.05, 0.95 - edge * 0.9], 1))
    assert labels[0].tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize("layers", [1, 2, 5, 300])
def test_the_likeliest_layer_is_that_of_max(layers):
    values = torch.randint(0, 4, (layers, 9, 11), generator=torch.Generator().manual_seed(layers)).float()  # with ties
    best, slot = likeliest(values)
    expected = values.max(0)
    assert torch.equal(best, expected.values) and np.array_equal(slot.numpy(), values.numpy().argmax(0))
    assert slot.dtype == (torch.uint8 if layers <= 256 else torch.int32)


@pytest.mark.parametrize("video", [(48, 64), (45, 61), (20, 30)])
def test_several_frames_at_once_are_those_one_by_one(video):
    grid = make_grid(video, short_side=32, stride=16, padding="reflect")
    frames = np.random.default_rng(0).integers(0, 256, (3, *video, 3), dtype=np.uint8)
    together = grid.frames(list(frames), CPU)
    torch.testing.assert_close(together, torch.cat([grid.frame(frame, CPU) for frame in frames]), atol=0, rtol=0)
    assert together.dtype == torch.float32 and float(together.min()) >= 0 and float(together.max()) <= 1


def test_frames_are_rounded_to_bytes_not_bent():
    """On a CPU frames are resized as bytes: no more than a step from what floats would give, a fifth of one on average."""
    grid = make_grid((96, 128), short_side=48, stride=16, padding="zeros")
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    exact = resize(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255, grid.inner)
    difference = (grid.unpadded(grid.frame(frame, CPU)) - exact) * 255
    assert float(difference.abs().max()) <= 1.01 and abs(float(difference.mean())) < 0.2


LONG = [(24, 1500), (1500, 24), (2, 3000), (3000, 2), (1, 1), (1, 100_000), (100, 1000), (480, 5000), (7, 7000), (16000, 16), (1080, 3841)]


@pytest.mark.parametrize("video", LONG)
@pytest.mark.parametrize("short_side", [32, 240, 480])
@pytest.mark.parametrize("stride", [1, 16])
def test_a_frame_costs_no_more_than_one_three_times_as_long_as_high(video, short_side, stride):
    grid = make_grid(video, short_side=short_side, stride=stride, padding="zeros")
    longest = make_grid((short_side, LONGEST * short_side), short_side=short_side, stride=32, padding="zeros")
    assert grid.size[0] * grid.size[1] <= longest.size[0] * longest.size[1]
    assert min(grid.inner) >= 1


@pytest.mark.parametrize("short_side", [240, 384, 480])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_ordinary_frames_are_as_large_inside_as_they_were(short_side, padding):
    """Up to three times as long as high: upright, square, cinema, with odd sides."""
    for height, width in ((480, 854), (854, 480), (1080, 1920), (500, 500), (804, 1920), (333, 999), (101, 202), (36, 108), (2160, 3840)):
        factor = short_side / min(height, width)
        expected = (round(height * factor), round(width * factor))
        assert make_grid((height, width), short_side=short_side, stride=16, padding=padding).inner == expected


def test_a_long_frame_keeps_its_shape_and_most_of_what_it_may_have():
    grid = make_grid((480, 4800), short_side=480, stride=16, padding="zeros")
    height, width = grid.inner
    assert width / height == pytest.approx(10, rel=0.02) and 0.8 * LONGEST * 480**2 < height * width <= LONGEST * 480**2


def test_a_size_that_no_machine_holds_is_refused():
    for inner in ((10_000, 10_000), (2, MAX_PIXELS)):
        with pytest.raises(VosZooError, match="is too large, .* pixels are the limit: pass a smaller size, for instance size=480"):
            make_grid((48, 64), short_side=None, stride=16, padding="zeros", inner=inner)
    assert make_grid((4320, 7680), short_side=None, stride=16, padding="zeros").inner == (4320, 7680)
