"""What the index of an MP4 claims is looked at before FFmpeg takes memory for it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from peak import memory_grown
from video_files import encode, moving

from vos_zoo.errors import VideoError
from vos_zoo.system.limits import set_limits
from vos_zoo.videos.video import open_video


def with_tables(path: Path, **tables: tuple[int, ...]) -> Path:
    """The numbers of boxes replaced, behind their version and flags."""
    data = bytearray(path.read_bytes())
    for name, numbers in tables.items():
        at = data.index(name.encode()) + 8
        data[at : at + 4 * len(numbers)] = struct.pack(f">{len(numbers)}I", *numbers)
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("count", [2**24, 2**31 - 1])
def test_a_small_file_that_claims_millions_of_samples(tmp_path, count):
    path = encode(tmp_path / "a.mp4", moving(4, 32, 48), "mpeg4")
    with_tables(path, stsz=(1, count), stts=(1, count, 1), stsc=(1, 1, count, 1))
    with memory_grown() as grown, pytest.raises(VideoError, match=rf"holds {count} samples of 1 bytes, more than the whole file has"):
        open_video(path)
    assert grown.bytes < 50 << 20


def test_samples_over_the_limit_are_refused_with_the_way_to_raise_it(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(12, 32, 48), "mpeg4")
    set_limits(frames=1)
    try:
        with pytest.raises(VideoError, match=r"holds 12 samples, more than the limit of 10, .*VOS_ZOO_MAX_FRAMES=2"):
            open_video(path)
    finally:
        set_limits(frames=None)
    assert open_video(path).count() == 12


def test_fragments_count_together(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(12, 32, 48), "mpeg4", options={"g": "2"})
    box = struct.pack(">I4s", 32, b"moof") + struct.pack(">I4s", 24, b"traf") + struct.pack(">I4sII", 16, b"trun", 0, 6_000_000)
    path.write_bytes(path.read_bytes() + 2 * box)
    with pytest.raises(VideoError, match="holds 12000000 samples, more than the limit of 10000000"):
        open_video(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_sound_of_one_tick_a_sample_is_healthy(tmp_path, name):
    path = encode(tmp_path / name, moving(12, 32, 48), "mpeg4", sound="pcm_s16le" if name == "a.mov" else "aac")
    assert open_video(path).count() == 12
