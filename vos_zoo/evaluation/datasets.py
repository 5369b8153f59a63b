"""Data sets to score on: where the clips lie, which frames have a true mask, what its values mean.

    clips = load_dataset("davis2017:/data/DAVIS", only=["dogs-*", "goat"])
    clips[0].truth(0)          # (H, W) ids

A new data set is one function from a root folder to clips, named in LAYOUTS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from vos_zoo.datasets.places import Place
from vos_zoo.datasets.youtubevos import youtubevos
from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.videos.video import open_video


def load_dataset(spec: str, *, only: str | Iterable[str] | None = None, subset: str = "val", seen: str | Path | None = None) -> list[Clip]:
    """The clips of a data set on disk, by name.

    Args: spec: "LAYOUT:ROOT". Layouts:
            folder: ROOT/<clip>/frames/*.jpg|png|webp and ROOT/<clip>/masks/*.png, of some frames or of all,
                matched by file name (00012.jpg and 00012.png) or by number (12.jpg and 00012.png);
            folder-unsupervised: the same, for a model that is given no mask and finds the objects itself;
            davis2016: the DAVIS release at 480p, `subset` of 2016, all objects merged into one;
            davis2017: the DAVIS release at 480p, `subset` of 2017, every object by itself;
            davis2017-unsupervised: the same videos with Annotations_unsupervised; a model is given no mask;
            youtubevos: JPEGImages, Annotations and meta.json of a hold-out whose every annotated frame has its true mask;
        only: names or glob patterns ("dogs-*") of the clips wanted; every one must match some clip;
        subset: "val", "train" ...: the list of names in ImageSets that DAVIS layouts follow;
        seen: for youtubevos, the categories that were trained on: a file with one a line, or the meta.json of the training set
            (default: ROOT/seen.txt, else all count as seen).
    Raises: EvaluationError if the spec, a folder, a clip or a pattern finds nothing, or masks fit no frame.
    """
    layout, separator, root_name = spec.partition(":")
    if not separator or layout not in LAYOUTS or not root_name:
        raise EvaluationError(f"data set {spec!r} is not LAYOUT:ROOT with LAYOUT one of {', '.join(sorted(LAYOUTS))}")
    root = Path(root_name).expanduser()
    if not root.is_dir():
        raise EvaluationError(f"data set {spec!r}: there is no folder {root}")
    if seen is not None and layout != "youtubevos":
        raise EvaluationError(f"seen categories are for the layout youtubevos, and this data set is {spec!r}: leave them out")
    options: dict[str, Any] = {"seen": seen} if layout == "youtubevos" else {"subset": subset}
    found = LAYOUTS[layout](root, **options)
    names = _select([place.name for place in found], only, spec)
    return [clip_of(place) for place in found if place.name in names]


def _folder(root: Path, *, subset: str, **rules: bool) -> list[Place]:
    folders = sorted(path for path in root.iterdir() if (path / "frames").is_dir() and (path / "masks").is_dir())
    if not folders:
        raise EvaluationError(f"{root} holds no clips: expected {root}/<clip>/frames/*.jpg and .../<clip>/masks/*.png")
    return [Place(path.name, path / "frames", path / "masks", dict(rules)) for path in folders]


def _davis(year: str, annotations: str = "Annotations", **rules: bool) -> Callable[..., list[Place]]:
    def places(root: Path, *, subset: str) -> list[Place]:
        unsupervised = rules.get("unsupervised", False)
        lists = "2019" if unsupervised and subset.startswith("test") else year
        listing = root / "ImageSets" / lists / f"{subset}.txt"
        if not listing.is_file():
            raise EvaluationError(
                f"{root} has no {listing.relative_to(root)}; give the folder of the DAVIS release that holds "
                f"JPEGImages, {annotations} and ImageSets, or use the layout 'folder'"
            )
        names = listing.read_text().split()
        if not names:
            raise EvaluationError(f"{listing} is empty; it should name a sequence a line")
        frames, masks = root / "JPEGImages" / "480p", root / annotations / "480p"
        if not masks.is_dir():
            hint = "; it comes with DAVIS-2017-Unsupervised-trainval-480p.zip" if unsupervised else ""
            raise EvaluationError(f"{root} has no {masks.relative_to(root)}, where the true masks lie{hint}")
        return [Place(name, frames / name, masks / name, {"indices": True, **rules}) for name in names]

    return places


LAYOUTS: dict[str, Callable[..., list[Place]]] = {
    "folder": _folder,
    "folder-unsupervised": partial(_folder, unsupervised=True),
    "davis2016": _davis("2016", merged=True),
    "davis2017": _davis("2017", numbered=True),
    "davis2017-unsupervised": _davis("2017", "Annotations_unsupervised", numbered=True, unsupervised=True),
    "youtubevos": youtubevos,
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


def clip_of(place: Place) -> Clip:
    """The Clip that lies there. EvaluationError names a folder that is missing and a mask that fits no frame."""
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
    starts = None if place.starts is None else {k: _start(place, k, name, index_of, masks) for k, name in place.starts.items()}
    return Clip(place.name, place.frames, masks, names, starts=starts, **place.rules)


def _start(place: Place, object_id: int, name: str, index_of: Mapping[str | int, int], masks: Mapping[int, Path]) -> int:
    index = index_of.get(name)
    if index is None or index not in masks:
        what = f"no frame of {place.frames}" if index is None else f"without a mask in {place.masks}"
        raise EvaluationError(f"clip {place.name!r}: object {object_id} begins in frame {name!r} by meta.json, which is {what}")
    return index
