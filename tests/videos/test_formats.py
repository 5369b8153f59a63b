"""Every line of docs/formats.md, with a file made for it."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from video_files import encode, moving, patches, save_images

from vos_zoo.errors import SaveError, VideoError, VosZooWarning
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.colours import HLG, PQ
from vos_zoo.videos.video import open_video

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
SIZE = (96, 128)


def table(title: str) -> list[list[str]]:
    """The rows of the table under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


READ = [
    (suffix, codec, pixels)
    for suffixes, codec, formats in table("Video files that are read")
    for i, pixels in enumerate(formats.split())
    for suffix in (suffixes.split() if i == 0 else suffixes.split()[:1])
]
OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "4"},
    "libx265": {"x265-params": "log-level=none:crf=4"},
    "libvpx-vp9": {"crf": "4", "b": "0", "cpu-used": "8", "deadline": "realtime"},
    "libsvtav1": {"preset": "12", "crf": "8"},
}


@pytest.mark.parametrize(("suffix", "codec", "pixels"), READ)
def test_a_video_file_that_is_read(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    frames = moving(4, *SIZE)
    options = OPTIONS.get(codec, {"b": "20000000"})
    path = encode(
        tmp_path / f"a{suffix}",
        frames,
        codec,
        pixels=pixels,
        options=options,
        tags=(2, 2, 2, 2 if pixels.startswith(("yuvj", "gray")) else 0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = list(open_video(path))
    assert len(read) == 4
    grey, coarse = pixels.startswith("gray"), pixels == "rgb8"
    for frame, made in zip(read, frames, strict=True):
        made = np.asarray(Image.fromarray(made).convert("L").convert("RGB")) if grey else made
        assert np.abs(frame.astype(int) - made).mean() < (24 if coarse else 6)


COLOURS = table("Colours that are read")


@pytest.mark.parametrize("row", COLOURS, ids=lambda row: f"{row[0][:6]}-{row[1]}")
def test_colours(tmp_path: Path, row: list[str]) -> None:
    matrices = [2] if row[0] == "none" else [int(part.split()[0]) for part in row[0].split(",")]
    transfer = PQ if "PQ" in row[1] else HLG if "HLG" in row[1] else 1
    for matrix in matrices:
        for name in row[2].split(", "):
            tags = (matrix, 9 if transfer > 2 else 1, transfer, {"limited": 1, "full": 2, "none": 0}[name])
            path = encode(tmp_path / "a.mkv", [patches().astype(np.uint16) * 257], "ffv1", pixels="yuv444p10le", tags=tags)
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                (frame,) = open_video(path)
            assert len(heard) == (1 if "one warning" in row[3] else 0)
            if not heard:
                assert np.abs(frame.astype(int) - patches()).mean() < 3, tags


IMAGES = [(suffix, mode) for suffix, modes, _ in table("Images that are read") for mode in modes.split()]


@pytest.mark.parametrize(("suffix", "mode"), IMAGES)
def test_an_image_that_is_read(tmp_path: Path, suffix: str, mode: str) -> None:
    picture = Image.fromarray(patches())
    image = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    for i in range(2):
        image.save(tmp_path / f"{i}{suffix}", **({"quality": 95} if suffix == ".jpg" else {"lossless": True} if suffix == ".webp" else {}))
    first, second = open_video(tmp_path)
    expected = np.asarray(picture.convert("L" if mode in ("L", "LA", "I;16") else mode if mode in "1P" else "RGB").convert("RGB"))
    assert np.abs(first.astype(int) - expected).mean() < (6 if suffix == ".jpg" else 1) and np.array_equal(first, second)


def refused(folder: Path) -> dict[str, Any]:
    """What to open for each line of the table of refusals."""
    frames = [save_images(folder / f"{i}", ["0.png", "2.png"]) for i in range(9)]
    (frames[0] / "1.png").symlink_to("gone")
    (frames[1] / "1.png").write_bytes(b"x")
    for suffix in (".exr", ".avif", ".heic", ".gif", ".jp2"):
        (frames[2] / f"1{suffix}").write_bytes(b"x")
    save_images(frames[3], ["0.jpg"])
    pages = [Image.new("RGB", (16, 12)), Image.new("RGB", (16, 12))]
    pages[0].save(frames[4] / "1.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "sizes.tif", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    Image.new("F", (16, 12)).save(frames[5] / "1.tif")
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n")
    encode(folder / "a.mp4", moving(30), sound="aac")
    with av.open(str(folder / "a.mp4")) as source, av.open(str(folder / "sound.mp4"), "w") as output:
        track = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                output.mux(packet)
    (folder / "large.y4m").write_bytes(b"YUV4MPEG2 W16000 H16000 F25:1 Ip A1:1 C420jpeg\nFRAME\n")
    return {
        "dead link amid frames": frames[0],
        "unreadable image amid frames": frames[1],
        ".exr .avif .heic .gif .jp2 amid frames": frames[2],
        "two images of one frame": frames[3],
        "TIFF of several pages amid frames": frames[4],
        "TIFF pages of several sizes": folder / "sizes.tif",
        "32-bit image (mode F)": frames[5],
        "playlist (HLS, DASH, SDP, concat)": folder / "list.mp4",
        "ftp:// and other schemes": "ftp://host/a.mp4",
        "sound without pictures": folder / "sound.mp4",
        "a picture that is cut off": [cut_off(folder / "cut.png")],
        "an archive, or a file of a numpy array": archive(folder / "frames.zip"),
        "16000x16000 pixels": folder / "large.y4m",
    }


def cut_off(path: Path) -> Path:
    Image.fromarray(moving(1)[0]).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as output:
        output.writestr("0.png", b"")
    return path


def test_what_is_refused(tmp_path: Path) -> None:
    sources = refused(tmp_path)
    assert list(sources) == [row[0] for row in table("Refused, with a sentence")]
    for what, source in sources.items():
        with warnings.catch_warnings(), pytest.raises(VideoError) as told:
            warnings.simplefilter("ignore")
            list(open_video(source))
        assert len(str(told.value)) > 40, what


WRITTEN = table("Video files that are written")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("source") / "a.mkv", moving(4), sound="libopus")


def half(count: int = 4) -> MaskSequence:
    masks = MaskSequence((48, 64), [1])
    for _ in range(count):
        masks.append(np.tri(48, 64, dtype=np.uint8))
    return masks


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row[0])
def test_a_video_file_that_is_written(tmp_path: Path, row: list[str], source: Path) -> None:
    suffix, codecs, alpha, *_, sounds = row
    for codec in sounds.split(", "):
        if codec not in av.codecs_available:
            continue
        sounding = encode(tmp_path / "s.mkv", moving(4), sound=codec)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            half().save_video(tmp_path / f"o{suffix}", sounding)
        with av.open(str(tmp_path / f"o{suffix}")) as output, av.open(str(sounding)) as given:
            assert output.streams.audio[0].codec_context.name == given.streams.audio[0].codec_context.name, codec
            assert {"h264": "H.264", "vp9": "VP9"}[output.streams.video[0].codec_context.name] in codecs
    if alpha == "no":
        with pytest.raises(SaveError, match="no alpha"):
            half().save_video(tmp_path / f"c{suffix}", source, style="cutout")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VosZooWarning)
        half().save_video(tmp_path / f"c{suffix}", source, style="cutout")
    assert open_video(tmp_path / f"c{suffix}").count() == 4
