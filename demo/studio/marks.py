"""From what a visitor drew or uploaded to the masks of frames."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vos_zoo
from studio.clips import Clip, refuse_giants, told_by_name
from studio.drawing import PAINTABLE, shrink_labels
from studio.limits import Limits

LARGEST_ZIP = 100_000_000  # bytes, unpacked
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others can't be unpacked in bounded steps
UNREADABLE = (zipfile.BadZipFile, zlib.error, Image.DecompressionBombError, OSError, ValueError, RuntimeError, NotImplementedError,
              EOFError, IndexError, OverflowError, SyntaxError)  # fmt: skip
FrameMasks = dict[int, np.ndarray]  # id -> (H, W) bool; without a pixel: the object is not in that frame


@dataclass(frozen=True)
class Drawing:
    """What the painter sends: ids (h, w) uint8 in the size of its picture, and what was done to them."""

    frame: int
    labels: np.ndarray
    touched: frozenset[int]  # objects that were drawn or erased here
    loaded: frozenset[int]  # objects that were there before the visitor began

    @classmethod
    def read(cls, value: Any) -> Drawing | None:
        """Of the painter's value; None if nothing was done. ValueError if it can't have come from the painter."""
        if not isinstance(value, dict) or not value.get("touched"):
            return None
        try:
            height, width, frame = (int(value[name]) for name in ("height", "width", "frame"))
            touched, loaded = (frozenset(int(k) for k in value.get(name) or ()) for name in ("touched", "loaded"))
            runs = value["runs"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("the drawing can't be read") from error
        if not (0 < height <= 4096 and 0 < width <= 4096 and frame >= 0 and all(1 <= k <= PAINTABLE for k in touched)):
            raise ValueError("the drawing can't be read")
        return cls(frame, decode_runs(runs, height, width), touched, loaded)


@dataclass(frozen=True)
class Mark:
    """What is given on one frame: a mask from a file, a drawing over it, or both. Takes some kB."""

    file: vos_zoo.MaskSequence | None = None  # of one frame, at the clip's size
    drawing: Drawing | None = None

    @classmethod
    def of_file(cls, labels: np.ndarray) -> Mark:
        """labels: (H, W) ids."""
        kept = vos_zoo.MaskSequence(labels.shape)  # compressed
        kept.append(labels)
        return cls(kept)

    @property
    def objects(self) -> list[int]:
        """Those shown on this frame."""
        touched = self.drawing.touched if self.drawing is not None else frozenset()
        drawn = touched & set(np.unique(self.drawing.labels).tolist()) if self.drawing is not None else frozenset()
        return sorted(drawn | {k for k in (self.file.object_ids if self.file is not None else ()) if k not in touched})

    @property
    def gone(self) -> list[int]:
        """Those that were wiped out: they are not in this frame."""
        return [] if self.drawing is None else sorted((self.drawing.touched & self.drawing.loaded) - set(self.objects))

    def masks(self, size: tuple[int, int]) -> FrameMasks:
        """The objects given; a drawn one replaces the file's, and takes its pixels from the others."""
        given: FrameMasks = {}
        if self.file is not None:
            labels = self.file[0]
            given = {k: labels == k for k in self.file.object_ids}
        if self.drawing is not None:
            for k in sorted(self.drawing.touched):
                mask = enlarge(self.drawing.labels == k, size)
                if mask.any() or k in self.drawing.loaded:
                    given = {other: layer & ~mask for other, layer in given.items() if other != k} | {k: mask}
        return given

    def shown(self, size: tuple[int, int]) -> np.ndarray:
        """Ids (h, w) as the painter shows them; objects beyond its colours are left out."""
        if self.drawing is not None and self.drawing.labels.shape == size:
            return self.drawing.labels
        if self.file is None:
            return np.zeros(size, np.uint8)
        small = shrink_labels(self.file[0], size)
        return np.where(small <= PAINTABLE, small, 0).astype(np.uint8)


class Given(Mapping[int, FrameMasks]):
    """Frame -> the masks given there, in the order of frames; made when asked for, since at full size they are large.

    An object that no earlier frame shows needs a pixel: wiped out there, it is left out.
    """

    def __init__(self, marks: Mapping[int, Mark], clip: Clip):
        self._marks, self._size = dict(marks), clip.size
        self._ids: dict[int, set[int]] = {}
        known: set[int] = set()
        for frame in sorted(marks):
            shown = {k for k, mask in marks[frame].masks(clip.size).items() if k in known or mask.any()}
            if shown and frame < clip.frames:
                self._ids[frame] = shown
                known |= shown
        self.object_ids = sorted(known)

    def __getitem__(self, frame: int) -> FrameMasks:
        return {k: mask for k, mask in self._marks[frame].masks(self._size).items() if k in self._ids[frame]}

    def __contains__(self, frame: object) -> bool:
        return frame in self._ids

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def read_mask_files(paths: Sequence[str], clip: Clip, frame: int, limits: Limits, *, exact: bool = False) -> dict[int, Mark]:
    """Frame -> mark. One image belongs to `frame`; of several, also in a zip, each names its own, as in 00030.png.

    exact: masks must have the clip's size; otherwise they are scaled to it.
    """
    found: dict[int, Mark] = {}
    named = [each for path in paths for each in _images(path, limits.marked)]
    if len(named) > limits.marked:
        raise vos_zoo.MaskError(f"these are {len(named)} masks; this page takes up to {limits.marked}, each for another frame")
    for name, source in named:
        at = frame
        if len(named) > 1:
            numbers = re.findall(r"\d+", Path(name).stem)
            if not numbers:
                raise vos_zoo.MaskError(
                    f"{name} does not say which frame it belongs to: with several masks, name each after its frame, counted from 0, as in "
                    "00030.png"
                )
            at = int(numbers[-1])
        if not 0 <= at < clip.frames:
            raise vos_zoo.MaskError(f"{name} is for frame {at}, but the clip's frames are 0 to {clip.frames - 1}: choose one of those")
        if at in found:
            raise vos_zoo.MaskError(f"{name} is the second mask for frame {at}: give one a frame")
        found[at] = Mark.of_file(_read(source, name, clip, limits, exact))
    return found


def _images(path: str, most: int) -> list[tuple[str, Any]]:
    """(name, what vos_zoo.read_mask takes) of a file, or of each image in a zip, which holds at most so many."""
    name = Path(path).name
    if not name.lower().endswith(".zip"):
        return [(name, path)]
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if each.filename.lower().endswith((".png", ".bmp", ".gif", ".webp"))]
            if not inside or len(inside) > most or sum(each.file_size for each in inside) > LARGEST_ZIP:
                raise vos_zoo.MaskError(
                    f"{name} holds no masks, more than {most}, or far too large ones: put indexed PNGs into it, named after their frames"
                )
            if any(each.compress_type not in METHODS for each in inside):
                raise vos_zoo.MaskError(f"{name} is packed by a method that this page does not read: make the zip again, of indexed PNGs")
            return [(Path(each.filename).name, Image.open(io.BytesIO(_unpacked(archive, each)))) for each in inside]
    except vos_zoo.MaskError:
        raise
    except UNREADABLE as error:
        raise vos_zoo.MaskError(f"{name} can't be read ({error}): make the zip again, of indexed PNGs") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """No more than it claims."""
    with archive.open(member) as file:
        return file.read(member.file_size)


def _read(source: Any, name: str, clip: Clip, limits: Limits, exact: bool) -> np.ndarray:
    wanted = f"far more than the clip's {clip.width} x {clip.height}: save it in the clip's size"
    if not isinstance(source, str) and max(source.size) > 2 * limits.side:
        raise vos_zoo.MaskError(f"{name} is {source.width} x {source.height} pixels, {wanted}")
    if isinstance(source, str):
        refuse_giants(source, name, 2 * limits.side, vos_zoo.MaskError, wanted)
    with told_by_name(source) if isinstance(source, str) else contextlib.nullcontext():
        masks = vos_zoo.read_mask(source, name=name)
    height, width = masks.labels.shape
    if abs(width * clip.height - height * clip.width) > 0.02 * width * clip.height:
        raise vos_zoo.MaskError(
            f"{name} is {width} x {height} pixels and the clip {clip.width} x {clip.height}, another shape: make the mask from one of the "
            "clip's frames"
        )
    if exact and (height, width) != clip.size:
        raise vos_zoo.MaskError(
            f"{name} is {width} x {height} pixels and the clip {clip.width} x {clip.height}: scale it to the clip's size"
        )
    if len(masks.ids) > limits.objects:
        raise vos_zoo.MaskError(
            f"{name} holds {len(masks.ids)} objects; this page follows up to {limits.objects}. Is it a mask, with one number an object, "
            "and not a photo?"
        )
    return masks.labels if (height, width) == clip.size else shrink_labels(masks.labels, clip.size)


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) bool in another size, its edge smooth instead of in steps."""
    if mask.shape == size:
        return mask
    grown = Image.fromarray(mask.astype(np.uint8) * 255).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(grown) > 127


def encode_runs(labels: np.ndarray) -> list[int]:
    """Ids (h, w) row by row as [length, id, length, id, ...]."""
    flat = labels.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=flat.size)
    return np.stack([lengths, flat[starts]], 1).reshape(-1).astype(int).tolist()


def decode_runs(runs: Any, height: int, width: int) -> np.ndarray:
    """The ids (h, w) uint8 of `encode_runs`. ValueError if they are not of a picture of that size."""
    try:
        pairs = np.asarray(runs, np.int64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("the drawing can't be read") from error
    lengths, ids = pairs[:, 0], pairs[:, 1]
    if (
        (lengths < 0).any()
        or (lengths > height * width).any()
        or lengths.sum() != height * width
        or (ids < 0).any()
        or (ids > PAINTABLE).any()
    ):
        raise ValueError("the drawing can't be read")
    return np.repeat(ids, lengths).astype(np.uint8).reshape(height, width)
