"""Which mask file belongs to which frame: the one of the same name, else the one of the same number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vos_zoo.system.file_order import in_order

_NOT_READ = (".bmp", ".gif", ".jpg", ".jpeg", ".npy", ".tif", ".tiff", ".webp")


@dataclass
class MatchedMasks:
    """The mask files of a clip by the frames that they belong to."""

    by_frame: dict[int, Path] = field(default_factory=dict)  # index of the frame -> its mask, ascending
    strays: list[Path] = field(default_factory=list)  # fit no frame
    doubles: list[tuple[int, Path, Path]] = field(default_factory=list)  # the second mask of a frame: (index, first, second)


class FrameIndex:
    """Frames of a clip by the names of their files, without suffix."""

    def __init__(self, names: Sequence[str]):
        self._of: dict[str | int, int] = {int(name): index for index, name in enumerate(names) if name.isdecimal()}
        self._of.update({name: index for index, name in enumerate(names)})

    def find(self, name: str) -> int | None:
        """The index of the frame of this name, else of this number: "12" and "00012" are one. None: there is none."""
        return self._of.get(name, self._of.get(int(name)) if name.isdecimal() else None)


def mask_files(folder: Path) -> list[Path]:
    """The PNG files of a folder in order of time; none if there is no such folder. Hidden files don't count."""
    return in_order(path for path in folder.glob("*") if path.suffix.lower() == ".png" and not path.name.startswith("."))


def unread_masks(frames: Sequence[str], folder: Path) -> list[Path]:
    """What a folder of masks has for frames in kinds of files that are not read, where no PNG of that name lies beside it."""
    index_of, stems = FrameIndex(frames), {path.stem for path in mask_files(folder)}
    others = (path for path in folder.glob("*") if path.suffix.lower() in _NOT_READ and not path.name.startswith("."))
    return in_order(path for path in others if path.stem not in stems and index_of.find(path.stem) is not None)


def match_masks(frames: Sequence[str], masks: Sequence[Path]) -> MatchedMasks:
    """Finds the frame of every mask.

    Args:
        frames: the names of the frames' files without suffix, in order of time.
        masks: the mask files.

    Example:
        >>> match_masks(["8", "9", "10"], [Path("00009.png")]).by_frame
        {1: PosixPath('00009.png')}
    """
    index_of, found = FrameIndex(frames), MatchedMasks()
    for mask in masks:
        index = index_of.find(mask.stem)
        if index is None:
            found.strays.append(mask)
        elif index in found.by_frame:
            found.doubles.append((index, found.by_frame[index], mask))
        else:
            found.by_frame[index] = mask
    found.by_frame = dict(sorted(found.by_frame.items()))
    return found
