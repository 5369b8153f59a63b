"""Data sets to score on: which frames of their clips have a true mask, and what its values mean.

    clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])
    clips[0].truth(0)          # (H, W) ids

A new data set is a function in vos_zoo.datasets from a root folder to clips, named in LAYOUTS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from vos_zoo.datasets.layouts import ClipFolders, davis, plain_folder
from vos_zoo.datasets.matching import FrameIndex, mask_files, match_masks
from vos_zoo.datasets.youtubevos import META, categories, listed_videos
from vos_zoo.errors import DataError, EvaluationError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.videos.video import open_video

YOUTUBEVOS = "youtubevos"


def load_dataset(spec: str, *, only: str | Iterable[str] | None = None, subset: str = "val", seen: str | Path | None = None) -> list[Clip]:
    """The clips of a data set on disk, by name.

    Args:
        spec: "LAYOUT:ROOT". Layouts:
            folder: ROOT/<clip>/frames/*.jpg|png|webp and ROOT/<clip>/masks/*.png, of some frames or of all,
                matched by file name (00012.jpg and 00012.png) or by number (12.jpg and 00012.png);
            folder-unsupervised: the same, for a model that is given no mask and finds the objects itself;
            davis2016: the DAVIS release, `subset` of 2016, all objects merged into one; also the release of 2016 by itself;
            davis2017: the DAVIS release, `subset` of 2017, every object by itself;
            davis2017-unsupervised: the same videos with Annotations_unsupervised; a model is given no mask;
            youtubevos: JPEGImages, Annotations and meta.json of a hold-out whose every annotated frame has its true mask.
        only: names or glob patterns ("dogs-*") of the clips wanted; every one must match some clip.
        subset: "val", "train" ...: the list of names in ImageSets that DAVIS layouts follow.
        seen: for youtubevos, the categories that were trained on: a file with one a line, or the meta.json of the training set.
            Default: ROOT/seen.txt, else all count as seen.

    Returns:
        The clips, in the data set's order.

    Raises:
        EvaluationError: the spec, a folder, a clip or a pattern finds nothing, or masks fit no frame.

    Example:
        >>> clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])  # doctest: +SKIP
    """
    layout, separator, root_name = spec.partition(":")
    if not separator or layout not in LAYOUTS or not root_name:
        raise EvaluationError(f"data set {spec!r} is not LAYOUT:ROOT with LAYOUT one of {', '.join(sorted(LAYOUTS))}")
    root = Path(root_name).expanduser()
    if not root.is_dir():
        raise EvaluationError(f"data set {spec!r}: there is no folder {root}")
    if seen is not None and layout != YOUTUBEVOS:
        raise EvaluationError(f"seen categories are for the layout youtubevos, and this data set is {spec!r}: leave them out")
    try:
        found = LAYOUTS[layout].find(root, subset)
        trained = _trained(root, seen, found) if layout == YOUTUBEVOS else None
    except DataError as error:
        raise EvaluationError(str(error)) from error
    names = _select([clip.name for clip in found], only, spec)
    return [clip_of(clip, LAYOUTS[layout].rules, trained) for clip in found if clip.name in names]


@dataclass(frozen=True)
class Layout:
    """How a data set is read: where its clips lie, and what its masks mean."""

    find: Callable[[Path, str], list[ClipFolders]]  # (root, subset) -> clips
    rules: Mapping[str, bool] = field(default_factory=dict)  # fields of Clip


LAYOUTS = {
    "folder": Layout(lambda root, subset: plain_folder(root)),
    "folder-unsupervised": Layout(lambda root, subset: plain_folder(root), {"unsupervised": True}),
    "davis2016": Layout(lambda root, subset: davis(root, "2016", subset), {"indices": True, "merged": True}),
    "davis2017": Layout(lambda root, subset: davis(root, "2017", subset), {"indices": True, "numbered": True}),
    "davis2017-unsupervised": Layout(
        lambda root, subset: davis(root, "2017", subset, unsupervised=True), {"indices": True, "numbered": True, "unsupervised": True}
    ),
    YOUTUBEVOS: Layout(lambda root, subset: listed_videos(root), {"indices": True}),
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


def clip_of(folders: ClipFolders, rules: Mapping[str, bool], trained: set[str] | None = None) -> Clip:
    """The Clip that lies there.

    Args:
        folders: where.
        rules: fields of Clip that the layout sets.
        trained: the categories that were trained on; None: all.

    Raises:
        EvaluationError: a folder is missing, a mask fits no frame, or an object has no mask where it begins.
    """
    for folder in (folders.frames, folders.masks):
        if not folder.is_dir():
            raise EvaluationError(f"clip {folders.name!r}: there is no folder {folder}")
    with open_video(folders.frames) as video:
        names = tuple(video.frame_names or ())
    files = mask_files(folders.masks)
    if not files:
        raise EvaluationError(f"clip {folders.name!r}: {folders.masks} holds no .png")
    matched = match_masks(names, files)
    if matched.strays:
        raise EvaluationError(f"clip {folders.name!r}: {matched.strays[0]} fits no frame of {folders.frames} by name or number")
    if matched.doubles:
        index, first, second = matched.doubles[0]
        raise EvaluationError(f"clip {folders.name!r}: {first.name} and {second.name} are both frame {index}")
    starts = seen = None
    if folders.objects is not None:
        index_of = FrameIndex(names)
        starts = {k: _start(folders, k, each.first_frame, index_of, matched.by_frame) for k, each in folders.objects.items()}
        seen = {k: trained is None or each.category in trained for k, each in folders.objects.items()}
    return Clip(folders.name, folders.frames, matched.by_frame, names, starts=starts, seen=seen, **rules)


def _start(folders: ClipFolders, object_id: int, name: str, index_of: FrameIndex, masks: Mapping[int, Path]) -> int:
    index = index_of.find(name)
    if index is None or index not in masks:
        what = f"no frame of {folders.frames}" if index is None else f"without a mask in {folders.masks}"
        raise EvaluationError(f"clip {folders.name!r}: object {object_id} begins in frame {name!r} by meta.json, which is {what}")
    return index


def _trained(root: Path, seen: str | Path | None, clips: Iterable[ClipFolders]) -> set[str] | None:
    """The categories that were trained on; None where nobody says."""
    path = Path(seen).expanduser() if seen is not None else root / "seen.txt"
    if not path.is_file():
        if seen is not None:
            raise EvaluationError(f"there is no file {path} with the categories that were trained on")
        return None
    trained = categories(path)
    for clip in clips:
        for k, each in (clip.objects or {}).items():
            if each.category is None:
                raise EvaluationError(
                    f"{root / META}: video {clip.name!r}, object '{k}' has no \"category\", so it is neither seen nor unseen: add it, or "
                    "leave out which are seen"
                )
    return trained
