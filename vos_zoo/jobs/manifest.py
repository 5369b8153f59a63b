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
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vos_zoo.errors import VosZooError
from vos_zoo.jobs.task import Found, Problem, Task

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
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            head = [name.strip() for name in next(rows, [])]
            if "video" not in head:
                raise VosZooError(f"{path} does not begin with the names of its columns, {','.join(COLUMNS)}: add that line")
            if twice := [name for name in head if head.count(name) > 1]:
                raise VosZooError(f"{path} has two columns {twice[0]!r}: leave one out")
            for row in rows:
                if not any(value.strip() for value in row):
                    continue
                if len(row) > len(head):
                    what = f"has {len(row)} values for {len(head)} columns: put values that hold a comma in quotes"
                    found.problems.append(Problem(f"line {rows.line_num}", what))
                    continue
                yield rows.line_num, dict(zip(head, row, strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _json_lines(path: Path, found: Found) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
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
            return Problem(f"line {number}", f"{name} is a text, not {json.dumps(value)[:60]}")
        given[name] = (value or "").strip()
    if not given["video"]:
        return Problem(f"line {number}", "names no video")
    video, mask, masks = (_path(folder, given[name]) for name in ("video", "mask", "masks"))
    assert video is not None
    return Task(given["out"] or _name(video), video, mask, masks, origin=f"line {number}")


def _path(folder: Path, value: str) -> Path | None:
    return folder / Path(value).expanduser() if value else None


def _name(video: Path) -> str:
    """bear of bear.mp4, bear/ and bear/frames."""
    if video.suffix and not video.is_dir():
        return video.stem
    return video.parent.name if video.name == "frames" and video.parent.name else video.name


def _unreadable(path: Path, error: Exception) -> VosZooError:
    return VosZooError(f"{path} can't be read as a manifest ({error}): save it as UTF-8 text, {' or '.join(SUFFIXES)}")
