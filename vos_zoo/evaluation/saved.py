"""Anybody's masks on disk, FOLDER/<clip>/<frame>.png: every file that can't be scored is named before any is, with what
davis2017-evaluation would do with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vos_zoo.errors import EvaluationError, MaskError
from vos_zoo.evaluation.clip import VOID, Clip, ids_in
from vos_zoo.evaluation.scoring import MOST_PROPOSALS, ClipScore, score_with
from vos_zoo.system.paths import user_path

NOT_FOUND = "prints 'frame not found' and exits"
TOO_HIGH = "prints 'In your PNG files there is an index higher than the number of objects in the sequence!' and exits"
TOO_MANY = "prints 'In your PNG files there is an index higher than the maximum number (20) of proposals allowed!' and exits"
NO_MATCH = "stops: an AssertionError, dimensions do not match"
COLOUR = "takes every channel for a map of ids, so that it exits for an index that is too high, or stops with an error"
UNREADABLE = "stops with Pillow's error"


class Problem(NamedTuple):
    """Why a file can't be scored."""

    path: Path
    what: str
    officially: str


class Saved:
    """The masks of one entrant, scored as they are. Raises EvaluationError if there is no such folder."""

    def __init__(self, folder: str | Path):
        self.folder = user_path(folder, EvaluationError)
        if not self.folder.is_dir():
            raise EvaluationError(f"results: there is no folder {self.folder}")

    def path(self, clip: Clip, index: int) -> Path:
        return self.folder / clip.name / f"{clip.frame_name(index)}.png"

    def check(self, clips: Iterable[Clip]) -> None:
        """Raises one EvaluationError that names every file which can't be scored."""
        found = [problem for clip in clips for problem in self.problems(clip)]
        if found:
            raise EvaluationError(_report(self.folder, found))

    def problems(self, clip: Clip) -> Iterator[Problem]:
        """What is wrong with the masks of a clip, in the order of its frames."""
        if not (self.folder / clip.name).is_dir():
            yield Problem(self.folder / clip.name, "there is no such folder; choose clips with only= (--only), or add it", NOT_FOUND)
            return
        allowed = list(clip.objects())
        for index in clip.scored:
            path = self.path(clip, index)
            if not path.is_file():
                which = "every annotated frame is scored" if clip.unsupervised else "every frame [1:-1] of the annotated is scored"
                yield Problem(path, f"is missing; {which}", NOT_FOUND)
                continue
            yield from _problems_of(path, clip, index, allowed)

    def score(self, clip: Clip) -> ClipScore:
        """The scores of one clip; errors are those of `scoring.score`."""
        return score_with(clip, lambda index: self.path(clip, index), lambda index: f"results: {self.path(clip, index)}")


def _problems_of(path: Path, clip: Clip, index: int, allowed: list[int]) -> Iterator[Problem]:
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
            if mode not in ("P", "L", "1", "I", "I;16"):
                yield Problem(
                    path, f"is a picture in {mode}, from which ids can't be told; save the map of ids as an indexed (mode P) PNG", COLOUR
                )
                return
            image.load()
            white = mode == "P" and VOID in ids_in(np.asarray(image))  # which read_mask would pass over
    except (OSError, SyntaxError) as error:
        yield Problem(path, f"can't be read as an image ({error}); save it again", UNREADABLE)
        return
    true_height, true_width = _size_of(clip, index)
    if (height, width) != (true_height, true_width):
        what = f"is {width}x{height}, the truth {true_width}x{true_height}; save results at the truth's size (nearest neighbour)"
        yield Problem(path, what, NO_MATCH)
    if clip.merged:
        return
    try:
        ids = [k for k in ids_in(clip.read(path, name=f"results: {path}")) if k]
    except MaskError as error:
        yield Problem(path, f"can't be understood ({error})", TOO_HIGH)
        return
    if clip.unsupervised:
        if ids and ids[-1] > MOST_PROPOSALS:
            yield Problem(path, f"has the id {ids[-1]}, but proposals are numbered from 1 to {MOST_PROPOSALS}", TOO_MANY)
        return
    ids = sorted({*ids, *[VOID][:white]})
    extra = [k for k in ids if k not in allowed]
    if extra:
        yield Problem(path, _about_extra(extra, ids, allowed), TOO_HIGH)


def _about_extra(extra: list[int], ids: list[int], allowed: list[int]) -> str:
    what = f"has the {'id' if len(extra) == 1 else 'ids'} {_some(extra)}, but the objects are {_some(allowed)}"
    if extra == [VOID]:
        return f"{what}; write ids, not white (0 and {VOID}), or score with davis2016, where all objects are one"
    if len(ids) <= len(allowed) and len(extra) == len(ids):
        return f"{what}; the ids are not numbered like the true ones: renumber them"
    return f"{what}; leave them out, or give them the ids of the truth"


def _size_of(clip: Clip, index: int) -> tuple[int, ...]:
    source: Any = clip.masks[index]
    if isinstance(source, (str, Path)):
        with Image.open(source) as image:
            return image.size[::-1]
    return clip.truth(index).shape


def _report(folder: Path, found: list[Problem]) -> str:
    """One problem: a line. Several: a line for each kind and clip, with all its files."""
    if len(found) == 1:
        path, what, officially = found[0]
        return f"results: {path} {what} (the official tool {officially})"
    lines = [f"results: {len(found)} files in {folder} can't be scored; nothing was"]
    kinds: dict[tuple[Path, str, str], list[str]] = {}
    for path, what, officially in found:
        kinds.setdefault((path.parent, what, officially), []).append(path.name)
    for (parent, what, officially), names in kinds.items():
        files = ", ".join([str(parent.relative_to(folder) / names[0]), *names[1:]])
        lines.append(f"  {files}: {what if len(names) == 1 else 'each ' + what} (the official tool {officially})")
    return "\n".join(lines)


def _some(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (f", ... ({len(ids)} in all)" if len(ids) > 8 else "")
