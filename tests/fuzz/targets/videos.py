"""Video files, folders of frames and files of several pictures that were damaged: read to the end, backwards as forwards, shown again."""

from __future__ import annotations

import functools
import io
import random
import tempfile
import zlib
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image
from video_files import encode, moving

from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import open_video

from ..mutation import mutated_bytes
from ..target import Target

MOST, PIXELS = 60, 30_000_000  # frames of a case that are read, and pixels of all together
SIZE = (32, 48)
# file -> codec, its pixels, the codec of its sound
FILES = {
    "h264.mp4": ("libx264", "yuv420p", "aac"),
    "plain.mp4": ("mpeg4", "yuv420p", None),
    "png.mov": ("png", "rgb24", None),
    "prores.mov": ("prores_ks", "yuv422p10le", None),
    "h264.mkv": ("libx264", "yuv444p", None),
    "ffv1.mkv": ("ffv1", "yuv420p", None),
    "vp8.webm": ("libvpx", "yuv420p", None),
    "vp9.webm": ("libvpx-vp9", "yuv420p", None),
    "mpeg4.avi": ("mpeg4", "yuv420p", None),
    "sound.mkv": ("mpeg4", "yuv420p", "libopus"),
    "jpeg.avi": ("mjpeg", "yuvj420p", None),
    "flv1.flv": ("flv", "yuv420p", None),
    "mpeg2.ts": ("mpeg2video", "yuv420p", None),
    "mpeg1.mpg": ("mpeg1video", "yuv420p", None),
    "wmv2.wmv": ("wmv2", "yuv420p", None),
    "mpeg2.mxf": ("mpeg2video", "yuv420p", None),
    "vp8.ogv": ("libvpx", "yuv420p", None),
    "raw.y4m": ("wrapped_avframe", "yuv420p", None),
    "pictures.gif": ("gif", "rgb8", None),
}


class Case(NamedTuple):
    """A source, and whether it is also shown again as a video with its sound."""

    path: Path
    shown: bool


@functools.cache
def seeds() -> dict[str, bytes]:
    """The corpus: a small file of every kind that is made here, by its name."""
    found: dict[str, bytes] = {}
    frames = moving(8, *SIZE)
    with tempfile.TemporaryDirectory() as folder:
        for name, (codec, pixels, sound) in FILES.items():
            if codec in av.codecs_available and (sound is None or sound in av.codecs_available):
                options = {"g": "4"} if codec in ("libx264", "mpeg4", "mpeg2video", "libvpx") else {}
                path = encode(Path(folder) / name, frames, codec, pixels=pixels, sound=sound, options=options)
                found[name] = path.read_bytes()
    return {**found, **pictures()}


@functools.cache
def pictures() -> dict[str, bytes]:
    """Files of several pictures, and single ones."""
    images = [Image.fromarray(frame) for frame in moving(5, 24, 32)]
    grey = [image.convert("L") for image in images]
    deep = [Image.fromarray(np.asarray(image, np.uint16) * 16) for image in grey]

    def saved(form: str, pages: list[Image.Image], **options: object) -> bytes:
        file = io.BytesIO()
        pages[0].save(file, format=form, **({"save_all": True, "append_images": pages[1:], **options} if len(pages) > 1 else options))
        return file.getvalue()

    return {
        "animated.webp": saved("WEBP", images, duration=[40, 80, 40, 40, 40], lossless=True),
        "animated.png": saved("PNG", images, duration=50),
        "stack.tif": saved("TIFF", images),
        "packed.tif": saved("TIFF", grey, compression="tiff_lzw"),
        "deep.tiff": saved("TIFF", deep),
        "one.png": saved("PNG", images[:1]),
        "one.jpg": saved("JPEG", images[:1]),
        "one.webp": saved("WEBP", images[:1]),
        "one.bmp": saved("BMP", images[:1]),
        "indexed.png": saved("PNG", [images[0].quantize(4)]),
        "deep.png": saved("PNG", deep[:1]),
        "cmyk.jpg": saved("JPEG", [images[0].convert("CMYK")]),
    }


def make_file(rng: random.Random, folder: Path) -> Case:
    """A damaged file of one kind, now and then under another's suffix."""
    names = sorted(name for name in seeds() if not name.startswith(("one.", "indexed.", "cmyk.", "deep.png")))
    name = rng.choice(names)
    kin = [data for each, data in seeds().items() if each == name or rng.random() < 0.05]
    suffix = Path(rng.choice(names) if rng.random() < 0.05 else name).suffix
    path = folder / f"video{suffix}"
    path.write_bytes(mutated_bytes(rng, [seeds()[name], *kin]))
    return Case(path, rng.random() < 0.1)


def make_folder(rng: random.Random, folder: Path) -> Case:
    """A folder of images, one or two of them damaged, or of another kind, size or name."""
    name = rng.choice(("one.png", "one.jpg", "one.webp", "one.bmp", "indexed.png", "deep.png", "cmyk.jpg", "stack.tif"))
    video = folder / "frames"
    video.mkdir()
    for number in range(4):
        (video / f"{number:03}{Path(name).suffix}").write_bytes(pictures()[name])
    for _ in range(rng.choice((1, 1, 2))):
        damaged = rng.choice(sorted(video.iterdir()))
        if rng.random() < 0.8:
            damaged.write_bytes(mutated_bytes(rng, [pictures()[name], *pictures().values()][: rng.choice((1, 20))]))
        else:
            odd = rng.choice(("-1", "a", "9" * 30, "１", "é", "\udcff", "a b", "%d", "con", "1e5"))
            damaged.rename(video / f"{odd}{rng.choice((damaged.suffix, '.PNG', '.tif', '.gif'))}")
    return Case(video, False)


def feed(case: Case) -> object:
    """Everything that a video is asked for. Frames must come backwards as they came forwards."""
    video = open_video(case.path)
    told = [repr(video), video.fps, video.length, video.frame_names, video.presentation]
    most = max(2, min(MOST, PIXELS // (video.height * video.width)))
    forwards = [zlib.crc32(frame) for frame in islice(video, most)]
    backwards = [zlib.crc32(frame) for frame in video.read_reversed(0, most, chunk=5)]
    if forwards != backwards[::-1]:
        places = [n for n, pair in enumerate(zip(forwards, backwards[::-1], strict=False)) if len(set(pair)) > 1]
        raise AssertionError(f"{len(forwards)} frames forwards, {len(backwards)} backwards; others at {places[:10]}")
    if most == MOST and len(forwards) != min(count := video.count(), MOST):
        raise AssertionError(f"{len(forwards)} frames, but {count} counted")
    if case.shown and forwards:
        masks = MaskSequence((video.height, video.width), fps=video.fps)
        for _ in forwards:
            masks.append(np.zeros((video.height, video.width), np.uint8))
        masks.save_video(case.path.parent / "shown.mp4", video)
    return told, len(forwards)


TARGETS = [Target("videos-files", make_file, feed), Target("videos-folders", make_folder, feed)]
