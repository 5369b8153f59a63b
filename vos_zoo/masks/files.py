"""One mask file opened: an image, an array or an annotation, told by its first bytes, with its claims checked before memory is taken."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.masks.arrays import objects_first
from vos_zoo.masks.labels import check_claim
from vos_zoo.system.limits import check_limit, check_picture, limit
from vos_zoo.system.upright import orientation, upright
from vos_zoo.system.whole_pictures import whole_pictures

LARGEST_DOCUMENT = 2**28  # bytes of a JSON or XML file
_IMAGES = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "AVIF")
_LFS = b"version https://git-lfs"
_KINDS = (
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"8BPS", "a Photoshop file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"%PDF", "a PDF"),
)
_SUFFIX = "give a PNG, or a .npy file of numbers as numpy.save writes them"


def open_mask(path: Path, size: tuple[int, int] | None, resize: bool, name: str) -> Any:
    """What a mask file holds: a PIL image, an array, or the dict or list of a JSON file.

    Args:
        path: the file.
        size: (H, W) of the video, if known; a file that says it has another is refused unread, unless `resize`.
        resize: whether another size may be scaled.
        name: what messages call it.

    Raises:
        MaskError: it can't be read, is something else, or says that it is too large.
    """
    try:
        if path.is_dir():
            raise MaskError(f"{name} is a folder, but one mask is a file. Pass the path of the mask in it")
        if not path.exists():
            raise MaskError(f"{name}: no such file. Check the path (the current folder is {Path.cwd()})")
        with path.open("rb") as file:
            head = file.read(512)
            file.seek(0)
            _check_kind(head, name)
            if head.startswith(b"\x93NUMPY"):
                return _array(file, path.stat().st_size, size, resize, name)
        if path.suffix.lower() in (".txt", ".csv"):
            raise MaskError(f"{name} is a text: those of YOLO and MOTS are written, not read. Give a PNG, .npy, or COCO's JSON")
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return read_json(path, name)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" or path.suffix.lower() == ".xml":
            return read_xml(path, name)
        return _image(path, size, resize, name)
    except VosZooError:
        raise
    except (OSError, ValueError) as error:
        raise MaskError(f"{name} can't be read as a mask ({error}): {_SUFFIX}") from error


@whole_pictures()
def loaded(image: Image.Image, size: tuple[int, int] | None, resize: bool, name: str) -> Image.Image:
    """The image with its pixels decoded, after the size that it claims was checked. Raises MaskError if they are damaged."""
    if 0 in image.size:
        raise MaskError(f"{name} is an image without pixels: export the mask again")
    shape = image.size[::-1]
    # before EXIF data are asked: those of a PNG may lie behind its pixels, which are decoded then
    if size is not None and not resize and sorted(shape) != sorted(size):
        check_claim(shape, size, resize, name)
    check_picture(*shape, what=name, error=MaskError)
    check_claim(shape[::-1] if orientation(image) > 4 else shape, size, resize, name)
    if (pictures := _pictures(image)) > 1:
        raise MaskError(
            f"{name} holds {pictures} pictures, as a stack or an animation, but a mask is one: save each as a PNG named like its frame, "
            "and give their folder as masks="
        )
    try:
        image.load()
    except Exception as error:  # a decoder of damaged data raises whatever it meets
        raise MaskError(f"{name} is damaged or cut off ({error}): export the mask again") from error
    return upright(image)


def _pictures(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damaged pages, of which Pillow raises whatever it meets; the first tells more when it is decoded
        return 1


def read_json(path: Path, name: str) -> Any:
    """What a JSON file holds. Raises MaskError if it is no JSON, too large, or nested too deep."""
    said = path.stat().st_size
    if said > LARGEST_DOCUMENT:
        raise MaskError(f"{name} is a JSON file of {said} bytes, more than the {LARGEST_DOCUMENT} that are read: split it by clip")
    try:
        value = json.loads(path.read_bytes())
    except RecursionError as error:
        raise MaskError(f"{name} is nested more than {limit('nesting')} levels deep: no annotation is") from error
    except (ValueError, UnicodeError) as error:
        raise MaskError(f"{name} is no JSON as it stands ({str(error)[:100]}): export it again") from error
    check_limit("nesting", _depth(value, limit("nesting") + 1), name, MaskError)
    return value


def read_xml(path: Path, name: str) -> ET.Element:
    """The root of an XML file. Raises MaskError if it is no XML, too large, nested too deep or declares entities."""
    if (said := path.stat().st_size) > LARGEST_DOCUMENT:
        raise MaskError(f"{name} is an XML file of {said} bytes, more than the {LARGEST_DOCUMENT} that are read: split it by clip")
    depth = 0
    root = None
    try:
        for event, element in ET.iterparse(path, events=("start", "end", "start-ns")):
            if event == "start-ns":
                continue
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            check_limit("nesting", depth, name, MaskError)
    except MaskError:
        raise
    except (ET.ParseError, ValueError, LookupError) as error:
        raise MaskError(f"{name} is no XML as it stands ({str(error)[:100]}): export it again") from error
    if root is None:
        raise MaskError(f"{name} is an XML file without an element: export it again")
    return root


def _depth(value: object, most: int) -> int:
    """Levels of lists and mappings within each other, counted up to `most`."""
    level = [value] if isinstance(value, (dict, list)) else []
    for depth in range(most):
        level = [
            each for part in level for each in (part.values() if isinstance(part, Mapping) else part) if isinstance(each, (dict, list))
        ]
        if not level:
            return depth + 1
    return most


def _check_kind(head: bytes, name: str) -> None:
    """Names what people give by mistake."""
    if not head:
        raise MaskError(f"{name} is an empty file: export the mask again")
    if head.startswith(_LFS):
        raise MaskError(f"{name} is a pointer of Git LFS, not the file itself: run git lfs pull in its repository")
    if head.startswith(b"PK"):
        raise MaskError(f"{name} is a zip or .npz archive: unpack it, or save the array alone with numpy.save")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")):
        raise MaskError(f"{name} is a packed file: unpack it first")
    if named := next((kind for start, kind in _KINDS if head.startswith(start)), ""):
        raise MaskError(f"{name} is {named}, which is not read: save the mask as a PNG, or as .npy with numpy.save")
    if head.startswith(b"\x80") and head[1:2] in b"\x02\x03\x04\x05":
        raise MaskError(f"{name} is a Python pickle, which is not read since it could run code: save the array with numpy.save")
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis", b"mif1", b"msf1"):
        raise MaskError(f"{name} is a video: give the mask of one frame as a PNG")


def _image(path: Path, size: tuple[int, int] | None, resize: bool, name: str) -> Image.Image:
    try:
        image = Image.open(path, formats=_IMAGES)
    except Exception as error:  # a decoder of damaged data raises whatever it meets
        raise MaskError(f"{name} can't be read as a mask ({error}): {_SUFFIX}") from error
    with image:
        return loaded(image, size, resize, name)


def _array(file: BinaryIO, length: int, size: tuple[int, int] | None, resize: bool, name: str) -> np.ndarray:
    """An .npy file whose header claims no more than the file holds and a mask may have."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file, max_header_size=10_000)
    except Exception as error:  # the header is Python code that numpy parses: many kinds of errors
        raise MaskError(
            f"{name} can't be read as a mask: its header is damaged ({str(error)[:100]}). Save it again with numpy.save"
        ) from error
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise MaskError(f"{name} can't be read as a mask: its header says the shape {str(shape)[:80]}. Save it again with numpy.save")
    if dtype.hasobject or dtype.kind not in "biuf":
        raise MaskError(f"{name} can't be read as a mask: it holds {str(dtype)[:40]}, not numbers. {_SUFFIX.capitalize()}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > length - file.tell():
        raise MaskError(f"{name} is damaged or cut off: it says it holds {claimed} bytes, the shape {str(shape)[:80]}, and has "
                        f"{length - file.tell()}. Save it again with numpy.save")  # fmt: skip
    check_limit("unpacked", claimed, name, MaskError)
    flat = tuple(n for n in shape if n > 1)
    if len(flat) == 2:
        check_claim((flat[0], flat[1]), size, resize, name)
    elif len(flat) == 3:
        check_claim(flat[1:] if objects_first(flat, size) else flat[:2], size, resize, name)
    file.seek(0)
    try:
        array: np.ndarray = np.load(file, allow_pickle=False)
    except (ValueError, OSError, MemoryError) as error:
        raise MaskError(f"{name} can't be read as a mask ({str(error)[:100]}): {_SUFFIX}") from error
    return array
