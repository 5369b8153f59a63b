"""Data sets to score on: where the clips lie, which frames have a true mask, what its values mean.

    clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])
    clips[0].truth(0)          # (H, W) ids

A new data set is one function from a root folder to clips, named in LAYOUTS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_zoo.errors import EvaluationError
from vos_zoo.io.masks import read_mask
from vos_zoo.io.video import open_video


@dataclass(frozen=True)
class Clip:
    """A video and its true masks on some or all of its frames."""

    name: str
    video: Any  # whatever open_video takes
    masks: Mapping[int, Any]  # frame index -> whatever read_mask takes, most often a path
    frame_names: tuple[str, ...] | None = None  # stems of the frames' files, by which saved results are found
    merged: bool = False  # all objects are one, id 1, as in DAVIS-2016

    def __post_init__(self) -> None:
        if not self.masks:
            raise EvaluationError(f"clip {self.name!r} has no true mask; give that of its first frame at least")

    @property
    def annotated(self) -> list[int]:
        """The frames that have a true mask, ascending."""
        return sorted(self.masks)

    @property
    def first(self) -> int:
        """The frame whose true mask is given to the model."""
        return min(self.masks)

    def truth(self, index: int) -> NDArray[np.int32]:
        """True labels (H, W) of an annotated frame: 0 background, void already made background.

        Raises: EvaluationError if that frame has no true mask; MaskError if the mask can't be read.
        """
        if index not in self.masks:
            raise EvaluationError(f"clip {self.name!r} has no true mask for frame {index}; see Clip.annotated")
        return self.read(self.masks[index], name=f"true mask of {self.name!r}, frame {index}")

    def read(self, source: Any, name: str) -> NDArray[np.int32]:
        """A mask, true or predicted, as labels (H, W) of this clip; where objects are merged, 255 is one too.

        Integer arrays are ids as they stand, everything else is what `read_mask` makes of it.
        Raises: MaskError if it can't be read.
        """
        if isinstance(source, np.ndarray) and source.dtype.kind in "iu":
            labels = source.astype(np.int32)
        else:
            labels = read_mask(source, allow_empty=True, name=name).labels
        if not self.merged:
            return labels
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".png":
            with Image.open(source) as image:
                if image.mode == "P":
                    labels = np.asarray(image)
        return (labels != 0).astype(np.int32)

    def frame_name(self, index: int) -> str:
        """The stem under which the mask of that frame is saved."""
        return self.frame_names[index] if self.frame_names else f"{index:05d}"


def load_dataset(spec: str, *, only: str | Iterable[str] | None = None, subset: str = "val") -> list[Clip]:
    """The clips of a data set on disk, by name.

    Args: spec: "LAYOUT:ROOT". Layouts:
            folder: ROOT/<clip>/frames/*.jpg|png|webp and ROOT/<clip>/masks/*.png, of some frames or of all,
                matched by file name (00012.jpg and 00012.png) or by number (12.jpg and 00012.png);
            davis2016: the DAVIS release at 480p, `subset` of 2016, all objects merged into one;
            davis2017: the DAVIS release at 480p, `subset` of 2017, every object by itself;
        only: names or glob patterns ("dogs-*") of the clips wanted; every one must match some clip;
        subset: "val", "train" ...: the list of names in ImageSets that DAVIS layouts follow.
    Raises: EvaluationError if the spec, a folder, a clip or a pattern finds nothing, or masks fit no frame.
    """
    layout, separator, root_name = spec.partition(":")
    if not separator or layout not in LAYOUTS or not root_name:
        raise EvaluationError(f"data set {spec!r} is not LAYOUT:ROOT with LAYOUT one of {', '.join(sorted(LAYOUTS))}")
    root = Path(root_name).expanduser()
    if not root.is_dir():
        raise EvaluationError(f"data set {spec!r}: there is no folder {root}")
    found = LAYOUTS[layout](root, subset)
    names = _select([place.name for place in found], only, spec)
    return [_clip(place) for place in found if place.name in names]


@dataclass(frozen=True)
class _Place:
    name: str
    frames: Path
    masks: Path
    merged: bool = False


def _folder(root: Path, subset: str) -> list[_Place]:
    folders = sorted(path for path in root.iterdir() if (path / "frames").is_dir() and (path / "masks").is_dir())
    if not folders:
        raise EvaluationError(f"{root} holds no clips: expected {root}/<clip>/frames/*.jpg and .../<clip>/masks/*.png")
    return [_Place(path.name, path / "frames", path / "masks") for path in folders]


def _davis(year: str) -> Callable[[Path, str], list[_Place]]:
    def places(root: Path, subset: str) -> list[_Place]:
        listing = root / "ImageSets" / year / f"{subset}.txt"
        if not listing.is_file():
            raise EvaluationError(
                f"{root} has no {listing.relative_to(root)}; give the folder of the DAVIS release that holds "
                "JPEGImages, Annotations and ImageSets, or use the layout 'folder'"
            )
        names = listing.read_text().split()
        if not names:
            raise EvaluationError(f"{listing} is empty; it should name a sequence a line")
        frames, masks = root / "JPEGImages" / "480p", root / "Annotations" / "480p"
        return [_Place(name, frames / name, masks / name, merged=year == "2016") for name in names]

    return places


LAYOUTS: dict[str, Callable[[Path, str], list[_Place]]] = {
    "folder": _folder,
    "davis2016": _davis("2016"),
    "davis2017": _davis("2017"),
}


def _select(names: list[str], only: str | Iterable[str] | None, spec: str) -> set[str]:
    if only is None:
        return set(names)
    selected: set[str] = set()
    for pattern in [only] if isinstance(only, str) else only:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise EvaluationError(f"no clip of {spec!r} is called {pattern!r}; there are: {some}")
        selected |= matches
    return selected


def _clip(place: _Place) -> Clip:
    for folder in (place.frames, place.masks):
        if not folder.is_dir():
            raise EvaluationError(f"clip {place.name!r}: there is no folder {folder}")
    with open_video(place.frames) as video:
        names = tuple(video.frame_names or ())
    files = sorted(path for path in place.masks.iterdir() if path.suffix.lower() == ".png")
    if not files:
        raise EvaluationError(f"clip {place.name!r}: {place.masks} holds no .png")
    index_of: dict[str | int, int] = {int(name): index for index, name in enumerate(names) if name.isdecimal()}
    index_of.update({name: index for index, name in enumerate(names)})
    masks: dict[int, Path] = {}
    for file in files:
        index = index_of.get(file.stem, index_of.get(int(file.stem)) if file.stem.isdecimal() else None)
        if index is None:
            raise EvaluationError(f"clip {place.name!r}: {file} fits no frame of {place.frames} by name or number")
        if index in masks:
            raise EvaluationError(f"clip {place.name!r}: {masks[index].name} and {file.name} are both frame {index}")
        masks[index] = file
    return Clip(place.name, place.frames, masks, names, place.merged)
