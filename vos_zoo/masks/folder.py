"""A MaskSequence on disk: one PNG a frame and sequence.json, in a folder or a zip file."""

from __future__ import annotations

import contextlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, SaveError, VosZooWarning
from vos_zoo.masks.files import LARGEST_DOCUMENT, read_json
from vos_zoo.masks.frames import mask_files, tell_others
from vos_zoo.masks.labels import ObjectMasks
from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.record import RECORD, Record, checked_record, record_text
from vos_zoo.masks.stored import StoredMasks, frame_files
from vos_zoo.system.archives import open_archive
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.system.file_order import in_order, told_order
from vos_zoo.system.limits import check_picture
from vos_zoo.system.paths import user_path
from vos_zoo.system.whole_pictures import whole_pictures

_LARGEST_INDEXED = 254  # 255 is void to whoever reads an indexed PNG
_LARGEST_GREY = 65535

Masks = TypeVar("Masks", bound=StoredMasks)


def save_folder(masks: StoredMasks, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """See `MaskSequence.save`."""
    _check_savable(masks, folder)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        for name, picture in _pictures(masks):
            picture.save(temporary / f"{name}.png")
        (temporary / RECORD).write_text(record_text(masks), encoding="utf-8")
    return user_path(folder)


def save_zip(masks: StoredMasks, path: str | os.PathLike[str]) -> Path:
    """See `MaskSequence.save_zip`."""
    _check_savable(masks, path)
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in _pictures(masks):
            png = io.BytesIO()
            picture.save(png, format="PNG")
            archive.writestr(f"{name}.png", png.getvalue())
        archive.writestr(RECORD, record_text(masks), compress_type=zipfile.ZIP_DEFLATED)
    return user_path(path)


def load_masks(kind: type[Masks], path: str | os.PathLike[str]) -> Masks:
    """See `MaskSequence.load`."""
    path = user_path(path, MaskError)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _load_zip(kind, path)
    record = path / RECORD
    if not record.is_file():
        return _load_plain(kind, path)
    facts = checked_record(_parsed(record), str(record))
    known = {f"{name}.png" for name in facts.files}
    if strays := in_order(each.name for each in path.glob("*.png") if each.name not in known):
        what = f"{len(strays)} PNGs that {RECORD} does not list were passed over ({', '.join(strays[:3])})"
        warnings.warn(f"the saved masks {path}: {what}; delete {RECORD} to load all PNGs", VosZooWarning, stacklevel=4)
    return _load_recorded(kind, facts, str(path), lambda name: (path / name).read_bytes())


def _parsed(record: Path) -> object:
    try:
        return read_json(record, str(record))
    except MaskError as error:
        raise MaskError(f"{record} is damaged: {error}. Save again, or delete it to read the PNGs alone") from error


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


def _load_recorded(kind: type[Masks], facts: Record, where: str, read: Callable[[str], bytes]) -> Masks:
    """read: gives the bytes of a file by its name, or raises FileNotFoundError."""
    masks = kind(
        facts.size,
        facts.object_ids,
        fps=facts.fps,
        frame_names=facts.frame_names,
        first_frame=facts.first_frame,
        frame_step=facts.frame_step,
    )
    for i, name in enumerate(facts.files):
        if facts.computed[i]:
            masks.set(i, _labels(read, f"{name}.png", facts.size, where), confidence=facts.confidence[i], lost=facts.lost[i])
    masks.reserve(len(facts.files))
    return masks


@whole_pictures()
def _labels(read: Callable[[str], bytes], name: str, size: tuple[int, int], where: str) -> np.ndarray:
    path = os.path.join(where, name)
    try:
        data = read(name)
    except FileNotFoundError as error:
        raise MaskError(f"{path} is missing, though {RECORD} lists it: copy the whole folder") from error
    except OSError as error:
        raise MaskError(f"{path} can't be read ({error.strerror or error})") from error
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.size != size[::-1]:
                raise MaskError(f"{path} is {picture.size[0]}x{picture.size[1]}, but {RECORD} says {size[1]}x{size[0]} (width x height): "
                                "save the masks again")  # fmt: skip
            check_picture(*size, what=path, error=MaskError)
            labels = np.asarray(picture)
    except MaskError:
        raise
    except Exception as error:  # a decoder of damaged data raises whatever it meets
        raise MaskError(f"{path} is damaged or cut off ({error}): save the masks again") from error
    if labels.ndim != 2:
        raise MaskError(f"{path} is a picture in colour, not a map of ids as vos_zoo saves them: delete {RECORD} to read it as a mask")
    return labels


def _load_plain(kind: type[Masks], folder: Path) -> Masks:
    files = mask_files(folder)
    if files[0].suffix.lower() == ".json":
        raise MaskError(
            f"the folder {folder} holds {files[0].name}, of a form that is not loaded as saved masks: give it as masks= instead"
        )
    tell_others(folder, files)
    files = told_order(files, f"the folder {folder}")
    first = read_mask(files[0], allow_empty=True)
    masks = kind(first.labels.shape, frame_names=[path.stem for path in files])
    for path in files:
        masks.append(_same_size(masks, files[0], path, folder).labels)
    return masks


def _same_size(masks: StoredMasks, first: Path, path: Path, folder: Path) -> ObjectMasks:
    """The masks in a file, read only after its header has shown that it is of the sequence's size."""
    shape: tuple[int, ...] = masks.size
    with contextlib.suppress(Exception), Image.open(path, formats=["PNG"]) as image:  # read_mask tells what is wrong with it
        shape = image.size[::-1]
    found = read_mask(path, allow_empty=True) if shape == masks.size else None
    shape = shape if found is None else found.labels.shape
    if found is None or shape != masks.size:
        raise MaskError(
            f"the masks in {folder} differ in size: {first.name} is {masks.size[1]}x{masks.size[0]}, "
            f"{path.name} {shape[1]}x{shape[0]} (width x height). Bring them to one size, "
            "by nearest neighbour"
        )
    return found


def _load_zip(kind: type[Masks], path: Path) -> Masks:
    """What `save_zip` wrote."""
    with open_archive(path, MaskError) as archive:
        if RECORD not in archive:
            raise MaskError(f"{path} holds no {RECORD}, so it was not saved by save_zip: unpack it and load the folder")
        if archive.size(RECORD) > LARGEST_DOCUMENT:
            raise MaskError(f"{RECORD} in {path} has {archive.size(RECORD)} bytes when unpacked, which no record has")
        facts = checked_record(json.loads(archive.read(RECORD)), f"{RECORD} in {path}")
        return _load_recorded(kind, facts, str(path), archive.read)
