"""The rendered clip: exact masks, what happens in it, and that it is the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from programs import program

from vos_zoo.errors import VideoError
from vos_zoo.example.clip import Pond, render_example


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
    return program("make_example")


def test_the_tool_writes_video_and_masks(make_example, tmp_path, capsys):
    from vos_zoo.masks.read import read_mask
    from vos_zoo.masks.sequence import MaskSequence

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


POND = Pond(followed=2, passing=2, leaves=2, camouflage=0.5, murk=0.2)


@pytest.fixture(scope="module")
def pond():
    return render_example(frames=6, size=(120, 216), seed=3, pond=POND)


def test_a_pond_is_the_same_every_time_and_another_with_another_seed(pond):
    again = render_example(frames=6, size=(120, 216), seed=3, pond=POND)
    assert (again.frames == pond.frames).all() and (again.masks == pond.masks).all()
    other = render_example(frames=6, size=(120, 216), seed=4, pond=POND)
    assert abs(other.frames.astype(int) - pond.frames).mean() > 5
    assert (other.masks[0] != pond.masks[0]).mean() > 0.01


def test_those_that_are_followed_have_a_mask_from_the_first_frame_on(pond):
    assert set(np.unique(pond.masks)) == {0, 1, 2}
    area = [(pond.masks == k).mean(axis=(1, 2)) for k in (1, 2)]
    assert all(each[0] > 0.01 for each in area)
    centres = [np.array([np.argwhere(mask == k).mean(axis=0) for mask in pond.masks if (mask == k).any()]) for k in (1, 2)]
    assert all(np.ptp(each, axis=0).max() > 15 for each in centres), "they swim"


def test_a_ponds_masks_are_exact():
    """Without murk, colours say what is a koi: where one of two ponds hides it, the frames differ there and nowhere else."""
    clear = render_example(frames=2, size=(120, 216), seed=3, pond=Pond(followed=1, passing=0, leaves=1))
    hidden = render_example(frames=2, size=(120, 216), seed=3, pond=Pond(followed=1, passing=0, leaves=1, murk=1))
    for k in range(2):
        changed = abs(clear.frames[k].astype(int) - hidden.frames[k]).max(axis=2) > 6
        mask = clear.masks[k] == 1
        assert (clear.masks[k] == hidden.masks[k]).all()
        near = mask.copy()
        for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            near |= np.roll(mask, (dy, dx), (0, 1))
        assert changed[mask].mean() > 0.9, "the koi's colours are under its mask"
        assert changed[~near].sum() < 0.01 * mask.sum(), "and, but for tips of fins, nowhere else"


def test_a_leaf_and_a_koi_above_take_pixels_from_the_mask():
    alone, crowded = (
        render_example(frames=8, size=(96, 160), seed=2, pond=Pond(1, passing, leaves)) for passing, leaves in ((0, 0), (20, 12))
    )
    assert (crowded.masks == 1).sum() < 0.9 * (alone.masks == 1).sum()


def test_camouflage_and_murk_bring_koi_nearer_to_the_bottom():
    def contrast(**how: float) -> float:
        drawn = render_example(frames=1, size=(120, 216), seed=3, pond=Pond(followed=3, passing=0, leaves=0, **how))
        frame, on = drawn.frames[0].astype(float), drawn.masks[0] > 0
        return float(np.linalg.norm(frame[on] - frame[~on].mean(axis=0), axis=1).mean())

    assert contrast(camouflage=1.0) < 0.9 * contrast()
    assert contrast(murk=0.7) < 0.7 * contrast()


def test_dusk_is_darker_and_grainier_and_leaves_the_masks_alone():
    day, dusk = (render_example(frames=2, size=(120, 216), seed=3, pond=Pond(dusk=share)) for share in (0.0, 1.0))
    assert (day.masks == dusk.masks).all()
    assert dusk.frames.mean() < 0.65 * day.frames.mean()
    noise = [np.diff(clip.frames[0].astype(float), axis=1).std() for clip in (day, dusk)]
    assert noise[1] > 2 * noise[0]
    grain = [frame - day.frames[k] * 0.5 for k, frame in enumerate(dusk.frames.astype(float))]
    assert abs(np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]) < 0.5, "every frame has its own"


@pytest.mark.parametrize("size", [(48, 48), (49, 301), (200, 60)])
def test_ponds_of_odd_sizes(size):
    drawn = render_example(frames=2, size=size, pond=Pond(followed=8, passing=24, leaves=24))
    assert drawn.frames.shape == (2, *size, 3) and drawn.masks.max() <= 8


@pytest.mark.parametrize(
    ("name", "value"), [("followed", 0), ("passing", -1), ("leaves", 25), ("camouflage", 1.5), ("murk", -0.1), ("dusk", 2)]
)
def test_a_pond_that_cannot_be(name, value):
    with pytest.raises(VideoError, match=f"a pond's {name} is {value}; give "):
        Pond(**{name: value})


def test_the_bundled_story_stays_as_it_is():
    """Its picture and figures stand in the README. Means over blocks, as the last bit may differ from one processor to another."""
    story = render_example(frames=3, size=(96, 160))
    colours = [
        [[[126.8, 118.5, 88.7], [99.7, 114.0, 79.4]], [[125.3, 122.4, 98.4], [113.3, 112.6, 88.6]]],
        [[[122.6, 123.9, 97.5], [101.0, 111.7, 71.7]], [[121.8, 118.3, 93.1], [110.4, 113.3, 86.7]]],
        [[[109.1, 116.2, 86.6], [93.3, 108.6, 73.9]], [[119.5, 118.3, 94.3], [119.1, 118.6, 84.9]]],
    ]
    assert (story.masks == 1).sum(axis=(1, 2)).tolist() == pytest.approx([825, 748, 803], abs=3)
    blocks = story.frames.reshape(3, 2, 48, 2, 80, 3).mean(axis=(2, 4))
    assert abs(blocks - np.array(colours)).max() < 0.5
