"""The clips of a training data set, frame by frame with their masks. Where they lie is told by vos_zoo.datasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vos_zoo.datasets.layouts import ClipFolders, davis, plain_folder
from vos_zoo.datasets.matching import mask_files, match_masks, unread_masks
from vos_zoo.datasets.youtubevos import all_videos
from vos_zoo.errors import DataError
from vos_zoo.system.file_order import told_order
from vos_zoo.train.sources.pictures import images_in
from vos_zoo.train.sources.problems import Problems


@dataclass(frozen=True)
class ClipFiles:
    """A clip's annotated frames, in order, each with its mask."""

    name: str
    folder: Path  # of the frames: what messages name
    pairs: tuple[tuple[Path, Path], ...]
    merged: bool = False  # all objects count as one (DAVIS-2016)


LAYOUTS: dict[str, Callable[[Path, str], list[ClipFolders]]] = {
    "folder": lambda root, subset: plain_folder(root),
    "davis2016": lambda root, subset: davis(root, "2016", subset),
    "davis2017": lambda root, subset: davis(root, "2017", subset),
    "youtubevos": lambda root, subset: all_videos(root),
}
MERGED = {"davis2016"}


def find_clips(layout: str, root: str | Path, problems: Problems, subset: str = "train") -> list[ClipFiles]:
    """The clips of a data set on disk.

    Args:
        layout: one of
            folder: ROOT/<clip>/frames and ROOT/<clip>/masks, matched by name or number; only some frames need a mask;
            davis2016: the DAVIS release, the clips of its 2016 list `subset`, all objects merged into one;
            davis2017: the same, of its 2017 list, every object by itself;
            youtubevos: JPEGImages/<clip> and Annotations/<clip>, as the training sets of 2018 and 2019 come; meta.json is optional.
        root: the folder of the data set.
        problems: takes what is wrong with single clips.
        subset: which list of a DAVIS release.

    Raises:
        DataError: there is no such layout, no such folder, or no clip in it.
    """
    root = Path(root).expanduser()
    if layout not in LAYOUTS:
        raise DataError(f"a source's layout is {layout!r}, not one of {', '.join(LAYOUTS)}")
    if not root.is_dir():
        raise DataError(f"there is no folder {root} to take clips from")
    return [files_of(clip.name, clip.frames, clip.masks, problems, layout in MERGED) for clip in LAYOUTS[layout](root, subset)]


def files_of(name: str, frames: Path, masks: Path, problems: Problems, merged: bool = False) -> ClipFiles:
    """A clip's pairs. Problems: no frame, no mask, a mask without a frame, a second mask of a frame."""
    images, annotated = told_order(images_in(frames), f"the clip {frames}"), mask_files(masks)
    matched = match_masks([image.stem for image in images], annotated)
    for mask in unread_masks([image.stem for image in images], masks):
        problems.add(mask, "a mask of a kind that is not read; save it as an indexed PNG")
    for mask in matched.strays:
        problems.add(mask, f"a mask without a frame; {frames} holds no image of that name or number")
    for index, first, second in matched.doubles:
        problems.add(second, f"a second mask of {images[index].name}, beside {first.name}; take one of them out")
    pairs = tuple((images[index], mask) for index, mask in matched.by_frame.items())
    if not images:
        problems.add(frames, "an empty clip: no image in it")
    elif not annotated:
        problems.add(masks, "a clip without masks; at least two frames need one")
    elif len(pairs) == 1:
        problems.add(masks, "only one annotated frame; at least two are needed")
    return ClipFiles(name, frames, pairs, merged)
