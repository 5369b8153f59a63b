"""A MaskSequence on disk: one PNG a frame and sequence.json, in a folder or a zip file."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, SaveError
from vos_zoo.masks.frames import mask_files
from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.stored import StoredMasks
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.atomic_folder import atomic_folder

RECORD = "sequence.json"
FORMAT = "vos_zoo.masks"
FORMAT_VERSION = 1
_LARGEST_INDEXED = 254  # 255 is void to whoever reads an indexed PNG
_LARGEST_GREY = 65535

Masks = TypeVar("Masks", bound=StoredMasks)


def save_folder(masks: StoredMasks, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """See `MaskSequence.save`."""
    _check_savable(masks, folder)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        for name, picture in _pictures(masks):
            picture.save(temporary / f"{name}.png")
        (temporary / RECORD).write_text(_record(masks), encoding="utf-8")
    return Path(folder)


def save_zip(masks: StoredMasks, path: str | os.PathLike[str]) -> Path:
    """See `MaskSequence.save_zip`."""
    _check_savable(masks, path)
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in _pictures(masks):
            png = io.BytesIO()
            picture.save(png, format="PNG")
            archive.writestr(f"{name}.png", png.getvalue())
        archive.writestr(RECORD, _record(masks), compress_type=zipfile.ZIP_DEFLATED)
    return Path(path)


def load_folder(kind: type[Masks], folder: str | os.PathLike[str]) -> Masks:
    """See `MaskSequence.load`."""
    folder = Path(folder)
    record = folder / RECORD
    if not record.is_file():
        return _load_plain(kind, folder)
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        if facts.get("format") != FORMAT or facts.get("format_version") != FORMAT_VERSION:
            raise MaskError(
                f"{record} is of format {facts.get('format')!r}, version {facts.get('format_version')!r}, "
                f"but this vos_zoo reads {FORMAT!r}, version {FORMAT_VERSION}: update vos_zoo, or delete "
                f"{RECORD} to read the PNGs alone"
            )
        return _load_recorded(kind, folder, facts)
    except MaskError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise MaskError(
            f"{record} is damaged ({type(error).__name__}: {error}): save again, or delete it to read the PNGs alone"
        ) from error


def frame_files(masks: StoredMasks) -> list[str]:
    """File names without suffix: the frames' names, or their numbers in the video (five digits or more)."""
    names = masks.frame_names
    if names is not None and len(names) >= len(masks):
        return names[: len(masks)]
    return [f"{index:05d}" for index in masks.frame_indices]


def _check_savable(masks: StoredMasks, path: str | os.PathLike[str]) -> None:
    if not len(masks):
        raise SaveError(f"nothing to save to {os.fspath(path)}: the sequence has no frames yet")
    if masks.object_ids and masks.object_ids[-1] > _LARGEST_GREY:
        raise SaveError(
            f"can't save object {masks.object_ids[-1]} to {os.fspath(path)}: PNGs hold ids up to "
            f"{_LARGEST_GREY}. Give the objects smaller ids, or use save_coco, which takes any"
        )


def _pictures(masks: StoredMasks) -> Iterator[tuple[str, Image.Image]]:
    """File names and pictures of the frames that were computed: a blank file would say that the objects are gone."""
    grey = bool(masks.object_ids) and masks.object_ids[-1] > _LARGEST_INDEXED
    for name, labels, computed in zip(frame_files(masks), masks, masks.computed, strict=True):
        if not computed:
            continue
        picture = Image.fromarray(labels.astype(np.uint16) if grey else labels)
        if not grey:
            picture.putpalette(davis_palette().tobytes())
        yield name, picture


def _record(masks: StoredMasks) -> str:
    scores = masks.confidence
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
        "confidence": [[float(s) if math.isfinite(s) else None for s in row] for row in scores],
        "lost": masks.lost.tolist(),
    }
    lines = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in facts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _load_recorded(kind: type[Masks], folder: Path, facts: Mapping[str, Any]) -> Masks:
    masks = kind(
        facts["size"],
        facts["object_ids"],
        fps=facts["fps"],
        frame_names=facts["frame_names"],
        first_frame=facts["first_frame"],
        frame_step=facts["frame_step"],
    )
    ids, files = facts["object_ids"], facts["frames"]
    for i, name in enumerate(files):
        if not facts["computed"][i]:
            continue
        path = folder / f"{Path(name).name}.png"
        try:
            with Image.open(path) as picture:
                labels = np.asarray(picture)
        except FileNotFoundError as error:
            raise MaskError(f"{path} is missing, though {RECORD} lists it: copy the whole folder") from error
        except (OSError, SyntaxError) as error:
            raise MaskError(f"{path} is damaged or cut off ({error}): save the masks again") from error
        scores = {k: s for k, s in zip(ids, facts["confidence"][i], strict=True) if s is not None}
        lost = [k for k, is_lost in zip(ids, facts["lost"][i], strict=True) if is_lost]
        masks.set(i, labels, confidence=scores, lost=lost)
    masks.reserve(len(files))
    return masks


def _load_plain(kind: type[Masks], folder: Path) -> Masks:
    files = mask_files(folder)
    first = read_mask(files[0], allow_empty=True)
    masks = kind(first.labels.shape, frame_names=[path.stem for path in files])
    for path in files:
        labels = read_mask(path, allow_empty=True).labels
        if labels.shape != masks.size:
            raise MaskError(
                f"the masks in {folder} differ in size: {files[0].name} is {masks.size[1]}x{masks.size[0]}, "
                f"{path.name} {labels.shape[1]}x{labels.shape[0]} (width x height). Bring them to one size, "
                "by nearest neighbour"
            )
        masks.append(labels)
    return masks
