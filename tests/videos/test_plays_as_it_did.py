"""What comes out plays as what went in: times, pixel aspect ratio, rotation, colour tags, sound; and what can't be kept is told before."""

from __future__ import annotations

import os
import shutil
import struct
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from video_files import encode, moving, shown_at

from vos_zoo.errors import SaveError, VosZooWarning
from vos_zoo.masks.export import check_video
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter, check_writable


def masks_of(source: Any) -> MaskSequence:
    """A mask a frame, with one object in the upper left quarter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        video = open_video(source)
        labels = np.zeros((video.height, video.width), np.uint8)
        labels[: video.height // 2, : video.width // 2] = 1
        sequence = MaskSequence(labels.shape, [1], fps=video.fps)
        for _ in video:
            sequence.append(labels)
    return sequence


def duration_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / 1e6


PHONE = [i * 100 for i in range(6)] + [600 + 20 * i for i in range(6)]
SCREEN = [0, *(5000 + 40 * i for i in range(11))]
SLOW = [i * 2500 for i in range(12)]


@pytest.mark.parametrize("style", ["overlay", "side-by-side", "mask"])
@pytest.mark.parametrize("out", ["o.mp4", "o.mkv", "o.mov", "o.webm"])
@pytest.mark.parametrize(("name", "times"), [("a.mp4", PHONE), ("a.mkv", SCREEN), ("a.mov", SLOW)])
def test_every_frame_is_shown_at_its_own_time(tmp_path: Path, name: str, times: list[int], out: str, style: str) -> None:
    if style != "overlay" and out != "o.mp4":
        pytest.skip("the container is one for all styles")
    source = encode(tmp_path / name, moving(), times=times, clock=Fraction(1, 1000))
    masks_of(source).save_video(tmp_path / out, source, style=style)  # type: ignore[arg-type]
    before, after = shown_at(source), shown_at(tmp_path / out)
    assert len(before) == len(after)
    assert max(abs((a - before[0]) - (b - after[0])) for a, b in zip(before, after, strict=True)) <= Fraction(2, 1000)


@pytest.mark.parametrize("kind", ["a.webp", "a.png"])
def test_animations_keep_their_times(tmp_path: Path, kind: str) -> None:
    lengths = [40, 100, 20, 500, 70]
    first, *rest = map(Image.fromarray, moving(5))
    first.save(tmp_path / kind, save_all=True, append_images=rest, duration=lengths)
    masks_of(tmp_path / kind).save_video(tmp_path / "o.mp4", tmp_path / kind)
    assert [float(each) for each in shown_at(tmp_path / "o.mp4")] == pytest.approx([0, 0.04, 0.14, 0.16, 0.66])
    assert duration_of(tmp_path / "o.mp4") == pytest.approx(0.73, abs=0.03)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("out", ["o.mp4", "o.mov", "o.mkv"])
def test_a_rate_that_falls_shortens_nothing(tmp_path: Path, out: str, codec: str) -> None:
    """With B-frames the last frames would lie behind the end that the container notes."""
    times = [*range(0, 600, 100), *range(600, 2400, 300)]
    source = encode(tmp_path / "a.mkv", moving(), times=times, clock=Fraction(1, 1000), rate=10, options={"bf": "0"})
    with (
        open_video(source) as video,
        VideoWriter(tmp_path / out, fps=10, size=(video.height, video.width), codec=codec, like=video.presentation) as writer,
    ):
        for moment in video.moments():
            writer.write(moment.frame, moment.time, moment.duration)
    assert [1000 * each for each in shown_at(tmp_path / out)] == pytest.approx(times, abs=1)
    assert duration_of(tmp_path / out) >= 2.2


def test_the_last_frame_is_shown_as_long(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mkv", moving(), times=[i * 200 for i in range(12)], clock=Fraction(1, 1000), rate=5)
    masks_of(source).save_video(tmp_path / "o.mp4", source)
    assert duration_of(tmp_path / "o.mp4") == pytest.approx(2.4, abs=0.05)


@pytest.mark.parametrize("rate", [Fraction(1, 2), 10, Fraction(24000, 1001), Fraction(60000, 1001), 240, 1000, 2000, 90000])
@pytest.mark.parametrize("name", ["a.y4m", "a.mkv"])
def test_any_frame_rate_is_kept(tmp_path: Path, name: str, rate: Fraction) -> None:
    codec, pixels = ("rawvideo", "yuv420p") if name == "a.y4m" else ("mjpeg", "yuvj420p")
    if name == "a.y4m":
        head = f"YUV4MPEG2 W64 H48 F{Fraction(rate).numerator}:{Fraction(rate).denominator} Ip A1:1 C420jpeg\n".encode()
        (tmp_path / name).write_bytes(head + (b"FRAME\n" + bytes(4608)) * 8)
    else:
        encode(tmp_path / name, moving(8), codec, rate=rate, pixels=pixels, tags=(5, 2, 2, 2))
    source = tmp_path / name
    masks_of(source).save_video(tmp_path / "o.mp4", source)
    told = open_video(source).fps
    assert open_video(tmp_path / "o.mp4").fps == pytest.approx(told, rel=0.02)


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(64, 45), Fraction(1, 2)])
@pytest.mark.parametrize("out", ["o.mp4", "o.mkv", "o.mov"])
def test_the_pixel_aspect_ratio_is_kept(tmp_path: Path, out: str, aspect: Fraction) -> None:
    source = encode(tmp_path / "a.mkv", moving(3), aspect=aspect)
    masks_of(source).save_video(tmp_path / out, source)
    assert float(open_video(tmp_path / out).presentation.pixel_aspect) == pytest.approx(float(aspect), rel=0.02)


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(4, 3), (48, 86)), (Fraction(1, 2), (96, 64))])
def test_where_pixels_are_square_the_picture_has_its_shape(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    source = encode(tmp_path / "a.mkv", moving(3), aspect=aspect)
    with pytest.warns(VosZooWarning, match=rf"its pixels are square.*so frames are {size[1]}x{size[0]}"):
        masks_of(source).save_video(tmp_path / "o.webm", source)
    video = open_video(tmp_path / "o.webm")
    assert (video.height, video.width) == size


def turned(path: Path) -> Path:
    """A quarter turn written into the matrix of an mp4's first track."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def test_a_turned_clip_comes_out_upright_with_its_pixels_turned_too(tmp_path: Path) -> None:
    source = turned(encode(tmp_path / "a.mp4", moving(4), aspect=Fraction(4, 3), times=[0, 100, 150, 400], clock=Fraction(1, 1000)))
    video = open_video(source)
    assert (video.height, video.width, video.presentation.pixel_aspect) == (64, 48, Fraction(3, 4))
    masks_of(source).save_video(tmp_path / "o.mp4", source)
    out = open_video(tmp_path / "o.mp4")
    assert (out.height, out.width, out.presentation.pixel_aspect) == (64, 48, Fraction(3, 4))
    assert np.abs(next(iter(out)).astype(int)[:, 24:] - next(iter(video))[:, 24:]).mean() < 12


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (5, 5, 6, 1), (6, 6, 6, 2), (9, 9, 14, 1), (1, 1, 13, 2)])
@pytest.mark.parametrize("out", ["o.mp4", "o.mkv"])
def test_colour_tags_are_kept(tmp_path: Path, out: str, tags: tuple[int, int, int, int]) -> None:
    source = encode(tmp_path / "a.mkv", moving(3), tags=tags)
    masks_of(source).save_video(tmp_path / out, source)
    assert open_video(tmp_path / out).presentation.tags == tags
    before, after = next(iter(open_video(source))), next(iter(open_video(tmp_path / out)))
    assert np.abs(before[30:].astype(int) - after[30:]).mean() < 3


def test_hdr_comes_out_as_sdr(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mkv", [np.full((48, 64, 3), 30_000, np.uint16)] * 3, "ffv1", pixels="yuv444p10le", tags=(9, 9, 16, 1))
    with pytest.warns(VosZooWarning, match="HDR"):
        masks_of(source).save_video(tmp_path / "o.mp4", source)
    assert open_video(tmp_path / "o.mp4").presentation.tags == (1, 1, 1, 1)


def sound_of(path: Path) -> tuple[list[str], float]:
    """Codecs of the sound tracks, and seconds from the first packet of the first to its last one's end."""
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        if not tracks:
            return [], 0.0
        packets = [packet for packet in container.demux(tracks[0]) if packet.size]
        first, last = packets[0], packets[-1]
        length = (last.pts + (last.duration or 0) - first.pts) * first.time_base
        return [track.codec_context.name for track in tracks], float(length)


SOUNDS = [
    ("a.mp4", "aac", "o.mp4"), ("a.mov", "aac", "o.mov"), ("a.mkv", "aac", "o.mp4"), ("a.mkv", "flac", "o.mkv"),
    ("a.mkv", "libopus", "o.webm"),
    ("a.mkv", "libopus", "o.mp4"), ("a.mkv", "ac3", "o.mp4"), ("a.mov", "pcm_s16le", "o.mov"), ("a.avi", "libmp3lame", "o.mp4"),
    ("a.ts", "aac", "o.mp4"), ("a.ts", "mp2", "o.mkv"), ("a.mkv", "libvorbis", "o.webm"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "out"), SOUNDS)
def test_sound_is_copied(tmp_path: Path, name: str, codec: str, out: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    source = encode(tmp_path / name, moving(50), sound=codec, options={"bf": "0"})
    masks_of(source).save_video(tmp_path / out, source)
    before, after = sound_of(source), sound_of(tmp_path / out)
    assert after[0] == before[0] and after[1] == pytest.approx(before[1], abs=0.1)
    assert shown_at(tmp_path / out)[-1] - shown_at(tmp_path / out)[0] == pytest.approx(Fraction(49, 25), abs=0.01)
    with av.open(str(tmp_path / out)) as container:  # both end with what they went in with
        assert sum(frame.samples for frame in container.decode(audio=0)) > 90_000


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", moving(50), sound="aac")
    masks = masks_of(source)
    masks.save_video(tmp_path / "o.mp4", source, audio=False)
    assert sound_of(tmp_path / "o.mp4")[0] == []
    with pytest.warns(VosZooWarning, match="the sound was left out, since at 5 frames per second it would not fit"):
        masks.save_video(tmp_path / "p.mp4", source, fps=5)
    assert sound_of(tmp_path / "p.mp4")[0] == []


@pytest.mark.parametrize(("codec", "out"), [("aac", "o.webm"), ("flac", "o.webm"), ("pcm_s16le", "o.webm")])
def test_sound_that_can_not_be_kept_is_told(tmp_path: Path, codec: str, out: str) -> None:
    source = encode(tmp_path / "a.mkv", moving(10), sound=codec)
    with pytest.warns(VosZooWarning, match=rf"{out}: the sound of a.mkv can't be kept in .webm \({codec}\): write an .mkv"):
        masks_of(source).save_video(tmp_path / out, source)
    assert len(shown_at(tmp_path / out)) == 10


def test_sound_whose_damage_shows_at_the_end_is_told_with_the_way_out(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mkv", moving(10), sound="libopus")
    head = b"\x63\xa2\x93OpusHead"  # what says how to decode, under a name that nobody knows
    assert head in source.read_bytes()
    source.write_bytes(source.read_bytes().replace(head, b"\x63\xa1\x93OpusHead"))
    with pytest.raises(SaveError, match=r"o.mp4: the sound to be copied can't be kept there .*audio=False"):
        masks_of(source).save_video(tmp_path / "o.mp4", source)
    assert not list(tmp_path.glob("*.mp4"))
    masks_of(source).save_video(tmp_path / "o.mp4", source, audio=False)


def test_a_part_has_the_sound_of_that_part(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", moving(50), sound="aac")
    masks_of(source)[10:20].save_video(tmp_path / "o.mp4", source)
    assert sound_of(tmp_path / "o.mp4")[1] == pytest.approx(0.4, abs=0.06)
    assert len(shown_at(tmp_path / "o.mp4")) == 10


def test_every_second_frame_keeps_time_and_sound(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", moving(50), sound="aac")
    masks_of(source)[::2].save_video(tmp_path / "o.mp4", source)
    assert shown_at(tmp_path / "o.mp4")[1] == pytest.approx(0.08)
    assert duration_of(tmp_path / "o.mp4") == pytest.approx(2.0, abs=0.1)


def test_all_tracks_are_copied(tmp_path: Path) -> None:
    one = encode(tmp_path / "a.mkv", moving(50), sound="aac")
    with av.open(str(one)) as first, av.open(str(tmp_path / "two.mkv"), "w") as both:
        streams = [both.add_stream_from_template(first.streams[i]) for i in (0, 1, 1)]
        packets = [packet for packet in first.demux() if packet.size]
        data = [(packet.stream.index, packet.pts, packet.dts, bytes(packet), packet.time_base, packet.is_keyframe) for packet in packets]
        for index, pts, dts, body, base, key in data:
            for target in [streams[0]] if index == 0 else streams[1:]:
                copy = av.Packet(body)
                copy.pts, copy.dts, copy.time_base, copy.stream, copy.is_keyframe = pts, dts, base, target, key
                both.mux(copy)
    masks_of(tmp_path / "two.mkv").save_video(tmp_path / "o.mp4", tmp_path / "two.mkv")
    assert sound_of(tmp_path / "o.mp4")[0] == ["aac", "aac"]


@pytest.mark.parametrize(("name", "codec", "decoder"), [("o.webm", "vp9", "libvpx-vp9"), ("o.mov", "prores", "prores")])
def test_cut_outs_have_alpha(tmp_path: Path, name: str, codec: str, decoder: str) -> None:
    source = encode(tmp_path / "a.mp4", moving(6), times=[0, 40, 200, 240, 280, 320], clock=Fraction(1, 1000), sound="libopus")
    masks_of(source).save_video(tmp_path / name, source, style="cutout")
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == codec
        if codec == "vp9":
            assert {name.lower(): value for name, value in stream.metadata.items()}["alpha_mode"] == "1"
        context: Any = av.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        if decoder == "prores":
            context = stream.codec_context
        pictures = [picture for packet in container.demux(stream) for picture in context.decode(packet if packet.size else None)]
    assert len(pictures) == 6
    rgba = pictures[0].reformat(format="rgba").to_ndarray()
    assert rgba[4:20, 4:28, 3].min() > 250 and rgba[28:, 36:, 3].max() < 5
    assert [float(each) for each in shown_at(tmp_path / name)] == pytest.approx([0, 0.04, 0.2, 0.24, 0.28, 0.32], abs=0.002)


def test_a_png_sequence_has_alpha(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", moving(3))
    masks_of(source).save_cutouts(tmp_path / "cut", source)
    first = np.asarray(Image.open(tmp_path / "cut" / "00000.png"))
    assert first.shape == (48, 64, 4) and first[0, 0, 3] == 255 and first[-1, -1, 3] == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("o.mp4", {"size": (100, 20_000)}, "libx264 can't write frames of 20000x100"),
        ("o.webm", {"size": (70_000, 16)}, "libvpx-vp9 can't write frames of 16x70000"),
        ("o.mkv", {"fps": 2000}, ".mkv files count milliseconds, too few for 2000"),
        ("o.webm", {"fps": 90_000}, ".webm files count milliseconds"),
        ("o.mp4", {"alpha": True}, ".mp4 files have no alpha with libx264: write a .webm"),
        ("o.avi", {"alpha": True}, "no alpha"),
        ("o.gif", {}, "can't write a video as 'o.gif'"),
    ],
)
def test_limits_of_the_writer_are_found_before_the_work(tmp_path: Path, name: str, options: dict, message: str) -> None:
    with pytest.raises(SaveError, match=message):
        check_writable(tmp_path / name, **{"fps": 25, "size": (48, 64), **options})
    assert not list(tmp_path.iterdir())


def test_a_video_too_wide_to_stand_beside_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W9000 H4 F25:1 Ip A1:1 C420jpeg\n" + b"FRAME\n" + bytes(9000 * 4 * 3 // 2))
    video = open_video(tmp_path / "a.y4m")
    check_video("o.mp4", video)
    with pytest.raises(SaveError, match="18000x4"):
        check_video("o.mp4", video, style="side-by-side")


def test_avi_says_that_its_rate_is_constant(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mkv", moving(), times=SCREEN, clock=Fraction(1, 1000))
    with pytest.warns(VosZooWarning, match="AVI files have one frame rate, so frames are shown up to"):
        masks_of(source).save_video(tmp_path / "o.avi", source)
    assert len(shown_at(tmp_path / "o.avi")) == 12


def test_stamps_that_stand_still_or_go_back_are_mended(tmp_path: Path) -> None:
    with VideoWriter(
        tmp_path / "o.mp4", fps=25, size=(48, 64), like=open_video(encode(tmp_path / "a.mp4", moving())).presentation
    ) as writer:
        for frame, time in zip(moving(5), [0, Fraction(1, 25), Fraction(1, 25), Fraction(1, 50), 1], strict=True):
            writer.write(frame, Fraction(time))
    times = shown_at(tmp_path / "o.mp4")
    assert len(times) == 5 and times == sorted(set(times)) and times[-1] == 1


@pytest.mark.parametrize("name", ["12:30.mp4", "100%.mkv", "a#1?.webm", "\u5730\u56fe \u00fc.mov"])
def test_names_of_results_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    source = encode(tmp_path / "a.mp4", moving(3))
    monkeypatch.chdir(tmp_path)
    masks_of(source).save_video(name, source)
    assert open_video(tmp_path / name).count() == 3
    shutil.rmtree(tmp_path, ignore_errors=True)


PLAYER = """<body><pre id=o></pre><script>
(async () => {
  const video = document.createElement("video"); video.src = "o.mp4"; video.muted = true; document.body.append(video);
  await new Promise(done => { video.onloadeddata = done; video.onerror = done; });
  const sound = video.captureStream().getAudioTracks().length;
  o.textContent = ["seen", video.error && video.error.message, video.duration, video.videoWidth, video.videoHeight, sound].join("|");
})()</script></body>"""


def test_an_overlay_of_a_phone_clip_plays_in_a_browser(tmp_path: Path) -> None:
    """Variable frame rate, turned, HDR, with stereo sound."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    chromium = os.environ.get("VOS_ZOO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium, or set VOS_ZOO_CHROMIUM")
    frames = [np.asarray(frame, np.uint16) * 120 for frame in moving(12, 96, 160)]
    options = {"x265-params": "log-level=none"}
    clip = encode(tmp_path / "a.mp4", frames, "libx265", pixels="yuv420p10le", times=PHONE, clock=Fraction(1, 1000), tags=(9, 9, 16, 1),
                  sound="aac", options=options)  # fmt: skip
    with pytest.warns(VosZooWarning, match="HDR"):
        masks_of(turned(clip)).save_video(tmp_path / "o.mp4", clip)
    (tmp_path / "p.html").write_text(PLAYER)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--allow-file-access-from-files"])
        page = browser.new_page()
        page.goto((tmp_path / "p.html").as_uri())
        page.wait_for_function("() => o.textContent.startsWith('seen')", timeout=120_000)
        _, error, seconds, width, height, tracks = page.locator("#o").inner_text().split("|")
        browser.close()
    assert (error, width, height, tracks) == ("", "96", "160", "1")
    assert float(seconds) == pytest.approx(duration_of(clip), abs=0.05)
