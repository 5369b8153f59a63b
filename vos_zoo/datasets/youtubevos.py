"""YouTube-VOS's layout, as its training sets of 2018 and 2019 come, and hold-outs of them.

    ROOT/JPEGImages/<video>/00000.jpg, 00005.jpg, ...   every fifth frame, or all frames
    ROOT/Annotations/<video>/00000.png, 00005.png, ...  the true masks, on every fifth frame
    ROOT/meta.json    {"videos": {"<video>": {"objects": {"<id>": {"category": "person", "frames": ["00000", ...]}}}}}

Objects begin at different frames, each at the first that meta.json names for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vos_zoo.datasets.layouts import AnnotatedObject, ClipFolders
from vos_zoo.errors import DataError
from vos_zoo.system.file_order import natural_key

META = "meta.json"
_EXPECTED = 'expected {"videos": {NAME: {"objects": {ID: {"category": ..., "frames": [...]}}}}}'


def listed_videos(root: Path, subset: str = "") -> list[ClipFolders]:
    """The videos of meta.json with their objects, by name. A server scores the frames that meta.json names.

    Args:
        root: the folder that holds meta.json, or the one above it.
        subset: "valid", "test" ...: the folder below.

    Raises:
        DataError: meta.json is missing, or not as it should be.
    """
    if not (root / META).is_file() and (root / subset / META).is_file():
        root = root / subset
    meta = root / META
    if not meta.is_file():
        inside = [folder for folder in ("train", "valid") if (root / folder / META).is_file()]
        hint = f"; give {root / inside[0]}" if inside else "; give the folder that holds JPEGImages, Annotations and meta.json"
        raise DataError(f"{root} has no meta.json{hint}")
    return [
        ClipFolders(
            name,
            root / "JPEGImages" / name,
            root / "Annotations" / name,
            _objects(objects, f"{meta}: video {name!r}"),
            submitted=tuple(sorted({str(frame) for each in objects.values() for frame in each["frames"]}, key=natural_key)),
        )
        for name, objects in sorted(_videos(meta).items())
    ]


def all_videos(root: Path) -> list[ClipFolders]:
    """Every folder of JPEGImages, and what meta.json names beside them, if there is one; by name.

    Raises:
        DataError: there is no video, or meta.json is not as it should be.
    """
    frames, meta = root / "JPEGImages", root / META
    names = {path.name for path in frames.iterdir() if path.is_dir()} if frames.is_dir() else set()
    if meta.is_file():
        names |= set(_videos(meta))
    if not names:
        raise DataError(
            f"{root} holds no clips as layout youtubevos has them: give the folder that holds JPEGImages and Annotations, for instance "
            "YouTube-VOS/train"
        )
    return [ClipFolders(name, frames / name, root / "Annotations" / name) for name in sorted(names)]


def categories(path: Path) -> set[str]:
    """The categories that a file names: one a line, or the meta.json of a training set.

    Raises:
        DataError: it names none.
    """
    if path.suffix.lower() == ".json":
        found = [about.get("category") for objects in _videos(path).values() for about in objects.values() if isinstance(about, dict)]
        named = {each for each in found if isinstance(each, str)}
    else:
        try:
            named = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} can't be read ({error}); it should hold a category a line") from error
    if not named:
        raise DataError(f"{path} names no category; it should hold one a line, or be the meta.json of the training set")
    return named


def _videos(meta: Path) -> dict[str, dict[str, Any]]:
    """Video -> object id, as written -> what is said of it."""
    try:
        told = json.loads(meta.read_text(encoding="utf-8"))
        videos = {str(name): dict(about["objects"]) for name, about in told["videos"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{meta} is not as YouTube-VOS has it ({type(error).__name__}: {error}); {_EXPECTED}") from error
    empty = [name for name, objects in videos.items() if not objects]
    if not videos or empty:
        what = f"object of video {empty[0]!r}" if videos else "video"
        raise DataError(f"{meta} names no {what}; take it out, or complete the file")
    return videos


def _objects(objects: dict[str, Any], where: str) -> dict[int, AnnotatedObject]:
    found = {}
    for key, about in objects.items():
        frames = about.get("frames") if isinstance(about, dict) else None
        if not (key.isdecimal() and len(key) < 10 and int(key) > 0) or not isinstance(frames, list) or not frames:
            raise DataError(
                f'{where}, object {key!r} needs a whole number as its id and "frames", the names of its frames; it is given in the first'
            )
        category = about.get("category")
        found[int(key)] = AnnotatedObject(min(map(str, frames), key=natural_key), category if isinstance(category, str) else None)
    return found
