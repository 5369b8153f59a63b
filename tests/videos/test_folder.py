"""Folders of images, pages and animations: nothing given is dropped in silence, and no number is shifted."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import moving, save_images

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos.video import open_video


def heard_of(folder: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        open_video(folder)
    return [str(each.message) for each in heard]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["00.png", "01.png", "03.png", "04.png"], "1 number missing (between 1 and 3)"),
        (["a10.jpg", "a15.jpg", "a20.jpg", "a40.jpg", "a45.jpg"], "3 numbers missing (between 20 and 40)"),
        (["f1.png", "f2.png", "f3.png", "f10.png", "f11.png", "f14.png"], "8 numbers missing (between 3 and 10, between 11 and 14)"),
    ],
)
def test_gaps_are_told_in_one_warning(tmp_path: Path, names: list[str], message: str) -> None:
    (heard,) = heard_of(save_images(tmp_path, names))
    assert message in heard and "frames are counted by their place" in heard


@pytest.mark.parametrize(
    "names",
    [["0.png", "1.png", "2.png"], ["00000.jpg", "00005.jpg", "00010.jpg"], ["7.png", "8.png"], ["t=0.04.png", "t=0.2.png", "t=1.png"]],
)
def test_whole_folders_need_no_word(tmp_path: Path, names: list[str]) -> None:
    assert heard_of(save_images(tmp_path, names)) == []


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    save_images(tmp_path, ["a1.png", "a2.png", "a4.png"])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a3.png").mkdir()
    (tmp_path / ".hidden.png").write_text("x")
    (heard,) = heard_of(tmp_path)
    assert "1 number missing" in heard and "1 file passed over, no image (notes.txt)" in heard and "1 folder named like images" in heard


def test_a_stray_mask_among_numbered_frames_is_named(tmp_path: Path) -> None:
    (heard,) = heard_of(save_images(tmp_path, ["00000.png", "00001.png", "00002.png", "mask.png"]))
    assert "mask.png has no number and is read as a frame" in heard
    assert not any("no number" in each for each in heard_of(save_images(tmp_path / "plain", ["a.png", "b.png", "c.png"])))


def test_a_doubtful_order_is_told_with_the_first_names(tmp_path: Path) -> None:
    (heard,) = heard_of(save_images(tmp_path, ["left_1.png", "left_2.png", "right_1.png"]))
    assert "the order of the frames is in doubt: their names are of 2 patterns (as left_1, right_1); taken as left_1.png" in heard


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".webp"])
def test_a_dead_link_amid_frames_is_refused(tmp_path: Path, suffix: str) -> None:
    save_images(tmp_path, [f"0{suffix}", f"2{suffix}"])
    (tmp_path / f"1{suffix}").symlink_to("gone")
    with pytest.raises(VideoError, match=f"1 dead link in place of frames .1{suffix}"):
        open_video(tmp_path)


@pytest.mark.parametrize("suffix", [".avif", ".exr", ".heic", ".gif", ".JP2"])
def test_images_of_other_kinds_amid_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    save_images(tmp_path, ["0.png", "2.png"])
    (tmp_path / f"1{suffix}").write_bytes(b"x")
    with pytest.raises(VideoError, match=f"1 image of kinds that are not read .1{suffix}. beside 2"):
        open_video(tmp_path)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_file_amid_frames_is_refused(tmp_path: Path, data: bytes) -> None:
    save_images(tmp_path, ["0.png", "2.png"])
    (tmp_path / "1.png").write_bytes(data)
    with pytest.raises(VideoError, match="1.png"):
        open_video(tmp_path)


@pytest.mark.parametrize("kind", ["stack.tif", "stack.tiff", "a.webp", "a.png"])
def test_pages_and_pictures_are_frames(tmp_path: Path, kind: str) -> None:
    frames = moving(9)
    first, *rest = map(Image.fromarray, frames)
    options = {"lossless": True} if kind == "a.webp" else {}
    first.save(tmp_path / kind, save_all=True, append_images=rest, **({"duration": 40} | options if "." in kind and kind[0] == "a" else {}))
    for source in (tmp_path / kind, tmp_path):
        video = open_video(source)
        assert (video.length, video.exact_length, video.name) == (9, True, kind.split(".")[0])
        read = list(video)
        assert np.array_equal(read, frames)
        assert np.array_equal(list(video.read_reversed(chunk=4)), read[::-1])
        assert np.array_equal(list(video.read(2, 5)), read[2:5])


@pytest.mark.parametrize("kind", ["a.webp", "a.png"])
def test_pictures_of_an_animation_have_their_times(tmp_path: Path, kind: str) -> None:
    lengths = [40, 100, 20, 500]
    first, *rest = map(Image.fromarray, moving(4))
    first.save(tmp_path / kind, save_all=True, append_images=rest, duration=lengths)
    moments = list(open_video(tmp_path / kind).moments())
    assert [moment.duration for moment in moments] == [Fraction(each, 1000) for each in lengths]
    assert [moment.time for moment in moments] == [Fraction(sum(lengths[:i]), 1000) for i in range(4)]


def test_16_bit_pages_are_of_one_range(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((12, 16), value, np.uint16)) for value in (100, 1000, 4095)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(VosZooWarning, match="of which 12 are used"):
        video = open_video(tmp_path / "stack.tif")
    assert [int(frame.max()) for frame in video] == [6, 62, 255]


def test_pages_of_several_sizes_are_refused(tmp_path: Path) -> None:
    Image.new("L", (16, 12)).save(tmp_path / "pyramid.tif", save_all=True, append_images=[Image.new("L", (8, 6))])
    with pytest.raises(VideoError, match="page 1 of pyramid.tif is 8x6 pixels"):
        open_video(tmp_path / "pyramid.tif")


def test_a_stack_whose_index_knows_one_page_is_refused(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "ImageJ=1.53t\nimages=24\nslices=24\n"
    Image.new("L", (16, 12)).save(tmp_path / "stack.tif", tiffinfo=tags)
    with pytest.raises(VideoError, match="says that it holds 24 images"):
        open_video(tmp_path / "stack.tif")


@pytest.mark.parametrize("kind", [".tif", ".webp", ".png"])
def test_a_file_of_many_pages_amid_frames_is_refused(tmp_path: Path, kind: str) -> None:
    save_images(tmp_path, ["0.png", "2.png"])
    first, *rest = (Image.new("RGB", (16, 12), (50 * i, 0, 0)) for i in range(5))
    first.save(tmp_path / f"1{kind}", save_all=True, append_images=rest)
    with pytest.raises(VideoError, match=rf"1{kind}. has 5 pages"):
        open_video(tmp_path)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["a.tif", "a.webp", "a.png"])
def test_a_damaged_stack_is_told(tmp_path: Path, kind: str, cut: float) -> None:
    draw = np.random.default_rng(1)
    first, *rest = (Image.fromarray(draw.integers(0, 255, (48, 64, 3), dtype=np.uint8)) for _ in range(6))
    first.save(tmp_path / kind, save_all=True, append_images=rest)
    data = (tmp_path / kind).read_bytes()
    (tmp_path / kind).write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(VideoError, match=kind):
        list(open_video(tmp_path / kind))
