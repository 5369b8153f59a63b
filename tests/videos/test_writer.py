"""VideoWriter and atomic_write: what is written can be read, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vos_zoo.errors import SaveError, VideoError
from vos_zoo.system.atomic import atomic_write, write_json
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter


def gradient(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    red = 255 * columns / (width - 1)
    green = 255 * rows / (height - 1)
    return np.stack([red, green, np.full_like(red, 8 * index)], axis=-1).astype(np.uint8)


def decoded(path: Path) -> list[np.ndarray]:
    return list(open_video(path))


def write(path: Path, frames: list[np.ndarray], **options) -> None:
    with VideoWriter(path, fps=25, size=frames[0].shape[:2], **options) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.MOV", "libx264"),
        ("a.mkv", "libx265"),
        ("a.webm", "libvpx-vp9"),
        ("a.mp4", "libx265"),
    ],
)
def test_frames_come_back_nearly_as_written(tmp_path: Path, name: str, codec: str) -> None:
    frames = [gradient(i) for i in range(5)]
    write(tmp_path / name, frames, codec=codec, quality=10)
    read = decoded(tmp_path / name)
    assert len(read) == 5
    for given, got in zip(frames, read, strict=True):
        assert np.abs(given.astype(int) - got).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_lower_quality_makes_a_smaller_file(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8))
    write(tmp_path / "good.mp4", noise, quality=10)
    write(tmp_path / "poor.mp4", noise, quality=45)
    assert (tmp_path / "poor.mp4").stat().st_size < (tmp_path / "good.mp4").stat().st_size / 2


def test_odd_sizes_are_padded_by_the_edge(tmp_path: Path) -> None:
    frame = np.zeros((47, 63, 3), np.uint8)
    frame[:, -1] = 200
    frame[-1, :] = 200
    write(tmp_path / "odd.mp4", [frame] * 3, quality=5)
    read = decoded(tmp_path / "odd.mp4")[0]
    assert read.shape == (48, 64, 3)
    assert read[47, 5:60].mean() > 180
    assert read[5:40, 63].mean() > 180


@pytest.mark.parametrize(("height", "matrix"), [(720, 1), (48, 6)])
def test_colours_survive_and_are_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    frame = np.zeros((height, 64, 3), np.uint8)
    frame[:] = (200, 30, 60)
    write(tmp_path / "a.mp4", [frame] * 2, quality=5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range, context.color_primaries) == (matrix, 1, 1)
        assert context.pix_fmt == "yuv420p"
    assert np.abs(decoded(tmp_path / "a.mp4")[0].astype(int) - frame).max() <= 4


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [gradient(0)] * 3)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_the_frame_rate_is_kept(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=29.97002997, size=(48, 64)) as writer:
        for i in range(6):
            writer.write(gradient(i))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.frames == 6


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, fps=25, size=(48, 64)) as writer:
        writer.write(gradient(0))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_writer_that_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", fps=25, size=(48, 64))
    writer.write(gradient(0))
    del writer
    assert list(tmp_path.iterdir()) == []


def test_close_twice_and_write_after(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", fps=25, size=(48, 64))
    writer.write(gradient(0))
    writer.close()
    writer.close()
    assert len(decoded(tmp_path / "a.mp4")) == 1
    with pytest.raises(VideoError, match="closed: open a new one"):
        writer.write(gradient(1))
    writer.abort()
    assert (tmp_path / "a.mp4").exists()


def test_no_frame_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(SaveError, match="no frame was written"),
        VideoWriter(tmp_path / "a.mp4", fps=25, size=(48, 64)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("a.xyz", {}, SaveError, r"'a.xyz': use one of \.mp4"),
        ("a.webm", {}, SaveError, "use codec='libvpx-vp9'"),
        ("a.mp4", {"codec": "libvpx-vp9"}, SaveError, "ends in .webm"),
        ("a.mp4", {"codec": "h263"}, SaveError, "codec 'h263' is not one"),
        ("a.mp4", {"quality": 99}, SaveError, r"takes 0 \(best\) to 51"),
        ("a.mp4", {"fps": 0}, VideoError, "fps must be a positive number"),
        ("a.mp4", {"fps": float("nan")}, VideoError, "fps must be a positive number"),
        ("a.mp4", {"size": (0, 64)}, VideoError, r"size must be \(height, width\)"),
    ],
)
def test_wrong_arguments_are_told_at_once(tmp_path, name, options, error, message) -> None:
    with pytest.raises(error, match=message):
        VideoWriter(tmp_path / name, **{"fps": 25, "size": (48, 64), **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "frame",
    [np.zeros((48, 60, 3), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)],
)
def test_a_wrong_frame_names_both_shapes(tmp_path: Path, frame: np.ndarray) -> None:
    with (
        pytest.raises(VideoError, match=r"frame 0 is .* takes uint8 of shape \(48, 64, 3\)"),
        VideoWriter(tmp_path / "a.mp4", fps=25, size=(48, 64)) as writer,
    ):
        writer.write(frame)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, signal, sys
import numpy as np
from vos_zoo.errors import SaveError
from vos_zoo.videos.writer import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
try:
    with VideoWriter(sys.argv[1], fps=25, size=(48, 64), quality=5) as writer:
        for _ in range(90):
            writer.write(np.roll(noise, _ * 7, axis=1))
except SaveError as error:
    print("told:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_file_that_can_not_grow_leaves_nothing(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "a.mp4")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "told: can't save" in run.stdout
    assert "save elsewhere" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_puts_the_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_atomic_write_keeps_the_old_file_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_write_json_keeps_the_old_file_when_json_cannot_hold_the_value(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"J": 0.5})
    assert (tmp_path / "new" / "a.json").read_text() == '{\n "J": 0.5\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "new" / "a.json", {"J": object()})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert (tmp_path / "new" / "a.json").read_text() == '{\n "J": 0.5\n}\n'


def test_atomic_write_of_a_folder(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "masks") as temporary:
        temporary.mkdir()
        (temporary / "0.txt").write_text("0")
    assert (tmp_path / "masks" / "0.txt").read_text() == "0"
    with (
        pytest.raises(SaveError, match="not empty: choose another"),
        atomic_write(tmp_path / "masks") as temporary,
    ):
        temporary.mkdir()
        (temporary / "1.txt").write_text("1")
    assert [p.name for p in tmp_path.rglob("*")] == ["masks", "0.txt"]


def test_a_full_disk_is_told_with_the_fix(tmp_path: Path) -> None:
    with (
        pytest.raises(SaveError, match="disk is full: free some space"),
        atomic_write(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_error_goes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text((tmp_path / "input.txt").read_text())
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="choose another path"), atomic_write(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_told_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SaveError, match="no permission"), atomic_write(tmp_path / "a.txt"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="POSIX devices")
def test_a_device_is_never_replaced() -> None:
    with pytest.raises(SaveError, match="device or a pipe"), atomic_write("/dev/null"):
        pytest.fail("the block must not run")
