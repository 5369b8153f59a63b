"""The masks of all frames, stored small, and what is known of each object: the data of a MaskSequence, below all that saves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.packing import LARGEST_ID, id_type, pack, unpack
from vos_zoo.system.limits import check_limit
from vos_zoo.system.shown import shown
from vos_zoo.system.values import as_number, entries, real, whole

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Self


class _Frame(NamedTuple):
    packed: bytes
    area: Mapping[int, int]  # pixels of each id that has some
    confidence: Mapping[int, float]
    lost: frozenset[int]


class StoredMasks(Sequence[np.ndarray]):
    """Masks of T frames with K objects: a sequence of (H, W) maps of ids, 0 = background.

    It holds them and tells what is in them. `MaskSequence` adds the ways in and out: files, videos, other libraries' forms.

    Args:
        size: (H, W) of the masks in pixels.
        object_ids: ids known from the start, also if they have no pixel; more may come with the masks.
        fps: frames a second, None if unknown.
        frame_names: names of the frames without suffix, under which they are saved.
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
        sides = entries(size, "size, (height, width),", MaskError)
        if len(sides) != 2:
            raise MaskError(f"size is (height, width) in pixels, not {shown(size)}")
        height, width = (whole(n, "a side of the masks", -(2**31), 2**31, MaskError) for n in sides)
        if height < 1 or width < 1:
            raise MaskError(f"a mask must be at least 1x1 pixels, not {width}x{height} (width x height)")
        self.size = (height, width)
        self.fps = None if fps is None else real(fps, "fps", error=MaskError)
        self.frame_names = None if frame_names is None else _checked_names(frame_names)
        self._ids: tuple[int, ...] = ()
        self._frames: list[_Frame | None] = []
        self._start = whole(first_frame, "first_frame", -LARGEST_ID, LARGEST_ID, MaskError)
        self._step = whole(frame_step, "frame_step", -LARGEST_ID, LARGEST_ID, MaskError)
        if not self._step:
            raise MaskError("frame_step must not be 0: give 1 if there is a mask for every frame")
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
        if isinstance(index, (int, np.integer)) and index < 0:
            raise IndexError(f"frame {index}: set() counts frames from 0")
        index = whole(index, "the number of a frame", 0, LARGEST_ID, MaskError)
        labels = _array(labels)
        if labels.shape != self.size:
            raise MaskError(
                f"a mask of shape {labels.shape} does not belong to this sequence, whose masks are "
                f"{self.size} (height, width): scale it first, by nearest neighbour"
            )
        packed, area = pack(labels)
        scores = _scores(confidence)
        gone = frozenset(_id(i) for i in entries(lost, "lost", MaskError))
        frame = _Frame(packed, area, scores or _NOTHING, gone)
        self._add_ids([*area, *scores, *frame.lost])
        self.reserve(index + 1)
        self._frames[index] = frame

    def reserve(self, length: int) -> None:
        """Makes the sequence at least `length` frames long; frames added count as not computed until they are
        set."""
        length = whole(length, "the length to reserve", -LARGEST_ID, LARGEST_ID, MaskError)
        if (more := length - len(self._frames)) > 1:
            check_limit("frames", more, "the gap in the sequence", MaskError)
        self._frames.extend([None] * more)

    def mask_of(self, index: int, object_id: int) -> np.ndarray:
        """The mask (H, W) bool of one object in frame `index`.

        Raises:
            MaskError: there is no such object in the sequence.
        """
        if not isinstance(object_id, (int, np.integer)) or object_id not in self._ids:
            raise MaskError(f"there is no object {shown(object_id)} in these masks; their ids are {_listed(self._ids)}")
        return self[whole(index, "the number of a frame", -LARGEST_ID, LARGEST_ID, MaskError)] == object_id

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Self:
        if isinstance(index, slice):
            return self._part(index)
        frame = self._frames[index]
        dtype = id_type(self._ids)
        if frame is None:
            return np.zeros(self.size, dtype=dtype)
        return unpack(frame.packed, self.size).astype(dtype, copy=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("masks are stored compressed: an array of them is always a copy")
        stack = np.zeros((len(self), *self.size), dtype=id_type(self._ids) if dtype is None else dtype)
        for index, labels in enumerate(self):
            stack[index] = labels
        return stack

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredMasks):
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
        return f"{type(self).__name__}({', '.join(facts)})"

    def _add_ids(self, ids: Iterable[int]) -> None:
        new = {_id(i) for i in entries(ids, "object_ids", MaskError)}.difference(self._ids)
        if new:
            self._ids = tuple(sorted(new.union(self._ids)))

    def _part(self, index: slice) -> Self:
        start, stop, step = index.indices(len(self))
        fps = None if self.fps is None else self.fps / abs(step)
        names = None
        if self.frame_names is not None:
            names = [self.frame_names[i] for i in range(start, stop, step) if i < len(self.frame_names)]
        part = type(self)(
            self.size,
            self._ids,
            fps=fps,
            frame_names=names,
            first_frame=self._start + start * self._step,
            frame_step=self._step * step,
        )
        part._frames = self._frames[index]
        return part

    def _table(self, empty: float, dtype: DTypeLike, items: Callable[..., Iterable[tuple[int, float]]]) -> np.ndarray:
        table = np.full((len(self), len(self._ids)), empty, dtype=dtype)
        column = {object_id: k for k, object_id in enumerate(self._ids)}
        for row, frame in enumerate(self._frames):
            if frame is not None:
                for object_id, value in items(frame):
                    table[row, column[object_id]] = value
        return table


def frame_files(masks: StoredMasks) -> list[str]:
    """File names without suffix: the frames' names, or their numbers in the video (five digits or more)."""
    names = masks.frame_names
    if names is not None and len(names) >= len(masks):
        return names[: len(masks)]
    return [f"{index:05d}" for index in masks.frame_indices]


_NOTHING: Mapping[int, float] = {}


def _id(value: object) -> int:
    number = value if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else as_number(value)
    if not (number == number and 1 <= number <= LARGEST_ID and number == int(number)):
        raise MaskError(f"{shown(value)} can't be the id of an object: ids go from 1 to {LARGEST_ID}")
    return int(number)


def _scores(confidence: Mapping[int, float] | None) -> dict[int, float]:
    """What is known of the objects, as plain numbers; NaN stays."""
    if confidence is None:
        return {}
    if not isinstance(confidence, Mapping):
        raise MaskError(f"confidence is {{id: 0..1}}, not {shown(confidence)}")
    return {_id(i): as_number(score) for i, score in confidence.items()}


def _array(labels: object) -> np.ndarray:
    try:
        return np.asarray(labels)
    except Exception as error:  # lists of lists that are not alike, tensors without values
        raise MaskError(f"labels are an (H, W) array of ids, and this can't be made one ({str(error)[:80]})") from error


def _checked_names(names: Sequence[str]) -> list[str]:
    checked = [str(name) for name in entries(names, "frame_names", MaskError)]
    for name in checked:
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise MaskError(f"{name!r} can't name a frame: names become file names, without folders")
    if len(set(checked)) < len(checked):
        twice = next(name for name in checked if checked.count(name) > 1)
        raise MaskError(f"two frames are named {twice!r}: names must differ, since they become file names")
    return checked


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (f", ... ({len(ids)} in all)" if len(ids) > 8 else "") or "none"
