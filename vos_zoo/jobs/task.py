"""One clip of many that are to be propagated: its video, its masks, the name of its result; and what can be checked before any work."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.masks.frames import mask_paths
from vos_zoo.system.file_order import in_order
from vos_zoo.videos.images import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Task:
    """A clip. It is handed to other processes and machines, so it holds paths only."""

    name: str  # of the folder of its result
    video: Path
    mask: Path | None = None  # of the first frame
    masks: Path | None = None  # a folder of later ones
    first_of: Path | None = None  # a folder of masks of which each object's first is given; instead of both
    origin: str = ""  # where it was named, "line 3"
    unclear: str = ""  # why no mask is known

    @property
    def has_mask(self) -> bool:
        return not (self.mask is None and self.masks is None and self.first_of is None)

    def absolute(self) -> Task:
        """With paths that hold in another folder."""
        given = (self.mask, self.masks, self.first_of)
        mask, masks, first_of = (None if path is None else Path(os.path.abspath(path)) for path in given)
        return replace(self, video=Path(os.path.abspath(self.video)), mask=mask, masks=masks, first_of=first_of)

    def digest(self) -> str:
        """Changes when its masks do, or the length of its video; not when all of it is moved."""
        state = hashlib.sha256(json.dumps(_measure(self.video)).encode())
        state.update(b"none" if self.mask is None else self.mask.read_bytes())
        for folder in (self.masks, self.first_of):
            for path in [] if folder is None else mask_paths(folder):
                state.update(path.name.encode() + path.read_bytes())
        return state.hexdigest()[:16]


class Problem(NamedTuple):
    """Why a clip can't be done."""

    who: str  # its name, or the line of the manifest
    what: str


@dataclass
class Found:
    """What a folder or a manifest holds."""

    kind: str  # "folder", "manifest" or "benchmark"
    tasks: list[Task] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was passed over


def checked(found: Found, *, finds_objects: bool, model: str, backward: bool = False) -> tuple[list[Task], list[Problem]]:
    """The clips that can be done, and all that is wrong with the others, as far as it shows without reading videos or masks.

    Args:
        finds_objects: the model needs no masks and takes none.
        backward: masks of later frames are needed.
    """
    if finds_objects and found.kind == "manifest" and any(task.has_mask for task in found.tasks):
        raise VosZooError(f"{model} finds the objects itself and takes no masks: leave mask and masks out of the manifest")
    wrong = {id(task): _all_wrong(task, finds_objects, backward) for task in found.tasks}
    for group in _same_names(found.tasks):
        for task in group:
            others = " and ".join(str(other.origin or other.video) for other in group if other is not task)
            wrong[id(task)].append(f"{others} would have the same result, {task.name}: give each a name of its own")
    problems = [Problem(_who(task), what) for task in found.tasks for what in wrong[id(task)]]
    good = [task for task in found.tasks if not wrong[id(task)]]
    if finds_objects:
        good = [Task(task.name, task.video, origin=task.origin) for task in good]
    return good, [*found.problems, *problems]


def _who(task: Task) -> str:
    return f"{task.origin}, {task.name}" if task.origin else task.name


def _all_wrong(task: Task, finds_objects: bool, backward: bool) -> list[str]:
    """What is wrong with a clip. A name that no file can have, or a folder that can't be looked into, is too: the other clips go on."""
    found = []
    try:
        for what in _wrong(task, finds_objects, backward):
            found.append(what)
    except (OSError, ValueError, RuntimeError) as error:
        found.append(f"can't be looked at ({getattr(error, 'strerror', None) or error}): check its paths and their permissions")
    return found


def _wrong(task: Task, finds_objects: bool, backward: bool) -> Iterator[str]:
    if not re.fullmatch(r"[^\\/\0:]+", task.name) or task.name.startswith(".") or task.name in ("run.json", "jobs.jsonl"):
        yield f"{task.name!r} can't be the name of a folder of results: use letters, digits, '.', '-' and '_', no dot at the beginning"
    yield from _wrong_video(task.video)
    if finds_objects:
        return
    if not task.has_mask:
        yield task.unclear or "no mask: give that of the first frame"
    if task.mask is not None and (what := _wrong_file(task.mask)):
        yield f"the mask {what}"
    for folder in (task.masks, task.first_of):
        if folder is not None:
            try:
                mask_paths(folder)
            except MaskError as error:
                yield str(error)
    if backward and task.masks is None:
        yield "direction='backward' has nothing to go back to: give a folder of later masks, column masks of a manifest"


def _wrong_video(video: Path) -> Iterator[str]:
    if video.is_dir():
        if not has_images(video):
            yield f"the folder {video} holds no images ({', '.join(IMAGE_SUFFIXES)}): give the folder that the frames lie in"
    elif what := _wrong_file(video):
        yield f"the video {what}"
    elif video.suffix.lower() in IMAGE_SUFFIXES:
        yield f"{video} is a single image: give the folder of the frames"


def _wrong_file(path: Path) -> str:
    if "://" in str(path) or re.match(r"\w+:/\w", str(path)):
        return f"{path} is an address: copy it here first, or where the machines that do the work can read it as a file"
    if path.is_dir():
        return f"{path} is a folder, and a file is needed"
    if not path.is_file():
        names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = get_close_matches(path.name, names, 1)
        return f"{path} does not exist" + (f": did you mean {guess[0]}?" if guess else "")
    if not path.stat().st_size:
        return f"{path} is an empty file"
    return ""


def _same_names(tasks: Iterable[Task]) -> list[list[Task]]:
    """Clips whose results would lie in one folder, also where upper and lower case are the same."""
    by_name: dict[str, list[Task]] = {}
    for task in tasks:
        by_name.setdefault(task.name.casefold(), []).append(task)
    return [group for group in by_name.values() if len(group) > 1]


def image_names(folder: Path) -> list[str]:
    """The files in a folder that are images by their suffix, in order of time, hidden ones left out."""
    return in_order(path.name for path in folder.iterdir() if is_image(path.name) and path.is_file())


def has_images(folder: Path) -> bool:
    return any(is_image(path.name) and path.is_file() for path in folder.iterdir())


def is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _measure(video: Path) -> Sequence[object]:
    if not video.is_dir():
        return [video.stat().st_size]
    names = image_names(video)
    return [len(names), *names[:1], *names[-1:]]
