"""Images of more than 8 bits a channel: their values, the range that these are of, and how they become 8 bits."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import VideoError, VosZooWarning

_SAMPLE = 16  # images of a video that are looked at for the range of their values
_BITS_PER_SAMPLE, _MAX_SAMPLE, _SMAX_SAMPLE = 258, 281, 341  # TIFF tags


def bits_stored(image: Image.Image) -> int:
    """Bits a channel that an opened image is stored with; reads no more than headers."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return 16
    if image.format == "PNG":
        head = _head(image, 26)
        return head[24] if len(head) == 26 else 8
    if image.format == "TIFF":
        stored = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
        return max(stored) if image.mode != "F" else 8
    return 8


def bits_told(image: Image.Image) -> int | None:
    """Bits that an image's own tags give for its values: sBIT of PNG, MaxSampleValue of TIFF; None if it has no such tag."""
    most = 0
    if image.format == "PNG":
        head = _head(image, 4096)
        at = head.find(b"sBIT")
        if 0 < at < head.find(b"IDAT") % 5000:
            size = struct.unpack(">I", head[at - 4 : at])[0]
            return max(head[at + 4 : at + 4 + min(size, 3)], default=None) or None
    if image.format == "TIFF":
        for tag in (_MAX_SAMPLE, _SMAX_SAMPLE):
            value = getattr(image, "tag_v2", {}).get(tag, 0)
            values = value if isinstance(value, tuple) else (value,)
            most = max([most, *(int(each) for each in values if isinstance(each, (int, float)) and 0 < each < 65536)])
    return most.bit_length() or None


def deep_values(image: Image.Image, label: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint16 of an opened image with more than 8 bits a channel, not yet upright.

    Raises:
        VideoError: its values lie outside of 0 to 65535.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise VideoError(
                f"{label} has values from {values.min()} to {values.max()}, whose range is not known: save it with 8 or 16 bits"
            )
        return values.astype(np.uint16)
    return _decoded(image)


def to_8_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Values 0 to 2**bits - 1 as uint8; larger ones as 255."""
    most = 2**bits - 1
    return np.minimum((values.astype(np.uint32) * 255 + most // 2) // most, 255).astype(np.uint8)


def common_bits(items: Sequence[Any], where: str) -> int | None:
    """Bits that the values of all these images are of: by the first one's tags, else by the largest value of some of them; None: 8.

    Warns:
        VosZooWarning: they are fewer than the files have room for.
    """
    if not _deep(items[0]):
        return None
    step = max(1, -(-len(items) // _SAMPLE))
    sample = [items[i] for i in sorted({*range(0, len(items), step), len(items) - 1}) if _deep(items[i])]
    with _opened(items[0]) as first:
        told = bits_told(first)
    most = max(_largest(each) for each in sample)
    bits = told if told and most < 2**told else max(9, int(most).bit_length())
    if bits < 16:
        why = "by their tag" if bits == told else f"by their values, to {most} in {len(sample)} of {len(items)} images"
        warnings.warn(f"{where}: the images are of 16 bits, of which {bits} are used ({why}): 0 to {2**bits - 1} is shown as 0 to 255",
                      VosZooWarning, stacklevel=7)  # fmt: skip
    return bits


def _deep(item: object) -> bool:
    if not isinstance(item, (str, os.PathLike, Image.Image)):
        return False
    with _opened(item) as image:
        return bits_stored(image) > 8


def _largest(item: FrameFile) -> int:
    with _opened(item) as image:
        return int(deep_values(image, str(item)).max(initial=0))


FrameFile = str | os.PathLike[str] | Image.Image


class _opened:
    """An image, opened and closed again if it was a path."""

    def __init__(self, item: FrameFile) -> None:
        self._item = item
        self._file: Image.Image | None = None

    def __enter__(self) -> Image.Image:
        if isinstance(self._item, Image.Image):
            return self._item
        self._file = Image.open(self._item)
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _head(image: Image.Image, size: int) -> bytes:
    """The first bytes of the file of an image, if it has one."""
    name = getattr(image, "filename", "")
    if not name:
        return b""
    with Path(os.fsdecode(name)).open("rb") as file:
        return file.read(size)


def _decoded(image: Image.Image) -> np.ndarray:
    """16 bits a channel through FFmpeg: Pillow keeps the upper eight of them."""
    import av
    from av.error import FFmpegError

    path = os.fsdecode(getattr(image, "filename", ""))
    options = {"page": str(image.tell() + 1)} if image.format == "TIFF" else {}
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.codec_context.options = options
            picture = next(container.decode(stream))
            values: np.ndarray = picture.reformat(format="rgb48le").to_ndarray()
            return values
    except (FFmpegError, IndexError, StopIteration, ValueError) as error:
        raise VideoError(f"{path} can't be read with more than 8 bits ({error}): save it with 8") from error
