"""A manifest, clips.csv or clips.jsonl: a clip a line, with video, mask, masks and out.

    video,mask,masks,out
    bear.mp4,bear.png,,
    cow/frames,cow/first.png,cow/corrections,the-cow

    {"video": "bear.mp4", "mask": "bear.png"}

Paths are taken from the manifest's folder. mask: of the first frame; masks: a folder of masks of several or later frames; one of them, or
both. out: the name of the result; default: that of the video.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vos_zoo.errors import VosZooError
from vos_zoo.jobs.task import Found, Problem, Task
from vos_zoo.system.paths import local_path
from vos_zoo.system.shown import shown

SUFFIXES = (".csv", ".jsonl")
COLUMNS = ("video", "mask", "masks", "out")


def read_manifest(path: Path) -> Found:
    """The clips that a manifest names, and what is wrong with its lines. VosZooError if none can be read."""
    found = Found("manifest")
    lines = _csv_lines(path, found) if path.suffix.lower() == ".csv" else _json_lines(path, found)
    unknown: dict[str, int] = {}
    for number, values in lines:
        for name in values.keys() - set(COLUMNS):
            unknown.setdefault(name, number)
        task = _task(path.parent, number, values)
        (found.problems if isinstance(task, Problem) else found.tasks).append(task)  # type: ignore[arg-type]
    for name, number in sorted(unknown.items(), key=lambda item: (item[1], item[0])):
        guess = get_close_matches(name, COLUMNS, 1)
        hint = f": did you mean {guess[0]!r}?" if guess else f"; a manifest has {', '.join(COLUMNS)}"
        found.notes.append(f"{path.name}, line {number}: {name!r} was passed over{hint}")
    if not found.tasks and not found.problems:
        raise VosZooError(f"{path} names no clip: give a line for each, with {', '.join(COLUMNS)}")
    return found


def _csv_lines(path: Path, found: Found) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise _unreadable(path, error) from error
    if "video" not in head:
        raise VosZooError(f"{path} does not begin with the names of its columns, {','.join(COLUMNS)}: add that line")
    if twice := [name for name in head if head.count(name) > 1]:
        raise VosZooError(f"{path} has two columns {shown(twice[0])}: leave one out")
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            found.problems.append(Problem(f"line {rows.line_num}", f"can't be read ({error}): check its quotes"))
            continue
        if row is None:
            return
        if not any(value.strip() for value in row):
            continue
        if len(row) > len(head):
            what = f"has {len(row)} values for {len(head)} columns: put values that hold a comma in quotes"
            found.problems.append(Problem(f"line {rows.line_num}", what))
            continue
        yield rows.line_num, dict(zip(head, row, strict=False))


def _json_lines(path: Path, found: Found) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            found.problems.append(Problem(f"line {number}", f"is no JSON ({error}): each line is one object, without commas between lines"))
            continue
        if not isinstance(values, dict):
            found.problems.append(Problem(f"line {number}", 'is not an object such as {"video": "bear.mp4", "mask": "bear.png"}'))
            continue
        yield number, values


def _task(folder: Path, number: int, values: Mapping[str, Any]) -> Task | Problem:
    given: dict[str, str] = {}
    for name in COLUMNS:
        value = values.get(name)
        if not isinstance(value, (str, type(None))):
            return Problem(f"line {number}", f"{name} is a text, not {shown(value, 60)}")
        given[name] = (value or "").strip()
        if wrong := _wrong_text(given[name]):
            return Problem(f"line {number}", f"{name} {wrong}")
    if not given["video"]:
        return Problem(f"line {number}", "names no video")
    video, mask, masks = (_path(folder, given[name]) for name in ("video", "mask", "masks"))
    assert video is not None
    try:
        name = given["out"] or _name(video)
    except OSError as error:
        return Problem(f"line {number}", f"video can't be looked at ({error.strerror})")
    return Task(name, video, mask, masks, origin=f"line {number}")


def _text(path: Path) -> str:
    """What stands in it. Bytes that are no UTF-8 are kept apart, so that only their lines can't be used."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise _unreadable(path, error) from error


def _wrong_text(value: str) -> str:
    """Why no file can have that name."""
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return "is not in UTF-8: save the manifest as UTF-8"
    if "\0" in value:
        return "holds a zero byte, which no name can: save the manifest as plain text"
    if len(value) > 4000:
        return f"has {len(value)} letters, more than a path can have"
    return ""


def _path(folder: Path, value: str) -> Path | None:
    if not value:
        return None
    try:
        return folder / (local_path(value, VosZooError) or Path(value))
    except RuntimeError:  # ~nobody: there is no such user, but there may be such a folder
        return folder / value


def _name(video: Path) -> str:
    """bear of bear.mp4, bear/ and bear/frames."""
    if video.suffix and not video.is_dir():
        return video.stem
    return video.parent.name if video.name == "frames" and video.parent.name else video.name


def _unreadable(path: Path, error: Exception) -> VosZooError:
    return VosZooError(f"{path} can't be read as a manifest ({error}): save it as UTF-8 text, {' or '.join(SUFFIXES)}")
