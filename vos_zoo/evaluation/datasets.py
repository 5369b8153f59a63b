"""Data sets to score on: which frames of their clips have a true mask, and what its values mean.

    clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])
    clips[0].truth(0)          # (H, W) ids

A new data set is a function in vos_zoo.datasets from a root folder to clips, named in FINDERS; what its masks mean stands in RULES.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vos_zoo.datasets.layouts import ClipFolders
from vos_zoo.datasets.matching import FrameIndex, mask_files, match_masks, unread_masks
from vos_zoo.datasets.named import FINDERS, YOUTUBEVOS, named
from vos_zoo.datasets.youtubevos import META, categories
from vos_zoo.errors import DataError, EvaluationError, MaskError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.presence import first_seen
from vos_zoo.masks.frames import object_folders
from vos_zoo.videos.video import open_video


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
            davis2017-full: the same as davis2017 at Full-Resolution;
            youtubevos: JPEGImages, Annotations and meta.json; a hold-out whose every annotated frame has its true mask, or a set without;
            mose, lvos: JPEGImages and Annotations, of MOSE 1 and 2, LVOS 1 and 2; objects begin at the first mask that shows them;
            sav: JPEGImages_24fps and Annotations_6fps of SA-V, a folder an object: 000/ is object 1;
            vipseg: imgs and panomasks of VIPSeg, every segment by itself.
            Of sets without truth, such as test-dev or valid, the clips have only the masks that are given, see `Clip.withheld`.
        only: names or glob patterns ("dogs-*") of the clips wanted; every one must match some clip.
        subset: "val", "train", "test-dev" ...: the list of names in ImageSets that DAVIS layouts follow; the folder below ROOT of
            the others, where there is one.
        seen: for youtubevos, the categories that were trained on: a file with one a line, or the meta.json of the training set.
            Default: ROOT/seen.txt, else all count as seen.

    Returns:
        The clips, in the data set's order.

    Raises:
        EvaluationError: the spec, a folder, a clip or a pattern finds nothing, or masks fit no frame.

    Example:
        >>> clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])  # doctest: +SKIP
    """
    known = named(spec)
    if known is None:
        raise EvaluationError(f"data set {spec!r} is not LAYOUT:ROOT with LAYOUT one of {', '.join(sorted(FINDERS))}")
    layout, root = known
    if not root.is_dir():
        raise EvaluationError(f"data set {spec!r}: there is no folder {root}")
    if seen is not None and layout != YOUTUBEVOS:
        raise EvaluationError(f"seen categories are for the layout youtubevos, and this data set is {spec!r}: leave them out")
    try:
        found = FINDERS[layout](root, subset)
        trained = _trained(root, seen, found) if layout == YOUTUBEVOS else None
    except DataError as error:
        raise EvaluationError(str(error)) from error
    names = _select([clip.name for clip in found], only, spec)
    return [clip_of(clip, RULES.get(layout, {"indices": True}), trained) for clip in found if clip.name in names]


RULES: dict[str, dict[str, bool]] = {  # layout -> fields of Clip; where it is not named, masks hold ids as they stand
    "folder": {},
    "folder-unsupervised": {"unsupervised": True},
    "davis2016": {"indices": True, "merged": True},
    "davis2017": {"indices": True, "numbered": True},
    "davis2017-full": {"indices": True, "numbered": True},
    "davis2017-unsupervised": {"indices": True, "numbered": True, "unsupervised": True},
    "sav": {},
    "vipseg": {"indices": True, "wide": True},
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
    masks = _masks(folders, names)
    starts = seen = None
    if folders.objects is not None:
        index_of = FrameIndex(names)
        starts = {k: _start(folders, k, each.first_frame, index_of, masks) for k, each in folders.objects.items()}
        seen = {k: trained is None or each.category in trained for k, each in folders.objects.items()}
    elif folders.late:
        try:
            starts = first_seen(masks, wide=bool(rules.get("wide")))
        except MaskError as error:
            raise EvaluationError(f"clip {folders.name!r}: {error}") from error
        if not starts:
            raise EvaluationError(f"clip {folders.name!r}: the masks in {folders.masks} show no object")
    return Clip(folders.name, folders.frames, masks, names, starts=starts, seen=seen, submitted=folders.submitted, **rules)


def _masks(folders: ClipFolders, names: Sequence[str]) -> dict[int, Any]:
    """Frame index -> its mask, ascending: a file, or {object id: file} where each object has a folder of its own."""
    if objects := object_folders(folders.masks):
        found: dict[int, dict[int, Path]] = {}
        for k, folder in objects.items():
            for index, path in _matched(folders, names, folder).items():
                found.setdefault(index, {})[k] = path
        return dict(sorted(found.items()))
    return dict(_matched(folders, names, folders.masks))


def _matched(folders: ClipFolders, names: Sequence[str], folder: Path) -> dict[int, Path]:
    files = mask_files(folder)
    if not files:
        raise EvaluationError(f"clip {folders.name!r}: {folder} holds no .png")
    if unread := unread_masks(names, folder):
        raise EvaluationError(f"clip {folders.name!r}: {unread[0]} is a mask of a kind that is not read: save it as an indexed PNG")
    matched = match_masks(names, files)
    if matched.strays:
        raise EvaluationError(f"clip {folders.name!r}: {matched.strays[0]} fits no frame of {folders.frames} by name or number")
    if matched.doubles:
        index, first, second = matched.doubles[0]
        raise EvaluationError(f"clip {folders.name!r}: {first.name} and {second.name} are both frame {index}")
    return matched.by_frame


def _start(folders: ClipFolders, object_id: int, name: str, index_of: FrameIndex, masks: Mapping[int, Any]) -> int:
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
