"""Names are names, playlists stay closed, and what a hostile header says costs neither memory nor an exception from the inside."""

from __future__ import annotations

import http.server
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import encode, moving

import vos_zoo
from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.limits import set_limits
from vos_zoo.videos.video import open_video

NAMES = [
    "12:30:45.mp4", "2024-05-01T12:30:00.mp4", "pipe:0", "concat:a.mp4", "file:a.mp4", "http:a.mp4", "50%.mp4", "%05d.mp4", "a#1.mp4",
    "what?.mp4", "a b  c.mp4", "m\u00fcller \u5730\u56fe.mp4", "\U0001f3ac.mp4", "-x.mp4", "~tilde.mp4", "a'b\"c.mp4", "a\\b.mp4",
    "[0-9]*.mp4", "x" * 240 + ".mp4", "cache:x", "a|b.mp4", "a,b;c&d.mp4",
]  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", moving())


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, name: str) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    for given in (name, f"./{name}", Path(name), tmp_path / name, (tmp_path / name).as_uri()):
        assert open_video(given).count() == 12, given


def test_a_folder_of_any_name(tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "12:30 100% #1?"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    assert open_video(folder / "a.mp4").count() == 12
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    assert open_video(folder).length == open_video(folder.as_uri()).length == 1


def test_a_home_and_nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    monkeypatch.setenv("HOME", str(clip.parent))
    assert open_video("~/clip.mp4").count() == 12
    with pytest.raises(VideoError, match="~nobody-of-that-name"):
        open_video("~nobody-of-that-name/a.mp4")


@pytest.mark.parametrize("given", ["x" * 300 + ".mp4", "/".join(["y" * 200] * 30), "a\0b.mp4", "", "file:///", "file://other/a.mp4"])
def test_what_is_no_name_is_told(given: str) -> None:
    with pytest.raises(VideoError):
        open_video(given)


@pytest.mark.parametrize("scheme", ["ftp", "gopher", "data", "concatf", "s3", "nothing"])
def test_a_stream_of_another_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(VideoError, match=f"{scheme}:// is not a kind of stream"):
        open_video(f"{scheme}://host/a.mp4")


def test_a_dead_link_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("gone.mp4")
    with pytest.raises(VideoError, match=r"it is a link to 'gone.mp4', which is not there"):
        open_video(tmp_path / "a.mp4")


PLAYLISTS = {
    "an HLS playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "a list of files for FFmpeg's concat": "ffconcat version 1.0\nfile {name}\n",
    "a description of a session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "a DASH manifest": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><BaseURL>{name}</BaseURL></MPD>\n',
}


@pytest.mark.parametrize("suffix", [".m3u8", ".mp4", ".mkv", ".avi", ".ts", ".txt", ".sdp", ".mpd", ".ffconcat", ""])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_are_closed_under_every_suffix(tmp_path: Path, clip: Path, kind: str, suffix: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / f"list{suffix}").write_text(PLAYLISTS[kind].format(name="clip.mp4"))
    with pytest.raises(VideoError, match=rf"it is {kind}.*playlists=True"):
        open_video(tmp_path / f"list{suffix}")


def test_a_playlist_behind_other_text_leads_nowhere(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    for i, text in enumerate(
        ("\n\n\ufeff#EXTM3U\n#EXTINF:1,\nclip.mp4\n", "# x\nffconcat version 1.0\nfile clip.mp4\n", "file 'clip.mp4'\n")
    ):
        (tmp_path / f"{i}.mp4").write_text(text)
        with pytest.raises(VideoError):
            open_video(tmp_path / f"{i}.mp4")


def test_a_playlist_is_followed_where_that_is_wanted(tmp_path: Path) -> None:
    encode(tmp_path / "clip.ts", moving(), options={"bf": "0"})
    (tmp_path / "list.m3u8").write_text(PLAYLISTS["an HLS playlist"].format(name="clip.ts"))
    assert vos_zoo.open_video(tmp_path / "list.m3u8", playlists=True).count() == 12


def test_a_stream_leads_to_no_file_here(tmp_path: Path) -> None:
    encode(tmp_path / "secret.ts", moving(), options={"bf": "0"})
    (tmp_path / "list.m3u8").write_text(PLAYLISTS["an HLS playlist"].format(name=(tmp_path / "secret.ts").as_uri()))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(VideoError):
            list(open_video(f"http://127.0.0.1:{server.server_port}/list.m3u8"))
        server.shutdown()


def latin1(path: Path, title: str) -> Path:
    """The same file with the Latin-1 form of a title in place of its UTF-8 form, padded to its length."""
    data = path.read_bytes()
    old, new = title.encode(), title.encode("latin-1")
    assert old in data
    path.write_bytes(data.replace(old, new + b" " * (len(old) - len(new))))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.flv", "a.mov", "a.ts"])
def test_tags_that_are_not_utf8(tmp_path: Path, name: str) -> None:
    title = "\u00dcberw\u00e4ltigend"

    def tagged(stream) -> None:
        stream.container.metadata["title"] = title
        if name == "a.ts":
            stream.container.metadata["service_name"] = title

    path = encode(tmp_path / name, moving(), "mpeg4" if name == "a.avi" else "libx264", set_up=tagged, options={"bf": "0"})
    assert open_video(latin1(path, title)).count() == 12


@pytest.mark.parametrize("text", ["a:b:c", "nan", "1:2", "99:99:99:99", "-1:00:00", "1e9:1:1", "\u0663:00:01", "inf:0:0", " ", "00:00:0x"])
def test_odd_durations_are_passed_over(tmp_path: Path, text: str) -> None:
    path = encode(tmp_path / "a.mkv", moving())
    data = path.read_bytes()
    assert b"00:00:00.480000000" in data
    path.write_bytes(data.replace(b"00:00:00.480000000", text.encode()[:18].ljust(18, b"\0")))
    video = open_video(path)
    assert video.count() == 12


@pytest.mark.parametrize("fourcc", [b"zzzz", b"\0\0\0\0", b"encv", b"drmi", b"\xff\xfe\xfd\xfc"])
def test_an_unknown_or_encrypted_codec_is_told(tmp_path: Path, clip: Path, fourcc: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", fourcc))
    with pytest.raises(VideoError, match="a.mp4"):
        list(open_video(path))


def gif(width: int, height: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"\x21\xf9\x04\x04\x04\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00;"


def png(width: int, height: int, *, frames: int = 0) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    animation = chunk(b"acTL", struct.pack(">II", frames, 0)) if frames else b""
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 25, 0, 0)) if frames else b""
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + head + animation + control + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BOMBS = {
    "a.gif": gif(16_000, 16_000),
    "wide.gif": gif(65_535, 65_535),
    "a.y4m": b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n",
    "a.png": png(16_000, 16_000, frames=3),
    "many.png": png(8, 8, frames=2**31 - 1),
    "a.webp": b"RIFF" + struct.pack("<I", 60) + b"WEBPVP8X" + struct.pack("<IB3x", 10, 2) + b"\x7f\x3e\0\x7f\x3e\0" + b"ANIM"
    + struct.pack("<I6x", 6) + b"ANMF" + struct.pack("<I16x", 16),
    "frames/0.png": png(16_000, 16_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_claims_are_checked_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(BOMBS[name])
    source = path.parent if name.startswith("frames") else path
    code = (
        "import sys, vos_zoo, av, numpy, PIL.Image; import vos_zoo.videos.pyav_reader\n"
        "from vos_zoo.system.machine import peak_memory; before = peak_memory()\n"
        "try: list(vos_zoo.open_video(sys.argv[1])); print('read')\n"
        "except vos_zoo.VosZooError as error: print(error)\n"
        "print((peak_memory() - before) >> 20)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(source)], capture_output=True, text=True, timeout=120)
    *said, grown = done.stdout.splitlines()
    assert done.returncode == 0 and said and "read" not in said, done.stdout + done.stderr
    assert int(grown) < 100, (said, grown)


def test_a_limit_is_named_and_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.mp4", moving())
    monkeypatch.setenv("VOS_ZOO_MAX_SIDE", "60")
    with pytest.raises(VideoError, match="VOS_ZOO_MAX_SIDE=64"):
        open_video(tmp_path / "a.mp4")
    set_limits(side=64)
    try:
        assert open_video(tmp_path / "a.mp4").count() == 12
    finally:
        set_limits(side=None)


@pytest.mark.parametrize("rate", ["90000:1", "2000:1", "1000001:1", "1:1000000", "2147483647:1", "0:1"])
def test_any_rate_that_is_claimed_can_be_read_and_shown(tmp_path: Path, rate: str) -> None:
    (tmp_path / "a.y4m").write_bytes(f"YUV4MPEG2 W64 H48 F{rate} Ip A1:1 C420jpeg\n".encode() + (b"FRAME\n" + bytes(4608)) * 4)
    video = open_video(tmp_path / "a.y4m")
    assert video.count() == 4 and (video.fps is None or 0 < video.fps <= 1_000_000)
    masks = vos_zoo.MaskSequence((48, 64), [1], fps=video.fps)
    for index in range(4):
        masks.set(index, np.eye(48, 64, dtype=np.uint8))
    masks.save_video(tmp_path / "overlay.mp4", tmp_path / "a.y4m")
    assert open_video(tmp_path / "overlay.mp4").count() == 4


def test_mutated_files_give_frames_or_sentences(tmp_path: Path) -> None:
    """A short fuzz target: no other exception, in either direction, and backward equals forward."""
    import random

    draw = random.Random(20)
    seeds = [
        encode(tmp_path / "s.mp4", moving()), encode(tmp_path / "s.mkv", moving()), encode(tmp_path / "s.avi", moving(), "mpeg4"),
        encode(tmp_path / "s.gif", moving(), "gif", pixels="rgb8", rate=10),
    ]  # fmt: skip
    outcomes = {"read": 0, "told": 0}
    for i in range(int(os.environ.get("VOS_ZOO_FUZZ", "60"))):
        seed = seeds[i % len(seeds)]
        data = bytearray(seed.read_bytes())
        for _ in range(draw.choice([1, 3, 20])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path = tmp_path / f"m{i}{seed.suffix}"
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                video = open_video(path)
                forward = [frame.tobytes() for frame in video]
                backward = [frame.tobytes() for frame in video.read_reversed()]
            except VideoError:
                outcomes["told"] += 1
            else:
                outcomes["read"] += 1
                assert backward == forward[::-1], i
        path.unlink()
    assert outcomes["read"] > 10


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.npy", b"\x93NUMPY\x01\0junk", "it is a numpy array: give numpy.load"),
        ("a.npz", b"PK\x03\x04junkjunkjunk", "it is an archive: unpack it"),
        ("frames.zip", b"PK\x03\x04junkjunkjunk", "it is an archive: unpack it"),
        ("frames.tar.gz", b"\x1f\x8b\x08junkjunkjunk", "it is an archive: unpack it"),
    ],
)
def test_what_people_give_instead_is_named(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VideoError, match=says):
        open_video(tmp_path / name)


def test_a_second_picture_track_is_told(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "two.mkv"), "w") as output:
        streams = [output.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for stream in streams:
            for packet in [*stream.encode(av.VideoFrame(64, 48, "yuv420p")), *stream.encode(None)]:
                output.mux(packet)
    with pytest.warns(VosZooWarning, match=r"holds 2 video streams, of which one is read \(0\)"):
        assert len(list(open_video(tmp_path / "two.mkv"))) == 1
