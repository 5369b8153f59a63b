"""Videos in one image file: the pages of a TIFF, the pictures of an animated WebP or PNG."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.limits import check_limit, check_picture
from vos_zoo.system.whole_pictures import whole_pictures
from vos_zoo.videos.depths import bits_stored, bits_told, deep_values
from vos_zoo.videos.frames import check_size
from vos_zoo.videos.images import UNREADABLE, page_count, to_rgb, unreadable
from vos_zoo.videos.reader import Moment, Presentation, Reader

_TICK = Fraction(1, 1000)
_UNTOLD = 100  # milliseconds that a picture without a duration is shown for, as browsers do
_SAMPLE = 16
_DESCRIPTION = 270  # TIFF tag


def has_pages(path: Path) -> bool:
    """Whether an image file holds several pictures; False also if it can't be read."""
    try:
        with Image.open(path) as image:
            return page_count(image) > 1
    except UNREADABLE:
        return False


def open_pages(path: Path) -> PagesReader:
    """The video in one image file.

    Raises:
        VideoError: it holds one picture, pictures of different sizes, more than can be read, or is damaged.
    """
    try:
        with Image.open(path) as image:
            check_picture(image.height, image.width, str(path), VideoError)
            pages = page_count(image)
            check_limit("frames", pages, str(path), VideoError)
            described = _imagej(image)
            skipped = int(bool(getattr(image, "default_image", False)))  # shown only by programs that know no animation
            kind = {"TIFF": "TIFF pages", "WEBP": "animated WebP", "PNG": "animated PNG"}.get(str(image.format), "image")
    except UNREADABLE as error:
        raise unreadable(path, "the video", error) from error
    if described.get("images", 1) > pages:
        raise VideoError(
            f"{path} says that it holds {described['images']} images (ImageJ), but as {pages} of them can be found by its index: save it "
            "as a plain TIFF or as single images"
        )
    if pages - skipped < 2:
        raise VideoError(f"{path} is a single image: give the folder of the frames ({path.parent}), or a list of paths")
    if described.get("channels", 1) > 1:
        channels = described["channels"]
        message = f"{path.name} has {channels} channels: its {pages} pages were taken as {pages} frames, in the order of the file"
        warnings.warn(message, VosZooWarning, stacklevel=5)
    return PagesReader(path, kind, range(skipped, pages))


class PagesReader(Reader):
    """Pictures of one image file. TIFF pages are sought; animations are decoded from the start, as each picture builds on those before."""

    decodes = True
    exact_length = True

    def __init__(self, path: Path, kind: str, pages: range) -> None:
        self.name, self.kind = path.stem, kind
        self._path, self._pages = path, pages
        self._seekable = kind.startswith("TIFF")
        self._bits: int | None = None
        with self._opened() as image:
            if self._seekable:
                self._look_through(image)
            self.height, self.width = self._upright(image, pages[0]).shape[:2]
        self.length = len(pages)
        self._durations: list[int] = [] if self._seekable else durations(path)[: len(pages)]
        if len(self._durations) == len(pages):
            self.fps = 1000 * len(pages) / sum(self._durations)
            self.presentation = Presentation(clock=_TICK)
        else:
            self._durations = []

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        pages = self._pages[start:stop]
        if not pages:
            return
        with self._opened() as image:
            for page in pages:
                frame = self._upright(image, page)
                check_size(frame.shape[:2], (self.height, self.width), f"picture {page} of {self._path.name}")
                yield frame

    def moments(self, start: int, stop: int | None) -> Iterator[Moment]:
        time = sum(self._durations[:start])
        for i, frame in enumerate(self.frames(start, stop), start):
            if not self._durations:
                yield Moment(frame)
                continue
            yield Moment(frame, time * _TICK, self._durations[i] * _TICK)
            time += self._durations[i]

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        stop = len(self._pages) if stop is None else min(stop, len(self._pages))
        for high in range(stop, start, -chunk):
            frames = list(self.frames(max(start, high - chunk), high))
            while frames:
                yield frames.pop()

    def count(self) -> int:
        return len(self._pages)

    def _opened(self) -> Image.Image:
        try:
            return Image.open(self._path)
        except UNREADABLE as error:
            raise unreadable(self._path, "the video", error) from error

    @whole_pictures()
    def _upright(self, image: Image.Image, page: int) -> np.ndarray:
        label = f"picture {page}"
        try:
            image.seek(page)
            check_picture(image.height, image.width, f"{label} of {self._path.name}", VideoError)
            return to_rgb(image, label, bits=self._bits)
        except (*UNREADABLE, EOFError) as error:
            raise unreadable(self._path, label, error) from error

    @whole_pictures()
    def _look_through(self, image: Image.Image) -> None:
        """The size of all pages, and the range of their values if they have more than 8 bits."""
        sizes: dict[int, tuple[int, int]] = {}
        try:
            for page in self._pages:
                image.seek(page)
                sizes[page] = (image.height, image.width)
            for page, size in sizes.items():
                check_size(size, sizes[self._pages[0]], f"page {page} of {self._path.name}")
            image.seek(self._pages[0])
            if bits_stored(image) > 8:
                self._bits = self._range(image)
        except (*UNREADABLE, EOFError) as error:
            raise unreadable(self._path, "the video", error) from error

    def _range(self, image: Image.Image) -> int:
        told, most = bits_told(image), 0
        sample = self._pages[:: max(1, len(self._pages) // _SAMPLE)]
        for page in {*sample, self._pages[-1]}:
            image.seek(page)
            most = max(most, int(deep_values(image, f"page {page}").max(initial=0)))
        bits = told if told and most < 2**told else max(9, most.bit_length())
        if bits < 16:
            why = "by its tag" if bits == told else f"by its values, to {most} in {len(sample)} of {len(self._pages)} pages"
            message = f"{self._path.name} is of 16 bits, of which {bits} are used ({why}): 0 to {2**bits - 1} is shown as 0 to 255"
            warnings.warn(message, VosZooWarning, stacklevel=7)
        return bits


def durations(path: Path) -> list[int]:
    """Milliseconds that each picture of an animated WebP or PNG is shown for; as many as can be read."""
    data = path.read_bytes()
    if data[:4] == b"RIFF":
        return [
            int.from_bytes(body[12:15], "little") or _UNTOLD for name, body in _riff_chunks(data) if name == b"ANMF" and len(body) >= 15
        ]
    delays = [struct.unpack(">HH", body[20:24]) for name, body in _png_chunks(data) if name == b"fcTL" and len(body) >= 24]
    return [round(1000 * numerator / (denominator or 100)) or _UNTOLD for numerator, denominator in delays]


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + min(size, 16)]
        at += 8 + size + size % 2


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + min(size, 32)]
        at += 12 + size


def _imagej(image: Image.Image) -> dict[str, int]:
    """What ImageJ notes in the first page of a stack: images, channels, slices, frames."""
    text: Any = getattr(image, "tag_v2", {}).get(_DESCRIPTION, "")
    if not isinstance(text, str) or not text.startswith("ImageJ="):
        return {}
    return {name: int(value) for name, value in re.findall(r"^(images|channels|slices|frames)=(\d{1,9})\s*$", text, re.MULTILINE)}
