"""Live sources: the newest frame is taken, the others are counted; a source that stalls or is cut off says so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from video_files import encode, moving

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos import live
from vos_zoo.videos.newest import Newest
from vos_zoo.videos.video import open_video


def ticking(count: int, seconds: float) -> Iterator[np.ndarray]:
    for i in range(count):
        time.sleep(seconds)
        yield np.full((8, 8, 3), i, np.uint8)


def test_the_newest_frame_is_taken_and_the_others_are_counted() -> None:
    video = open_video(ticking(40, 0.01))
    seen = []
    with pytest.warns(VosZooWarning, match=r"frames: \d+ of the 40 frames that came were left out") as heard:
        for number, frame in video.newest():
            assert frame[0, 0, 0] == number
            seen.append(number)
            time.sleep(0.08)
    assert seen[0] == 0 and seen[-1] == 39 and len(seen) < 20 and seen == sorted(seen)
    assert "those that come meanwhile are left out" in str(heard[0].message)
    assert f"{40 - len(seen)} of the 40" in str(heard[1].message) and len(heard) == 2


def test_frames_to_keep_are_never_left_out() -> None:
    with pytest.warns(VosZooWarning, match="left out"):
        seen = [number for number, _ in open_video(ticking(30, 0.005)).newest(keep={3, 4, 17}) if time.sleep(0.06) is None]
    assert {0, 3, 4, 17, 29} - set(seen) <= {0}


def test_a_slow_source_loses_nothing() -> None:
    assert [number for number, _ in open_video(ticking(5, 0.05)).newest()] == [0, 1, 2, 3, 4]


def test_a_source_that_could_run_ahead_is_taken_at_its_own_speed() -> None:
    begun = time.monotonic()
    with Newest(iter([0.0, 0.1, 0.2, 0.3]), due=lambda second: second) as newest:
        assert [number for number, _ in newest] == [0, 1, 2, 3]
    assert time.monotonic() - begun > 0.28


def test_an_error_comes_after_the_frames_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("the caller's own")

    with Newest(items()) as newest, pytest.raises(ZeroDivisionError):
        assert next(iter(newest)) == (0, 1)
        list(newest)


def test_leaving_early_ends_the_thread() -> None:
    with Newest(ticking(10_000, 0.001)) as newest:
        next(iter(newest))
    newest._thread.join(2)
    assert not newest._thread.is_alive()


def test_a_file_is_never_late(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="waits until its frames are wanted"):
        open_video(encode(tmp_path / "a.mp4", moving())).newest()


def served(answer: Callable[[socket.socket], None]) -> str:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)

    def serve() -> None:
        connection, _ = listening.accept()
        connection.recv(4096)
        answer(connection)
        connection.close()
        listening.close()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/a.ts"


def stream_of(tmp_path: Path, count: int = 75) -> bytes:
    draw = np.random.default_rng(0)
    frames = [draw.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(count)]
    return encode(tmp_path / "s.ts", frames, options={"bf": "0", "g": "5"}).read_bytes()


def test_a_stalled_stream_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_TIMEOUT_SECONDS", 1.0)
    data = stream_of(tmp_path)

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data[: len(data) // 2])
        time.sleep(4)

    with pytest.warns(VosZooWarning, match=r"a stalled \(nothing came for 1 seconds\) after \d+ frames; these are kept"):
        assert len(list(open_video(served(answer)))) > 10


@pytest.mark.parametrize("sent", [0.4, 0.7])
def test_a_stream_that_is_cut_off_says_so(tmp_path: Path, sent: float) -> None:
    data = stream_of(tmp_path)

    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[: int(len(data) * sent)])

    with pytest.warns(VosZooWarning, match=r"a (broke off|was cut off).* after \d+ frames; these are kept"):
        assert len(list(open_video(served(answer)))) > 10


def test_nothing_at_all_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_TIMEOUT_SECONDS", 1.0)
    with pytest.raises(VideoError, match="stalled, nothing came for 1 seconds"):
        open_video(served(lambda connection: time.sleep(3)))


def test_an_hdr_stream_is_told_as_a_file_is(tmp_path: Path) -> None:
    params = {"x265-params": "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}
    data = encode(tmp_path / "s.ts", moving(8), "libx265", pixels="yuv420p10le", tags=(9, 9, 16, 1), options=params).read_bytes()
    url = served(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + data))
    with pytest.warns(VosZooWarning, match=r"a is HDR \(PQ\): its colours are tone-mapped"):
        open_video(url).close()
