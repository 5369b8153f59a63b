"""The result of a propagation: the masks of all frames, stored small, and what is known of each object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.packing import id_type, pack, unpack
from vos_zoo.masks.read import LARGEST_ID

Style = Literal["overlay", "side-by-side", "mask"]


class _Frame(NamedTuple):
    packed: bytes
    area: Mapping[int, int]  # pixels of each id that has some
    confidence: Mapping[int, float]
    lost: frozenset[int]


class MaskSequence(Sequence[np.ndarray]):
    """Masks of T frames with K objects: a sequence of (H, W) maps of ids, 0 = background.

    Masks are held as compressed run lengths, some kB a frame, and unpacked when read: `masks[i]` is a new
    array each time, uint8 if all ids are below 255, else int32. `numpy.asarray(masks)` is (T, H, W).
    `masks[a:b]` is a MaskSequence which shares the stored frames. Two sequences are equal if size, ids, masks
    and computed are.

    Args:
        size: (H, W) of the masks in pixels.
        object_ids: ids known from the start, also if they have no pixel; more may come with the masks.
        fps: frames a second, None if unknown.
        frame_names: names of the frames without suffix, under which `save` writes them.
        first_frame, frame_step: index in the video of the frame of mask 0, and from one mask to the next.
            Slices set them, and the savers go by them.
    """

    def __init__(
        self,
        size: tuple[int, int],
        object_ids: Iterable[int] = (),
        *,
        fps: float | None = None,
        frame_names: Sequence[str] | None = None,
        first_frame: int = 0,
        frame_step: int = 1,
    ) -> None:
        height, width = (int(n) for n in size)
        if height < 1 or width < 1:
            raise MaskError(f"a mask must be at least 1x1 pixels, not {width}x{height} (width x height)")
        self.size = (height, width)
        self.fps = None if fps is None else float(fps)
        self.frame_names = None if frame_names is None else _checked_names(frame_names)
        self._ids: tuple[int, ...] = ()
        self._frames: list[_Frame | None] = []
        if not frame_step:
            raise MaskError("frame_step must not be 0: give 1 if there is a mask for every frame")
        self._start, self._step = int(first_frame), int(frame_step)
        self._add_ids(object_ids)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The K ids, ascending; the columns of `confidence`, `lost` and `area`."""
        return self._ids

    @property
    def frame_indices(self) -> range:
        """For each mask the index of its frame in the video."""
        return range(self._start, self._start + self._step * len(self), self._step)

    @property
    def confidence(self) -> np.ndarray:
        """(T, K) float32, NaN where unknown."""
        return self._table(np.nan, np.float32, lambda frame: frame.confidence.items())

    @property
    def lost(self) -> np.ndarray:
        """(T, K) bool: the object was out of sight or given up in that frame."""
        return self._table(False, np.bool_, lambda frame: ((i, True) for i in frame.lost))

    @property
    def area(self) -> np.ndarray:
        """(T, K) int64: pixels of each object in each frame."""
        return self._table(0, np.int64, lambda frame: frame.area.items())

    @property
    def computed(self) -> np.ndarray:
        """(T,) bool: False where no mask was set; such a mask reads as all background."""
        return np.array([frame is not None for frame in self._frames], dtype=bool)

    @property
    def complete(self) -> bool:
        """Whether every frame up to the last one has been computed."""
        return all(frame is not None for frame in self._frames)

    @property
    def nbytes(self) -> int:
        """Bytes which the compressed masks take."""
        return sum(len(frame.packed) for frame in self._frames if frame is not None)

    def append(self, labels: np.ndarray, *, confidence: Mapping[int, float] | None = None, lost: Iterable[int] = ()) -> None:
        """Adds the next frame.

        Args:
            labels: (H, W) integer ids, 0 = background; ids not seen so far are added to `object_ids`.
            confidence: id -> 0..1; ids left out are unknown.
            lost: ids which are out of sight in this frame.

        Raises:
            MaskError: another size, not whole numbers, or ids which are negative or above 2**31 - 1.
        """
        self.set(len(self._frames), labels, confidence=confidence, lost=lost)

    def set(
        self,
        index: int,
        labels: np.ndarray,
        *,
        confidence: Mapping[int, float] | None = None,
        lost: Iterable[int] = (),
    ) -> None:
        """Sets or replaces frame `index` (0 or more); frames skipped on the way count as not computed.

        Arguments and errors as in `append`.
        """
        if index < 0:
            raise IndexError(f"frame {index}: set() counts frames from 0")
        labels = np.asarray(labels)
        if labels.shape != self.size:
            raise MaskError(
                f"a mask of shape {labels.shape} does not belong to this sequence, whose masks are "
                f"{self.size} (height, width): scale it first, by nearest neighbour"
            )
        packed, area = pack(labels)
        scores = {int(i): float(score) for i, score in (confidence or {}).items()}
        frame = _Frame(packed, area, scores or _NOTHING, frozenset(int(i) for i in lost))
        self._add_ids([*area, *scores, *frame.lost])
        self.reserve(index + 1)
        self._frames[index] = frame

    def reserve(self, length: int) -> None:
        """Makes the sequence at least `length` frames long; frames added count as not computed until they are
        set."""
        self._frames.extend([None] * (length - len(self._frames)))

    def mask_of(self, index: int, object_id: int) -> np.ndarray:
        """The mask (H, W) bool of one object in frame `index`.

        Raises:
            MaskError: there is no such object in the sequence.
        """
        if object_id not in self._ids:
            raise MaskError(f"there is no object {object_id} in these masks; their ids are {_listed(self._ids)}")
        return self[index] == object_id

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> MaskSequence: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | MaskSequence:
        if isinstance(index, slice):
            return self._part(index)
        frame = self._frames[index]
        dtype = id_type(self._ids)
        if frame is None:
            return np.zeros(self.size, dtype=dtype)
        return unpack(frame.packed, self.size).astype(dtype, copy=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("masks are stored compressed: an array of them is always a copy")
        stack = np.zeros((len(self), *self.size), dtype=id_type(self._ids) if dtype is None else dtype)
        for index, labels in enumerate(self):
            stack[index] = labels
        return stack

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskSequence):
            return NotImplemented
        mine = [frame and frame.packed for frame in self._frames]
        theirs = [frame and frame.packed for frame in other._frames]
        return self.size == other.size and self._ids == other._ids and mine == theirs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        facts = [
            f"{len(self)} frames",
            f"{self.size[1]}x{self.size[0]}",
            f"ids {_listed(self._ids)}" if self._ids else "no objects",
        ]
        if self.fps is not None:
            facts.append(f"{self.fps:g} fps")
        missing = len(self) - int(self.computed.sum())
        if missing:
            facts.append(f"{missing} not computed")
        return f"MaskSequence({', '.join(facts)})"

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes one PNG a frame and sequence.json (ids, fps, confidence, lost) into a folder; returns its
        path.

        PNGs are indexed with the DAVIS palette, or 16-bit grey if an id is above 254 (255 means void in
        indexed ones). They are called like the frames, or 00000.png, 00001.png, ... by the frame's number in
        the video.

        Raises:
            SaveError: the folder exists (see `overwrite`: replaces a folder of masks, and nothing else), the
                disk is full, an id is above 65535, or there are no frames. Nothing half-written is left.
        """
        from vos_zoo.masks.folder import save_folder

        return save_folder(self, folder, overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> MaskSequence:
        """Reads what `save` wrote, or any folder of mask PNGs (in order of their names).

        Raises:
            MaskError: no such folder, no masks in it, a damaged file, or masks of different sizes.
        """
        from vos_zoo.masks.folder import load_folder

        return load_folder(folder)

    def save_zip(self, path: str | os.PathLike[str]) -> Path:
        """Writes what `save` writes into one zip file; an older file at `path` is replaced."""
        from vos_zoo.masks.folder import save_zip

        return save_zip(self, path)

    def save_video(
        self,
        path: str | os.PathLike[str],
        video: Any,
        *,
        style: Style = "overlay",
        fps: float | None = None,
        alpha: float = 0.5,
    ) -> Path:
        """Draws the masks on their video, frame by frame in constant memory, and writes a video file.

        Args:
            path: the file to write, e.g. out.mp4; an older one is replaced.
            video: the video that the masks were made from, in any form `open_video` takes.
            style: "overlay"; "side-by-side" (video left, overlay right); "mask" (palette colours on black).
            fps: frames a second; default: the sequence's, else the video's, else 25.
            alpha: opacity of the tint, 0..1.

        Raises:
            MaskError: frames and masks differ in size; SaveError: the file can't be written.
        Warns:
            VosZooWarning: the video has fewer or more frames than there are masks.
        """
        from vos_zoo.masks.export import save_video

        return save_video(self, path, video, style=style, fps=fps, alpha=alpha)

    def save_cutouts(
        self,
        path: str | os.PathLike[str],
        video: Any,
        ids: Iterable[int] | None = None,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Writes one RGBA PNG a computed frame into a folder: the objects `ids` (default all), all else transparent."""
        from vos_zoo.masks.export import save_cutouts

        return save_cutouts(self, path, video, ids, overwrite=overwrite)

    def save_coco(self, path: str | os.PathLike[str]) -> Path:
        """Writes a COCO JSON: an image a computed frame, and for each object seen in it an annotation with an RLE.

        The id is the annotation's `track_id`, its category is 1 ("object"), its confidence, if known, the
        `score`.
        """
        from vos_zoo.masks.coco import save_coco

        return save_coco(self, path)

    def to_supervision(self, index: int) -> Any:
        """The objects seen in frame `index` as `supervision.Detections` (boxes, masks, ids as tracker_id).

        Raises:
            VosZooError: supervision is not installed.
        """
        from vos_zoo.masks.detections import to_supervision

        return to_supervision(self, index)

    def _add_ids(self, ids: Iterable[int]) -> None:
        new = {int(i) for i in ids}.difference(self._ids)
        if new:
            wrong = [i for i in new if not 1 <= i <= LARGEST_ID]
            if wrong:
                raise MaskError(f"{wrong[0]} can't be the id of an object: ids go from 1 to {LARGEST_ID}")
            self._ids = tuple(sorted(new.union(self._ids)))

    def _part(self, index: slice) -> MaskSequence:
        start, stop, step = index.indices(len(self))
        fps = None if self.fps is None else self.fps / abs(step)
        names = None
        if self.frame_names is not None:
            names = [self.frame_names[i] for i in range(start, stop, step) if i < len(self.frame_names)]
        part = MaskSequence(
            self.size,
            self._ids,
            fps=fps,
            frame_names=names,
            first_frame=self._start + start * self._step,
            frame_step=self._step * step,
        )
        part._frames = self._frames[index]
        return part

    def _table(self, empty: Any, dtype: Any, items: Any) -> np.ndarray:
        table = np.full((len(self), len(self._ids)), empty, dtype=dtype)
        column = {object_id: k for k, object_id in enumerate(self._ids)}
        for row, frame in enumerate(self._frames):
            if frame is not None:
                for object_id, value in items(frame):
                    table[row, column[object_id]] = value
        return table


_NOTHING: Mapping[int, float] = {}


def _checked_names(names: Sequence[str]) -> list[str]:
    checked = [str(name) for name in names]
    for name in checked:
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise MaskError(f"{name!r} can't name a frame: names become file names, without folders")
    if len(set(checked)) < len(checked):
        twice = next(name for name in checked if checked.count(name) > 1)
        raise MaskError(f"two frames are named {twice!r}: names must differ, since they become file names")
    return checked


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (f", ... ({len(ids)} in all)" if len(ids) > 8 else "") or "none"
