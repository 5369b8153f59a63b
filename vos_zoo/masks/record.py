"""sequence.json: what a folder of saved masks says of itself, written, and read with every value checked."""

from __future__ import annotations

import json
import math
from pathlib import PurePath
from typing import Any, NamedTuple

from vos_zoo.errors import MaskError
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.rle import checked_size
from vos_zoo.masks.stored import StoredMasks, frame_files
from vos_zoo.masks.values import entry, items, mapping, real, text, whole
from vos_zoo.system.limits import check_limit, limit
from vos_zoo.system.shown import shown

RECORD = "sequence.json"
FORMAT = "vos_zoo.masks"
FORMAT_VERSION = 1


class Record(NamedTuple):
    """The values of a sequence.json, checked. Lists a frame have as many entries as `files`."""

    size: tuple[int, int]
    object_ids: list[int]
    fps: float | None
    first_frame: int
    frame_step: int
    files: list[str]  # without suffix
    frame_names: list[str] | None
    computed: list[bool]
    confidence: list[dict[int, float]]
    lost: list[list[int]]


def record_text(masks: StoredMasks) -> str:
    """The JSON of a sequence."""
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "size": list(masks.size),
        "object_ids": list(masks.object_ids),
        "fps": masks.fps,
        "first_frame": masks.frame_indices.start,
        "frame_step": masks.frame_indices.step,
        "frames": frame_files(masks),
        "frame_names": masks.frame_names,
        "computed": masks.computed.tolist(),
        "confidence": [[float(s) if math.isfinite(s) else None for s in row] for row in masks.confidence],
        "lost": masks.lost.tolist(),
    }
    lines = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in facts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def checked_record(document: object, where: str) -> Record:
    """The values of a parsed sequence.json.

    Raises:
        MaskError: it is of another format, or a key is missing or has a value of another kind; says which, what it is, what is wanted.
    """
    try:
        return _checked(document, where)
    except MaskError as error:
        raise MaskError(f"{where} is damaged, or of another vos_zoo: {error}. Save again, or delete it to read the PNGs alone") from error


def _checked(document: object, where: str) -> Record:
    facts = mapping(document, where)
    if facts.get("format") != FORMAT or facts.get("format_version") != FORMAT_VERSION:
        raise MaskError(
            f"it is of format {shown(facts.get('format'))}, version {shown(facts.get('format_version'))}, "
            f"but this vos_zoo reads {FORMAT!r}, version {FORMAT_VERSION}: update vos_zoo"
        )

    def get(key: str) -> Any:
        return entry(facts, key, "it")

    ids = [whole(k, "'object_ids'", 1, LARGEST_ID) for k in items(get("object_ids"), "'object_ids'")]
    files = [_file(name) for name in items(get("frames"), "'frames'")]
    check_limit("frames", len(files), where, MaskError)
    names = get("frame_names")
    step = whole(get("frame_step"), "'frame_step'", -LARGEST_ID, LARGEST_ID)
    if not step:
        raise MaskError("'frame_step' must not be 0")
    return Record(
        checked_size(items(get("size"), "'size'", 2)),
        ids,
        None if get("fps") is None else real(get("fps"), "'fps'", 0, 1e9),
        whole(get("first_frame"), "'first_frame'", 0, LARGEST_ID),
        step,
        files,
        None if names is None else [_file(name) for name in items(names, "'frame_names'")[: limit("frames")]],
        [_flag(each, "'computed'") for each in items(get("computed"), "'computed'", len(files))],
        [
            {
                k: real(score, "'confidence'")
                for k, score in zip(ids, items(row, "a row of 'confidence'", len(ids)), strict=True)
                if score is not None
            }
            for row in items(get("confidence"), "'confidence'", len(files))
        ],
        [
            [k for k, lost in zip(ids, items(row, "a row of 'lost'", len(ids)), strict=True) if _flag(lost, "'lost'")]
            for row in items(get("lost"), "'lost'", len(files))
        ],
    )


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise MaskError(f"{what} must hold true and false, not {shown(value)}")
    return value


def _file(value: object) -> str:
    name = text(value, "a name of 'frames'")
    if name in ("", ".", "..") or name != PurePath(name).name or "\\" in name or "\0" in name or len(name) > 250:
        raise MaskError(f"a name of 'frames' must be a file's, without a folder, not {shown(value)}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise MaskError(f"a name of 'frames' holds a character that no file can have: {shown(value)}") from error
    return name
