"""Video files that tests make: small clips of any codec, colour tags, times and sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 48, 64
PATCHES = [(200, 40, 40), (40, 180, 60), (50, 60, 200), (128, 128, 128), (230, 220, 60), (20, 20, 20)]


def patches(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Six flat colours side by side: what a matrix, a range or a transfer does to them shows in their middles."""
    frame = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(PATCHES):
        frame[:, i * width // 6 : (i + 1) * width // 6] = colour
    return frame


def colours_in(frame: np.ndarray) -> np.ndarray:
    """(6, 3): the colours in the middles of the patches."""
    height, width = frame.shape[:2]
    return np.array([frame[height // 2, (2 * i + 1) * width // 12] for i in range(6)]).astype(int)


def encode(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    *,
    rate: Any = 25,
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    clock: Fraction | None = None,
    tags: tuple[int, int, int, int] = (2, 2, 2, 0),  # matrix, primaries, transfer, range
    matrix: int | None = None,  # that the values are made with; default: the tag's
    aspect: Fraction | None = None,
    sound: str | None = None,
    options: dict[str, str] | None = None,
    set_up: Callable[[Any], None] | None = None,
) -> Path:
    """A file of RGB frames, uint8 or uint16, and where wanted two seconds of sound in that codec."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        tick = clock or 1 / Fraction(rate)
        context.time_base = tick
        if aspect is not None:
            context.sample_aspect_ratio = stream.sample_aspect_ratio = aspect
        if set_up is not None:
            set_up(stream)
        track = None if sound is None else output.add_stream(sound, rate=48_000)
        made_with = {6: 5, 2: 5}.get(tags[0], tags[0]) if matrix is None else matrix
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24" if frame.dtype == np.uint8 else "rgb48le")
            if pixels != picture.format.name and not pixels.startswith(("rgb", "gbr", "pal")):
                picture = picture.reformat(format=pixels, dst_colorspace=made_with, dst_color_range=tags[3] or 1)
            picture.pts, picture.time_base = (i if times is None else times[i]), tick
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
        if track is not None:
            _add_tone(output, track)
    return path


def _add_tone(output: Any, track: Any) -> None:
    wave = (0.2 * np.sin(np.arange(1024 * 94) * 2 * np.pi * 440 / 48_000)).astype(np.float32)
    formats = {"flt": "flt", "fltp": "fltp", "s16": "s16", "s16p": "s16p"}
    wanted = formats.get(track.codec_context.format.name, "fltp")
    resampler = av.AudioResampler(format=wanted, layout="stereo", rate=48_000)
    size = track.codec_context.frame_size or 1024
    fifo = av.AudioFifo()
    for i in range(94):
        frame = av.AudioFrame.from_ndarray(wave[None, 1024 * i : 1024 * (i + 1)].repeat(2, 0), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 1024 * i, Fraction(1, 48_000)
        for piece in resampler.resample(frame):
            fifo.write(piece)
        while (ready := fifo.read(size)) is not None:
            output.mux(track.encode(ready))
    output.mux(track.encode(None))


def moving(count: int = 12, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """A bright square that moves to the right over a dark ground."""
    frames = []
    for i in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        frame[height // 4 : height // 2, 2 * i : 2 * i + width // 4] = (220, 200, 60)
        frames.append(frame)
    return frames


def shown_at(path: Path) -> list[Fraction]:
    """Second at which each picture of a file is shown."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def save_images(folder: Path, names: Sequence[str]) -> Path:
    """A folder of small images; the grey of each tells its place in the list."""
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (16, 12), (10 * i, 10 * i, 10 * i)).save(folder / name)
    return folder
