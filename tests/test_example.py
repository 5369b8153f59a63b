"""The rendered clip: exact masks, what happens in it, and that it is the same every time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from vos_zoo.errors import VideoError
from vos_zoo.example import render_example


@pytest.fixture(scope="module")
def example():
    return render_example(frames=12, size=(120, 216))


def test_shapes_and_values(example):
    assert example.frames.shape == (12, 120, 216, 3) and example.frames.dtype == np.uint8
    assert example.masks.shape == (12, 120, 216) and example.masks.dtype == np.uint8
    assert set(np.unique(example.masks)) == {0, 1}
    assert example.fps > 0


def test_same_arguments_same_pixels(example):
    again = render_example(frames=12, size=(120, 216))
    assert (again.frames == example.frames).all() and (again.masks == example.masks).all()
    assert (render_example(frames=1, size=(120, 216), seed=1).frames[0] != example.frames[0]).any()


def test_the_koi_is_hidden_in_part_and_comes_out_again(example):
    area = example.masks.sum(axis=(1, 2)) / example.masks[0].size
    assert 0.03 < area[0] < 0.15
    assert area.min() > 0.6 * area[0], "more than half of it can always be seen"
    assert area[4:9].min() < 0.88 * area[0], "a leaf hides a part of it"
    assert area[-1] > 0.85 * area[0]


def test_the_koi_moves_and_deforms(example):
    centres = np.array([np.argwhere(mask).mean(axis=0) for mask in example.masks])
    assert np.ptp(centres[:, 1]) > 0.4 * 216
    first, later = (np.argwhere(mask) for mask in example.masks[[0, 3]])  # no leaf hides it yet
    spread = [np.linalg.eigvalsh(np.cov(points.T)) for points in (first, later)]
    assert abs(spread[0][0] / spread[1][0] - 1) > 0.02


def test_the_mask_lies_on_the_koi(example):
    """White and orange are brighter and redder than sand and leaves, on the mask's side of its edge."""
    red = example.frames[..., 0].astype(float)
    for frame, mask in zip(red, example.masks == 1, strict=True):
        inner = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
        ring = np.zeros_like(mask)
        for dy, dx in ((3, 0), (-3, 0), (0, 3), (0, -3)):
            ring |= np.roll(mask, (dy, dx), (0, 1))
        assert frame[1:-1, 1:-1][inner].mean() > 1.3 * frame[ring & ~mask].mean()


def test_another_koi_passes(example):
    """Yellow (red and green far above blue) outside the mask is at the right first, later at the left."""
    red, green, blue = (example.frames[..., c].astype(int) for c in range(3))
    yellow = (np.minimum(red, green) > blue + 45) & (red > green) & (example.masks == 0)
    where = [np.argwhere(frame)[:, 1].mean() for frame in yellow[[1, 8]]]
    assert yellow[[1, 8]].sum(axis=(1, 2)).min() > 100
    assert where[0] > where[1] + 60


def test_every_size_shows_the_same_scene(example):
    large = render_example(frames=12, size=(240, 432))
    blocks = large.masks.reshape(12, 120, 2, 216, 2).mean(axis=(2, 4)) > 0.5
    common = (blocks & (example.masks == 1)).sum() / (blocks | (example.masks == 1)).sum()
    assert common > 0.9
    small = large.frames.reshape(12, 120, 2, 216, 2, 3).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), example.frames.ravel())[0, 1] > 0.6


@pytest.mark.parametrize("size", [(48, 48), (49, 301), (200, 100)])
def test_odd_sizes(size):
    example = render_example(frames=3, size=size)
    assert example.frames.shape == (3, *size, 3)
    assert example.masks[0].any()


def test_one_frame():
    assert render_example(frames=1, size=(64, 96)).masks.shape == (1, 64, 96)


def test_too_small():
    with pytest.raises(VideoError, match="frames is 0; an example has 1 or more"):
        render_example(frames=0)
    with pytest.raises(VideoError, match="size is 20 x 400; give a height and a width of 48 pixels or more"):
        render_example(size=(20, 400))


@pytest.fixture(scope="module")
def make_example():
    path = Path(__file__).parents[1] / "tools" / "make_example.py"
    if not path.is_file():
        pytest.skip("tools/ is not part of this copy")
    spec = importlib.util.spec_from_file_location("make_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tool_writes_video_and_masks(make_example, tmp_path, capsys):
    from vos_zoo.io.masks import read_mask
    from vos_zoo.io.sequence import MaskSequence

    arguments = ["--out", str(tmp_path), "--frames", "5", "--size", "64x96", "--frames-too"]
    assert make_example.main(arguments) == 0
    assert "wrote 5 frames" in capsys.readouterr().out
    expected = render_example(frames=5, size=(64, 96))
    assert (np.asarray(MaskSequence.load(tmp_path / "masks")) == expected.masks).all()
    assert (read_mask(tmp_path / "first_mask.png").labels == expected.masks[0]).all()
    assert len(list((tmp_path / "frames").glob("*.png"))) == 5

    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 5
    assert abs(np.stack(decoded).astype(int) - expected.frames).mean() < 12


def test_the_tool_says_what_was_wrong(make_example, tmp_path, capsys):
    assert make_example.main(["--out", str(tmp_path), "--frames", "0"]) == 1
    assert "frames is 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        make_example.main(["--out", str(tmp_path), "--size", "64"])
    assert "'64' is not HEIGHTxWIDTH" in capsys.readouterr().err
