"""Where the clips of a data set lie: the published layouts of DAVIS and YouTube-VOS, and plain folders.

A new layout is one function from a root folder to clips' files, named in LAYOUTS.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vos_zoo.errors import DataError
from vos_zoo.train.sources.pictures import images_in, masks_in
from vos_zoo.train.sources.problems import Problems


@dataclass(frozen=True)
class ClipFiles:
    """A clip's annotated frames, in order, each with its mask."""

    name: str
    folder: Path  # of the frames: what messages name
    pairs: tuple[tuple[Path, Path], ...]
    merged: bool = False  # all objects count as one (DAVIS-2016)


def find_clips(layout: str, root: str | Path, problems: Problems, subset: str = "train") -> list[ClipFiles]:
    """The clips of a data set on disk.

    layout: folder       ROOT/<clip>/frames and ROOT/<clip>/masks, matched by stem; only some frames need a mask
            davis2016    the DAVIS release at 480p, the clips of its 2016 list `subset`, all objects merged into one
            davis2017    the same, of its 2017 list, every object by itself
            youtubevos   JPEGImages/<clip> and Annotations/<clip>, as the training sets of 2018 and 2019 come; meta.json is optional
    What is wrong with single clips goes to `problems`. DataError if the layout or the root is none.
    """
    root = Path(root).expanduser()
    if layout not in LAYOUTS:
        raise DataError(f"a source's layout is {layout!r}, not one of {', '.join(LAYOUTS)}")
    if not root.is_dir():
        raise DataError(f"there is no folder {root} to take clips from")
    found = LAYOUTS[layout](root, subset, problems)
    if not found:
        raise DataError(f"{root} holds no clips as layout {layout} has them: {LAYOUT_LOOKS[layout]}")
    return found


def files_of(name: str, frames: Path, masks: Path, problems: Problems, merged: bool = False) -> ClipFiles:
    """A clip's pairs. Problems: no frame, no mask, a mask without a frame."""
    images = {path.stem: path for path in images_in(frames)}
    annotated = masks_in(masks)
    for mask in annotated:
        if mask.stem not in images:
            problems.add(mask, f"a mask without a frame; {frames} holds no image of that name")
    pairs = tuple((images[mask.stem], mask) for mask in annotated if mask.stem in images)
    if not images:
        problems.add(frames, "an empty clip: no image in it")
    elif not annotated:
        problems.add(masks, "a clip without masks; at least two frames need one")
    elif len(pairs) == 1:
        problems.add(masks, "only one annotated frame; at least two are needed")
    return ClipFiles(name, frames, pairs, merged)


def _folder(root: Path, subset: str, problems: Problems) -> list[ClipFiles]:
    folders = sorted(p for p in root.iterdir() if (p / "frames").is_dir() and not p.name.startswith("."))
    return [files_of(p.name, p / "frames", p / "masks", problems) for p in folders]


def _davis(year: str, merged: bool) -> Callable[[Path, str, Problems], list[ClipFiles]]:
    def clips(root: Path, subset: str, problems: Problems) -> list[ClipFiles]:
        listing = root / "ImageSets" / year / f"{subset}.txt"
        if (
            not listing.is_file() and year == "2016"
        ):  # the release of 2016 by itself: a line is "/JPEGImages/480p/bear/00000.jpg /Annotations/..."
            listing = root / "ImageSets" / "480p" / f"{subset}.txt"
        if not listing.is_file():
            raise DataError(f"{root} has no {listing.relative_to(root)}; {LAYOUT_LOOKS['davis' + year]}")
        words = [line.split()[0] for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        names = list(dict.fromkeys(Path(word).parent.name if "/" in word else word for word in words))
        frames, masks = root / "JPEGImages" / "480p", root / "Annotations" / "480p"
        return [files_of(name, frames / name, masks / name, problems, merged) for name in names]

    return clips


def _youtubevos(root: Path, subset: str, problems: Problems) -> list[ClipFiles]:
    frames, masks = root / "JPEGImages", root / "Annotations"
    if not frames.is_dir():
        return []
    names = {p.name for p in frames.iterdir() if p.is_dir()}
    meta = root / "meta.json"
    if meta.is_file():
        try:
            listed = set(json.loads(meta.read_text(encoding="utf-8"))["videos"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f'{meta} is no meta.json of YouTube-VOS: expected {{"videos": {{...}}}}') from error
        for name in sorted(listed - names):
            problems.add(frames / name, "an empty clip: meta.json names it, but there are no frames")
    return [files_of(name, frames / name, masks / name, problems) for name in sorted(names)]


LAYOUTS: dict[str, Callable[[Path, str, Problems], list[ClipFiles]]] = {
    "folder": _folder,
    "davis2016": _davis("2016", merged=True),
    "davis2017": _davis("2017", merged=False),
    "youtubevos": _youtubevos,
}
LAYOUT_LOOKS = {
    "folder": "expected ROOT/<clip>/frames/*.jpg and ROOT/<clip>/masks/*.png",
    "davis2016": "give the folder of the DAVIS release that holds JPEGImages, Annotations and ImageSets",
    "davis2017": "give the folder of the DAVIS release that holds JPEGImages, Annotations and ImageSets",
    "youtubevos": "give the folder that holds JPEGImages and Annotations, for instance YouTube-VOS/train",
}
