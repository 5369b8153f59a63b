"""Pixel values mean what the file says: matrix, range, depth, HDR, and images of every mode."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import PATCHES, colours_in, encode, patches

from vos_zoo.errors import VosZooWarning
from vos_zoo.videos.colours import HLG, PQ, tone_mapped
from vos_zoo.videos.images import read_frame
from vos_zoo.videos.video import open_video

LOSSLESS = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}, "ffv1": {}}


def assert_patches(path: Path, tolerance: int = 6) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = next(iter(open_video(path)))
    assert np.abs(colours_in(frame) - PATCHES).max() <= tolerance


@pytest.mark.parametrize("height", [48, 720])
@pytest.mark.parametrize("tag", [1, 4, 5, 6, 7, 9])
def test_the_matrix_is_that_of_the_tag(tmp_path: Path, tag: int, height: int) -> None:
    frame = patches(height, 96)
    assert_patches(encode(tmp_path / "a.mp4", [frame], tags=(tag, 1, 1, 1), pixels="yuv444p", options={"qp": "0"}))


@pytest.mark.parametrize(("height", "matrix"), [(480, 5), (718, 5), (720, 1), (1080, 1)])
def test_an_untagged_file_is_read_by_the_rule_that_the_writer_uses(tmp_path: Path, height: int, matrix: int) -> None:
    frame = patches(height, 96)
    assert_patches(encode(tmp_path / "a.mkv", [frame], tags=(2, 2, 2, 0), matrix=matrix, pixels="yuv444p", options={"qp": "0"}))


@pytest.mark.parametrize(("tag", "name"), [(8, "YCgCo"), (12, "chromaticity-derived"), (14, "ICtCp")])
def test_a_matrix_that_is_not_known_is_told(tmp_path: Path, tag: int, name: str) -> None:
    path = encode(tmp_path / "a.mkv", [patches()], tags=(tag, 1, 1, 1), matrix=1, pixels="yuv444p")
    with pytest.warns(VosZooWarning, match=rf"a matrix that is not known here \({name}\)"):
        open_video(path)


@pytest.mark.parametrize("range_", [1, 2])
@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("libx265", "a.mp4"), ("ffv1", "a.mkv")])
def test_full_and_limited_range(tmp_path: Path, codec: str, name: str, range_: int) -> None:
    assert_patches(encode(tmp_path / name, [patches()], codec, tags=(1, 1, 1, range_), pixels="yuv444p", options=LOSSLESS[codec]))


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("libx264", "yuv420p10le"), ("libx265", "yuv422p12le"), ("ffv1", "yuv444p9le"), ("ffv1", "yuv444p14le"), ("ffv1", "yuv444p16le"),
     ("ffv1", "gbrp10le"), ("ffv1", "gbrp14le"), ("prores_ks", "yuv444p10le"), ("prores_ks", "yuva444p10le")],
)  # fmt: skip
def test_depths_of_9_to_16_bits(tmp_path: Path, codec: str, pixels: str) -> None:
    deep = patches().astype(np.uint16) * 257
    path = tmp_path / ("a.mov" if codec == "prores_ks" else "a.mkv")
    assert_patches(encode(path, [deep], codec, pixels=pixels, tags=(1, 1, 1, 1), options=LOSSLESS.get(codec)), tolerance=8)


def as_pq(frame: np.ndarray, white: float = 203.0) -> np.ndarray:
    """An sRGB frame as PQ codes of BT.2020, 16 bits, written from the standards' formulas (ST 2084, BT.2087)."""
    value = frame / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    power = (light * white / 10_000) ** (2610 / 16384)
    return np.rint(65535 * ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)).astype(np.uint16)


@pytest.mark.parametrize(("codec", "pixels"), [("libx265", "yuv420p10le"), ("libx265", "yuv444p12le"), ("ffv1", "yuv444p10le")])
def test_hdr10_is_tone_mapped_and_told_once(tmp_path: Path, codec: str, pixels: str) -> None:
    params = {"x265-params": "log-level=none:crf=4:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"} if codec == "libx265" else {}
    frames = [as_pq(patches())] * 3
    path = encode(tmp_path / "a.mkv", frames, codec, pixels=pixels, tags=(9, 9, PQ, 1), options=params)
    with pytest.warns(VosZooWarning, match=r"a.mkv is HDR \(PQ\): its colours are tone-mapped to SDR") as heard:
        read = list(open_video(path))
    assert len(heard) == 1
    assert np.abs(colours_in(read[0]) - PATCHES).max() <= 12


def test_hlg_is_tone_mapped(tmp_path: Path) -> None:
    white = np.full((48, 64, 3), round(0.75 * 65535), np.uint16)  # diffuse white, BT.2408
    path = encode(tmp_path / "a.mkv", [white], "ffv1", pixels="yuv444p10le", tags=(9, 9, HLG, 1))
    with pytest.warns(VosZooWarning, match=r"HDR \(HLG\)"):
        (frame,) = open_video(path)
    assert 225 <= frame[24, 32].min() <= frame[24, 32].max() <= 250


def test_tone_mapping_keeps_order_and_greys() -> None:
    ramp = np.repeat(np.linspace(0, 65535, 512).astype(np.uint16)[None, :, None], 3, axis=2)
    for transfer in (PQ, HLG):
        grey = tone_mapped(ramp, transfer=transfer)[0].astype(int)
        assert (np.diff(grey, axis=0) >= 0).all() and (np.ptp(grey, axis=1) <= 1).all()
        assert grey[0].max() == 0 and grey[-1].min() == 255


IMAGES = {
    "CMYK": lambda picture: picture.convert("CMYK"),
    "grey and alpha": lambda picture: picture.convert("LA"),
    "palette": lambda picture: picture.quantize(64),
    "RGBA": lambda picture: picture.convert("RGBA"),
    "YCbCr": lambda picture: picture.convert("YCbCr"),
    "premultiplied": lambda picture: picture.convert("RGBA").convert("RGBa"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_every_mode(kind: str) -> None:
    picture = Image.fromarray(patches())
    expected = np.asarray(picture.convert("L").convert("RGB") if kind == "grey and alpha" else picture).astype(int)
    assert np.abs(colours_in(read_frame(IMAGES[kind](picture), "it")) - colours_in(expected)).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_dropped_and_colours_stay(tmp_path: Path, suffix: str) -> None:
    see_through = np.dstack([patches(), np.full((48, 64), 90, np.uint8)])
    Image.fromarray(see_through).save(tmp_path / f"a{suffix}", **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
    assert np.array_equal(read_frame(tmp_path / f"a{suffix}", "it"), patches())


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    Image.fromarray(patches()).quantize(16).save(tmp_path / "a.png", transparency=0)
    assert np.abs(colours_in(read_frame(tmp_path / "a.png", "it")) - PATCHES).max() <= 3


def test_a_cmyk_photo(tmp_path: Path) -> None:
    Image.fromarray(patches()).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert np.abs(colours_in(read_frame(tmp_path / "a.jpg", "it")) - PATCHES).max() <= 12


def ramp(bits: int) -> np.ndarray:
    return np.linspace(0, 2**bits - 1, 48 * 64).round().astype(np.uint16).reshape(48, 64)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_range_of_16_bit_images_is_found_by_their_values(tmp_path: Path, suffix: str, bits: int) -> None:
    for i in range(3):
        Image.fromarray(ramp(bits)).save(tmp_path / f"{i}{suffix}")
    with pytest.warns(VosZooWarning, match=f"of 16 bits, of which {bits} are used .by their values, to {2**bits - 1} in 3 of 3 images"):
        frames = list(open_video(tmp_path))
    assert all(np.abs(frame[..., 0] - ramp(bits) * (255 / (2**bits - 1))).max() <= 0.51 for frame in frames)


def test_one_range_holds_for_all_frames(tmp_path: Path) -> None:
    Image.fromarray(ramp(12) // 8).save(tmp_path / "0.png")  # a dark frame first
    Image.fromarray(ramp(12)).save(tmp_path / "1.png")
    with pytest.warns(VosZooWarning, match="of which 12 are used"):
        dark, bright = open_video(tmp_path)
    assert (dark.max(), bright.max()) == (32, 255)


def test_the_range_of_a_tag_goes_before_values(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095
    for i in range(2):
        Image.fromarray(ramp(12) // 4).save(tmp_path / f"{i}.tif", tiffinfo=tags)
    with pytest.warns(VosZooWarning, match="of which 12 are used .by their tag"):
        frame = next(iter(open_video(tmp_path)))
    assert frame.max() == 64


def test_full_16_bits_need_no_word(tmp_path: Path) -> None:
    Image.fromarray(ramp(16)).save(tmp_path / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (frame,) = open_video(tmp_path)
    assert np.abs(frame[..., 0] - ramp(16) / 257).max() <= 0.51


@pytest.mark.parametrize("bits", [12, 16])
def test_16_bit_colour_images_keep_what_pillow_would_lose(tmp_path: Path, bits: int) -> None:
    deep = (patches().astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    encode(tmp_path / "0.png", [deep], "png", pixels="rgb48be")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        (frame,) = open_video(tmp_path)
    assert np.abs(frame.astype(int) - patches()).max() <= 1
    assert len(heard) == (bits < 16)


def test_hdr_written_as_sdr_reads_back_without_a_word(tmp_path: Path) -> None:
    from vos_zoo.videos.writer import VideoWriter

    path = encode(tmp_path / "a.mkv", [as_pq(patches())], "ffv1", pixels="yuv444p10le", tags=(9, 9, PQ, 1))
    with pytest.warns(VosZooWarning, match="HDR"):
        video = open_video(path)
    with VideoWriter(tmp_path / "o.mp4", fps=25, size=(48, 64), quality=0, like=video.presentation) as writer:
        writer.write(next(iter(video)))
    assert_patches(tmp_path / "o.mp4", tolerance=14)
