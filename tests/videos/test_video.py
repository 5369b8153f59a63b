"""open_video: every source gives the right frames, in flat memory, and every wrong one says what to do."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos.decoding import Decoding
from vos_zoo.videos.video import Video, open_video

HEIGHT, WIDTH, FRAMES = 48, 64, 40
SCENE = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
HAS_DECORD = importlib.util.find_spec("decord") is not None

needs_decord = pytest.mark.skipif(not HAS_DECORD, reason="decord has no wheel here")


def scene(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Colours that move to the right by three pixels a frame, so that neighbours differ clearly."""
    image = Image.fromarray(SCENE).resize((width, height), Image.Resampling.BICUBIC)
    return np.roll(np.asarray(image), 3 * index, axis=1)


def make_clip(
    path: Path,
    codec: str = "libx264",
    *,
    frames: int = FRAMES,
    pixels: str = "yuv420p",
    times: Callable[[int], int] = lambda i: i,
    container: dict[str, str] | None = None,
    sound: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    try:
        av.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no {codec} encoder")
    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, pixels, 12
        noise = output.add_stream("mp2", rate=44100) if sound else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(scene(i), format="rgb24")
            frame.pts, frame.time_base = times(i), Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if noise is not None:
            add_silence(output, noise)
    return path


def add_silence(output, stream) -> None:
    for i in range(4):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 1152 * i
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def assert_scene(frames: list[np.ndarray], tolerance: float = 6) -> None:
    """Each frame is nearer to its own picture of the scene than to its neighbours', and near enough."""
    for i, frame in enumerate(frames):
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
        assert distance(frame, scene(i)) < tolerance, i
        assert distance(frame, scene(i)) < min(distance(frame, scene(i - 1)), distance(frame, scene(i + 1)))


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    assert len(left) == len(right)
    assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


CLIPS: dict[str, tuple[str, dict]] = {
    "h264.mp4": ("libx264", {}),
    "h264.mov": ("libx264", {}),
    "h264.mkv": ("libx264", {}),
    "h264.ts": ("libx264", {}),
    "h264.avi": ("libx264", {}),
    "h264.flv": ("libx264", {}),
    "raw.h264": ("libx264", {}),
    "opengop.mp4": ("libx264", {"options": {"x264-params": "open-gop=1:bframes=3"}}),
    "fragmented.mp4": ("libx264", {"container": {"movflags": "frag_keyframe+empty_moov"}}),
    "vp9.webm": ("libvpx-vp9", {"options": {"cpu-used": "8", "deadline": "realtime"}}),
    "av1.mp4": ("libsvtav1", {"options": {"preset": "12"}}),
    "hevc.mp4": ("libx265", {"options": {"x265-params": "log-level=none"}}),
    "hevc10.mkv": ("libx265", {"pixels": "yuv420p10le", "options": {"x265-params": "log-level=none"}}),
    "mpeg4.avi": ("mpeg4", {"options": {"b": "9000000"}}),
    "mpeg2.mpg": ("mpeg2video", {"options": {"b": "9000000"}}),
    "sound.mp4": ("libx264", {"sound": True}),
    "variable.mp4": ("libx264", {"times": lambda i: i * i}),
    "variable.mkv": ("libx264", {"times": lambda i: i * i}),
    "late.ts": ("libx264", {"times": lambda i: i + 500}),
    "intra.mov": ("mjpeg", {"pixels": "yuvj420p", "options": {"b": "9000000"}}),
}


@pytest.mark.parametrize("name", CLIPS)
def test_every_kind_of_file_gives_its_frames_in_both_directions(tmp_path: Path, name: str) -> None:
    codec, options = CLIPS[name]
    options = {"options": {"crf": "12"}, **options} if codec == "libx264" else options
    video = open_video(make_clip(tmp_path / name, codec, **options))
    assert (video.name, video.height, video.width) == (name.split(".")[0], HEIGHT, WIDTH)
    forward = list(video)
    assert len(forward) == FRAMES
    assert_scene(forward, tolerance=12)
    assert video.length == FRAMES and video.exact_length
    assert_same(list(video.read_reversed(chunk=7)), forward[::-1])
    assert_same(list(video.read_reversed(13, 29, chunk=5)), forward[13:29][::-1])
    assert_same(list(video.read(9, 15)), forward[9:15])


def test_a_gif_and_a_grey_video_come_out_as_rgb(tmp_path: Path) -> None:
    gif = open_video(make_clip(tmp_path / "a.gif", "gif", pixels="rgb8"))
    frames = list(gif)
    assert len(frames) == FRAMES
    assert_scene(frames, tolerance=40)
    assert_same(list(gif.read_reversed(chunk=9)), frames[::-1])
    grey = list(open_video(make_clip(tmp_path / "grey.mkv", "ffv1", pixels="gray")))
    assert len(grey) == FRAMES
    assert distance(grey[5][..., :1], scene(5) @ np.array([0.299, 0.587, 0.114])[:, None]) < 3
    assert (grey[5][..., 0] == grey[5][..., 2]).all()


def test_what_is_known_before_anything_is_read(tmp_path: Path) -> None:
    video = open_video(str(make_clip(tmp_path / "bear.mp4")))
    assert (video.fps, video.length, video.exact_length, video.frame_names, video.replayable) == (
        30,
        FRAMES,
        False,
        None,
        True,
    )
    assert repr(video) == "<Video 'bear': 64x48, 30 fps, about 40 frames, h264 in mov, PyAV>"
    assert video.count() == FRAMES
    assert "30 fps, 40 frames" in repr(video)
    assert open_video(video) is video
    assert open_video(tmp_path / "bear.mp4", fps=12.5).fps == 12.5


def test_iterations_are_independent(tmp_path: Path) -> None:
    video = open_video(make_clip(tmp_path / "a.mp4"))
    alone = list(video)
    left, right = [], []
    for a, b in zip(video, video.read(5), strict=False):
        left.append(a)
        right.append(b)
    assert_same(left, alone[: len(left)])
    assert_same(right, alone[5:])
    alone[0][:] = 0
    assert next(iter(video)).any()


def test_threads_each_read_for_themselves(tmp_path: Path) -> None:
    video = open_video(make_clip(tmp_path / "a.mp4"))
    expected = list(video)
    results: dict[int, list[np.ndarray]] = {}

    def read(number: int) -> None:
        results[number] = list(video if number % 2 else video.read_reversed(chunk=8))

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert_same(results[number], expected if number % 2 else expected[::-1])


def test_ranges_reach_no_further_than_the_video(tmp_path: Path) -> None:
    video = open_video(make_clip(tmp_path / "a.mp4"))
    frames = list(video)
    assert_same(list(video.read(35, 99)), frames[35:])
    assert_same(list(video.read_reversed(35, 99)), frames[35:][::-1])
    assert list(video.read(4, 4)) == [] and list(video.read_reversed(4, 4)) == []
    assert list(video.read_reversed(50, 60)) == []
    with pytest.raises(VideoError, match="frames 5 to 3 are no range"):
        video.read(5, 3)
    with pytest.raises(VideoError, match="frames -1 to None"):
        video.read_reversed(-1)
    with pytest.raises(VideoError, match="chunk must be at least 1"):
        video.read_reversed(chunk=0)


def test_backward_reading_holds_one_chunk(tmp_path: Path) -> None:
    video = open_video(make_clip(tmp_path / "a.mp4", frames=120))
    held = memory_held(video.read_reversed(chunk=4))
    assert held < 20 * HEIGHT * WIDTH * 3
    assert memory_held(iter(video)) < 20 * HEIGHT * WIDTH * 3


def memory_held(frames) -> int:
    """Most bytes of numpy arrays and other Python memory at a time, while frames are read and dropped."""
    import tracemalloc

    next(frames)
    tracemalloc.start()
    for _ in frames:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


# Turning


def shown_by_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Makes an mp4 show its stored pixel (x, y) at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    unit = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * unit, b * unit, 0, c * unit, d * unit, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_metadata_is_applied(tmp_path: Path, degrees: int, turns: int) -> None:
    sine, cosine = {90: (1, 0), 180: (0, -1), -90: (-1, 0)}[degrees]
    video = open_video(shown_by_matrix(make_clip(tmp_path / "a.mp4", frames=13), cosine, -sine, sine, cosine))
    assert (video.height, video.width) == ((WIDTH, HEIGHT) if turns % 2 else (HEIGHT, WIDTH))
    frames = list(video)
    assert_scene([np.rot90(frame, -turns) for frame in frames], tolerance=12)
    assert all(frame.flags.c_contiguous for frame in frames)
    assert_same(list(video.read_reversed(chunk=5)), frames[::-1])


@pytest.mark.parametrize("turned", [False, True])
def test_mirroring_metadata_is_applied(tmp_path: Path, turned: bool) -> None:
    matrix = (0, 1, 1, 0) if turned else (-1, 0, 0, 1)
    frame = next(iter(open_video(shown_by_matrix(make_clip(tmp_path / "a.mp4", frames=3), *matrix))))
    assert distance(frame.swapaxes(0, 1) if turned else frame[:, ::-1], scene(0)) < 12


def cut_by_edit_list(path: Path, skip: int, keep: int) -> Path:
    """Makes an mp4 show only `keep` frames from frame `skip` on, by its edit list."""
    data = bytearray(path.read_bytes())
    at = data.find(b"elst") + 4
    flags, entries, _, media_time, rate = struct.unpack(">IIIiI", data[at : at + 20])
    assert entries == 1
    shown = struct.pack(">IIIiI", flags, entries, keep * 1000 // 30, media_time + skip * 512, rate)
    data[at : at + 20] = shown
    path.write_bytes(data)
    return path


def test_an_edit_list_is_obeyed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4")  # encoded once: a busy encoder's threads may not give the same bytes twice
    whole = list(open_video(path))
    video = open_video(cut_by_edit_list(path, skip=15, keep=20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = list(video)
        assert_same(frames, whole[15 : 15 + len(frames)])
        assert len(frames) in (20, 21)
        assert_same(list(video.read_reversed(chunk=6)), frames[::-1])


# Damage


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_truncated_file_keeps_what_decodes_and_says_how_much(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = make_clip(tmp_path / name, codec, frames=90, container={"movflags": "faststart"})
    whole = list(open_video(path))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    video = open_video(path)
    with pytest.warns(VosZooWarning, match=rf"{name}: \d+ of about \d+ frames could be decoded") as caught:
        frames = list(video)
    assert 20 < len(frames) < 80
    assert f": {len(frames)} of about" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert_same(frames, whole[: len(frames)])
    assert video.length == video.count() == len(frames)
    with pytest.warns(VosZooWarning, match="could be decoded"):
        backwards = list(video.read_reversed(chunk=7))
    assert_same(backwards, frames[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(list(video.read(2, 6)), frames[2:6])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_wherever_a_file_is_cut_each_frame_kept_has_its_own_number(tmp_path: Path, name: str) -> None:
    """Pictures are stored out of order: behind the cut lie some that come before the last one kept."""
    path = make_clip(tmp_path / name, container={"movflags": "faststart"})
    whole, data = list(open_video(path)), path.read_bytes()
    kept = set()
    for cut in range(len(data) // 2, len(data) - 500, 61):
        path.write_bytes(data[:cut])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VosZooWarning)
            video = open_video(path)
            frames = list(video)
            assert_same(frames, whole[: len(frames)])
            assert_same(list(video.read_reversed(chunk=7)), frames[::-1])
        kept.add(len(frames))
    assert len(kept) > 5


def test_a_picture_that_is_another_one_in_the_next_pass_is_not_given_backwards(tmp_path: Path, monkeypatch) -> None:
    """A decoder may make something else of a damaged picture each time, and call it whole: then nothing comes back, and it is told."""
    video = open_video(make_clip(tmp_path / "a.mp4", frames=12))
    frames = list(video)
    pictures = Decoding.pictures

    def otherwise(decoding: Decoding):
        for number, picture in enumerate(pictures(decoding)):
            if number == 7:
                at, ticks = picture.pts, picture.time_base
                picture = av.VideoFrame.from_ndarray(scene(2), format="rgb24").reformat(format=picture.format.name)
                picture.pts, picture.time_base = at, ticks
            yield picture

    monkeypatch.setattr(Decoding, "pictures", otherwise)
    with pytest.raises(VideoError, match="its frame 7 is another one each time it is decoded"):
        list(video.read_reversed(chunk=5))
    assert_same(list(video.read_reversed(0, 7, chunk=5)), frames[6::-1])
    assert_same(list(video.read_reversed(8, 12, chunk=5)), frames[:7:-1])
    assert len(list(video)) == 12 and len(list(video.read_reversed(chunk=5))) == 12  # from here on every pass gives the other one


def test_damaged_mpeg4_is_mended_alike_in_every_pass(tmp_path: Path) -> None:
    """Its decoder mends a picture from others, which must be done by then: none is decoded beside it."""
    path = make_clip(tmp_path / "a.avi", "mpeg4", frames=12)
    assert Decoding(av.open(str(path))).stream.thread_type.name == "SLICE"


def test_damage_in_the_middle_costs_only_what_it_hit(tmp_path: Path) -> None:
    """In several places of a file, since some damage happens to decode: that gives a wrong picture which no decoder can tell."""
    path = make_clip(tmp_path / "a.mp4", frames=90)
    whole = path.read_bytes()
    told = 0
    for part in range(30, 60, 3):  # percent of the file: pictures, not the index
        data, at = bytearray(whole), len(whole) * part // 100
        data[at : at + 300] = bytes(range(100)) * 3
        path.write_bytes(data)
        video = open_video(path)
        with warnings.catch_warnings(record=True) as forwards:
            warnings.simplefilter("always")
            frames = list(video)
        with warnings.catch_warnings(record=True) as backwards:
            warnings.simplefilter("always")
            assert_same(list(video.read_reversed(chunk=11)), frames[::-1])
        assert 90 - 2 * 12 < len(frames) <= 90, "two groups of pictures at most"
        assert distance(frames[10], scene(10)) < 12 and distance(frames[-1], scene(89)) < 12
        said = [str(each.message) for each in forwards]
        right = "90 frames could be decoded, but the file is damaged in" if len(frames) == 90 else f"{len(frames)} of about 90 frames could"
        assert len(said) <= 1 and all(each.startswith(f"a.mp4: {right}") for each in said)
        assert {str(each.message) for each in backwards} == set(said)
        told += len(said)
    assert told > 5


def test_a_whole_file_gives_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("a.mp4", "a.mkv", "a.ts"):
            assert len(list(open_video(make_clip(tmp_path / name, sound=name == "a.mkv")))) == FRAMES
        last_is_long = make_clip(tmp_path / "slow.mp4", frames=3, times=lambda i: 90 * i)
        assert len(list(open_video(last_is_long))) == 3


def test_a_size_that_changes_within_a_file(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", "mpeg2video", frames=10).read_bytes()
    with av.open(str(tmp_path / "b.ts"), "w") as output:
        stream = output.add_stream("mpeg2video", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(scene(i, 80, 96), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    (tmp_path / "both.ts").write_bytes(first + (tmp_path / "b.ts").read_bytes())
    with pytest.raises(VideoError, match=r"frame \d+ is 96x80 pixels .* frame 0 is 64x48"):
        list(open_video(tmp_path / "both.ts"))


# What is no video


def no_index(folder: Path) -> Path:
    path = make_clip(folder / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-600])
    return path


def only_sound(folder: Path) -> Path:
    with av.open(str(folder / "song.mp4"), "w") as output:
        add_silence(output, output.add_stream("mp2", rate=44100))
    return folder / "song.mp4"


def sound_with_cover(folder: Path) -> Path:
    with av.open(str(folder / "song.mp4"), "w") as output:
        sound = output.add_stream("mp2", rate=44100)
        cover: Any = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        cover.disposition = Disposition.attached_pic.value
        output.mux(cover.encode(av.VideoFrame.from_ndarray(scene(0), format="rgb24")))
        output.mux(cover.encode(None))
        add_silence(output, sound)
    return folder / "song.mp4"


def text(folder: Path, name: str) -> Path:
    (folder / name).write_text("not a video\n" * 99)
    return folder / name


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").write_bytes(b"")
    return folder / "empty.mp4"


def image(folder: Path) -> Path:
    Image.fromarray(scene(0)).save(folder / "one.jpg")
    return folder / "one.jpg"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: text(folder, "text.mp4"), "text.mp4 as a video: it is no video, or a damaged one"),
        (lambda folder: text(folder, "text.txt"), "text.txt as a video: it is text or a single image"),
        (only_sound, "it holds only sound, no video stream: give a file with pictures"),
        (sound_with_cover, "it holds only sound, no video stream: give a file with pictures"),
        (no_index, "its index is missing, recording or copying it was interrupted; get a whole copy"),
        (empty, r"the file is empty \(0 bytes\)"),
        (image, "one.jpg is a single image: give the folder of the frames"),
        (lambda folder: folder / "nowhere.mp4", "there is no file or folder '.*nowhere.mp4': looked from"),
        (lambda folder: folder / "no" / "a.mp4", "no' does not exist either"),
    ],
)
def test_a_file_that_is_no_video(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(VideoError, match=message):
        open_video(make(tmp_path))


def test_a_wrong_name_gets_the_nearest_one(tmp_path: Path) -> None:
    make_clip(tmp_path / "bear.mp4", frames=2)
    with pytest.raises(VideoError, match="did you mean '.*bear.mp4'"):
        open_video(tmp_path / "baer.mp4")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_no_permission(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2)
    path.chmod(0)
    with pytest.raises(VideoError, match="no permission to read it; change its permissions"):
        open_video(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "a NoneType is no video: give a path"),
        (True, "True is no video"),
        ({"a": 1}, "a dict is no video"),
        (b"mp4", "a bytes can't be read as a video: save it as a file"),
        (Image.new("RGB", (4, 4)), r"one PIL image is no video: .*\[image\]"),
        ([], "the list of frames is empty"),
        (iter([]), "the iterator gives no frames"),
        ([3], "frame 0 is a int: give"),
        ("ftp://host/a.mp4", "ftp:// is not a kind of stream"),
        (-1, "there is no camera -1"),
    ],
)
def test_a_source_of_no_known_kind(source: object, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        open_video(source)


def test_wrong_options() -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(VideoError, match="no backend 'decrod': did you mean 'decord'"):
        open_video(frames, backend="decrod")
    with pytest.raises(VideoError, match="fps must be a positive number, not 0"):
        open_video(frames, fps=0)


# Arrays, lists, iterators


def stack(count: int = 5) -> np.ndarray:
    return np.stack([scene(i) for i in range(count)])


def test_an_array_and_a_tensor() -> None:
    torch = pytest.importorskip("torch")
    for source in (stack(), torch.from_numpy(stack())):
        video = open_video(source)
        assert (video.name, video.length, video.exact_length, video.fps) == ("array", 5, True, None)
        assert_same(list(video), list(stack()))
        assert_same(list(video.read_reversed(1, 4)), list(stack()[1:4][::-1]))
        assert_same(list(video.read(3, 9)), list(stack()[3:]))
        assert video.count() == 5
    assert repr(open_video(stack(), fps=24)) == "<Video 'array': 64x48, 24 fps, 5 frames, array>"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 3, 48, 64), np.uint8), r"shape \(5, 3, 48, 64\).*\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((5, 48, 64, 4), np.uint8), r"drop the alpha channel with \[\.\.\., :3\]"),
        (np.zeros((5, 48, 64, 1), np.uint8), r"np.repeat\(frames, 3, axis=-1\)"),
        (np.zeros((5, 48, 64), np.uint8), r"np.repeat\(frames\[\.\.\., None\], 3, axis=-1\)"),
        (np.zeros((48, 64, 3), np.uint8), r"a video of one frame is frame\[None\]"),
        (np.zeros((0, 48, 64, 3), np.uint8), "has no frames"),
        (np.zeros((5, 0, 64, 3), np.uint8), "there are no pixels in it"),
        (np.zeros((2, 5, 48, 64, 3), np.uint8), r"\(T, H, W, 3\) is needed"),
        (np.ones((5, 48, 64, 3), np.float32), r"multiply by 255 and round, \(x \* 255\).*astype\(np.uint8\)"),
        (np.full((5, 48, 64, 3), 200.0), r"float64.*\.astype\(np.uint8\)"),
        (np.where(np.arange(5)[:, None, None, None] == 4, np.nan, np.ones((5, 48, 64, 3))), "it holds NaN"),
        (np.zeros((5, 48, 64, 3), np.uint16), "scale 16 bits down"),
        (np.zeros((5, 48, 64, 3), np.int64), r"int64.*astype\(np.uint8\)"),
    ],
)
def test_an_array_of_another_kind_says_what_to_do(array: np.ndarray, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        open_video(array)


def test_a_tensor_of_another_kind_says_what_to_do() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(VideoError, match=r"shape \(5, 3, 48, 64\).*\.permute\(0, 2, 3, 1\)"):
        open_video(torch.zeros(5, 3, 48, 64, dtype=torch.uint8))
    with pytest.raises(VideoError, match="bfloat16.*multiply by 255"):
        open_video(torch.zeros(5, 48, 64, 3, dtype=torch.bfloat16))


def test_a_list_of_mixed_kinds(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    Image.fromarray(scene(2)).save(tmp_path / "2.png")
    items = [
        scene(0),
        Image.fromarray(scene(1)),
        str(tmp_path / "2.png"),
        tmp_path / "2.png",
        torch.from_numpy(scene(4)),
    ]
    video = open_video(items)
    expected = [scene(i) for i in (0, 1, 2, 2, 4)]
    assert_same(list(video), expected)
    assert_same(list(video), expected)
    assert_same(list(video.read_reversed(0, 3)), expected[:3][::-1])
    assert (video.length, video.replayable) == (5, True)


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_a_size_that_changes_names_the_frame_and_both_sizes(kind: Callable) -> None:
    frames = [scene(0), scene(1), scene(2, 50, 70)]
    with pytest.raises(VideoError, match="frame 2 is 70x50 pixels .* frame 0 is 64x48"):
        list(open_video(kind(frames)))


def test_a_list_is_checked_before_anything_is_read() -> None:
    with pytest.raises(VideoError, match=r"frame 1 has shape \(3, 48, 64\).*\.transpose\(1, 2, 0\)"):
        open_video([scene(0), scene(1).transpose(2, 0, 1)])
    with pytest.raises(VideoError, match="frame 1 is float32.*multiply by 255"):
        open_video([scene(0), (scene(1) / 255).astype(np.float32)])
    with pytest.raises(VideoError, match="frame 0.*: there is no file 'none.png': check the path"):
        open_video(["none.png"])


def test_a_generator_is_read_once_as_it_goes() -> None:
    made = []

    def camera():
        buffer = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        for i in range(5):
            made.append(i)
            buffer[:] = scene(i)
            yield buffer

    video = open_video(camera())
    assert made == [0]
    assert (video.length, video.replayable) == (None, False)
    frames = iter(video)
    kept = [next(frames), next(frames)]
    assert made == [0, 1]
    assert_same(kept + list(frames), [scene(i) for i in range(5)])
    with pytest.raises(VideoError, match="can be read only once"):
        iter(video)
    for read in (video.read, video.read_reversed, video.count):
        with pytest.raises(VideoError, match="can be read only once, forward"):
            read()


def test_an_error_of_the_callers_generator_goes_through() -> None:
    def broken():
        yield scene(0)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(open_video(broken()))


def test_a_closed_video() -> None:
    with open_video(stack()) as video:
        assert isinstance(video, Video)
    assert repr(video).endswith(", closed>")
    for read in (lambda: iter(video), video.read, video.count):
        with pytest.raises(VideoError, match="array is closed: open it again"):
            read()


# Folders


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    for number, suffix in ((10, "png"), (2, "PNG"), (1, "webp"), (30, "bmp"), (4, "tiff")):
        options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(scene(number)).save(tmp_path / f"img{number}.{suffix}", **options)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._img3.png").write_bytes(b"of the finder")
    video = open_video(tmp_path)
    assert video.name == tmp_path.name
    assert video.frame_names == ["img1", "img2", "img4", "img10", "img30"]
    assert (video.length, video.exact_length, video.fps) == (5, True, None)
    expected = [scene(i) for i in (1, 2, 4, 10, 30)]
    assert_same(list(video), expected)
    assert_same(list(video.read_reversed()), expected[::-1])


def test_images_of_every_mode_come_out_as_rgb(tmp_path: Path) -> None:
    colour = Image.fromarray(scene(0))
    palette = colour.quantize(64)
    wide = np.asarray(colour.convert("L")).astype(np.uint16) * 257
    images = {
        "0.png": colour.convert("L"),
        "1.png": colour.convert("RGBA"),
        "2.png": palette,
        "3.png": Image.fromarray(wide),
        "4.tif": colour.convert("CMYK"),
        "5.png": colour.convert("LA"),
    }
    for name, picture in images.items():
        picture.save(tmp_path / name)
    frames = list(open_video(tmp_path))
    grey = np.repeat(np.asarray(colour.convert("L"))[..., None], 3, axis=-1)
    coloured = np.asarray(palette.convert("RGB"))
    assert_same(frames, [grey, scene(0), coloured, grey, scene(0), grey])


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(scene(0))).save(tmp_path / "0.png", exif=exif)
    Image.fromarray(scene(1)).save(tmp_path / "1.png")
    video = open_video(tmp_path)
    assert (video.height, video.width) == (HEIGHT, WIDTH)
    assert_same(list(video), [scene(0), scene(1)])


def test_an_empty_folder_and_one_of_other_files(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no images .* nothing like that"):
        open_video(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match=r"holds no images .* only \.mp4 files"):
        open_video(tmp_path)


def test_a_folder_of_mixed_sizes_is_told_at_once(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(scene(i, 48, 64 if i < 2 else 66)).save(tmp_path / f"{i:05d}.jpg")
    with pytest.raises(VideoError, match=r"frame 2 \(00002.jpg\) is 66x48 pixels .* frame 0 is 64x48"):
        open_video(tmp_path)


def test_frames_and_masks_in_one_folder(tmp_path: Path) -> None:
    Image.fromarray(scene(0)).save(tmp_path / "00000.jpg")
    Image.fromarray(scene(0)).save(tmp_path / "00000.png")
    with pytest.raises(VideoError, match="several images for frame '00000' .*masks in another"):
        open_video(tmp_path)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    for i in range(2):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)).save(tmp_path / f"{i}.jpg")
    whole = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"frame 1 \(1.jpg\): .* can't be read \(.*truncated"):
        list(open_video(tmp_path))
    (tmp_path / "1.jpg").write_text("text")
    with pytest.raises(VideoError, match=r"frame 1 \(1.jpg\): .* can't be read \(it is not an image\)"):
        open_video(tmp_path)


# Streams and cameras


@pytest.fixture
def address(tmp_path: Path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            return None

    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stream_by_its_url(tmp_path: Path, address: str) -> None:
    expected = list(open_video(make_clip(tmp_path / "live.ts")))
    video = open_video(f"{address}/live.ts")
    assert (video.name, video.replayable, video.height) == ("live", False, HEIGHT)
    assert_same(list(video), expected)
    with pytest.raises(VideoError, match="can be read only once"):
        iter(video)


def test_a_stream_that_is_not_there_hides_the_password(address: str) -> None:
    secret = address.replace("//", "//me:secret@")
    with pytest.raises(VideoError, match=r"can't open http://\*\*\*@127.* check the address") as caught:
        open_video(f"{secret}/none.mp4")
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for a device of Linux")
def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(VideoError, match="can't open camera 63 .*check that it is plugged in"):
        open_video(63)


# decord


@needs_decord
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "vp9.webm", "variable.mp4", "opengop.mp4", "hevc.mp4"])
def test_decord_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    codec, options = CLIPS[name]
    path = make_clip(tmp_path / name, codec, **options)
    expected, video = list(open_video(path)), open_video(path, backend="decord")
    frames = list(video)
    assert "decord" in repr(video)
    assert video.count() == len(frames) == FRAMES
    assert max(distance(a, b) for a, b in zip(expected, frames, strict=True)) < 1
    assert_same(list(video.read_reversed(chunk=7)), frames[::-1])
    assert_same(list(video.read_reversed(3, 20, chunk=6)), frames[3:20][::-1])
    assert_same(list(video.read(30)), frames[30:])


@needs_decord
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: make_clip(folder / "a.ts"), "not reliable on mpegts files"),
        (lambda folder: make_clip(folder / "a.gif", "gif", pixels="rgb8"), "not reliable on gif files"),
        (
            lambda folder: shown_by_matrix(make_clip(folder / "a.mp4"), 0, -1, 1, 0),
            "asks for the pictures to be turned",
        ),
        (lambda folder: cut_by_edit_list(make_clip(folder / "a.mp4"), 15, 20), "edit list that hides frames"),
        (
            lambda folder: make_clip(folder / "a.mp4", "libsvtav1", options={"preset": "12"}),
            "can't open the file",
        ),
    ],
)
def test_decord_is_refused_where_it_is_wrong(tmp_path: Path, make: Callable, reason: str) -> None:
    with pytest.raises(VideoError, match=rf"can't be trusted with .*{reason}.* Leave out backend='decord'"):
        open_video(make(tmp_path), backend="decord")


def test_decord_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=3)
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(VideoError, match="pip install decord"):
        open_video(path, backend="decord")
    assert len(list(open_video(path))) == 3


def test_the_door_is_light() -> None:
    code = "import sys, vos_zoo.videos.video, vos_zoo.videos.writer; print({'torch', 'av', 'decord'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
