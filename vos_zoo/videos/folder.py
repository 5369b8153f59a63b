"""A folder of images as a video: in natural order, nothing left out unsaid, no number shifted."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.file_order import in_order, order_in_doubt
from vos_zoo.videos.frames import ListReader
from vos_zoo.videos.images import IMAGE_SUFFIXES
from vos_zoo.videos.pages import has_pages, open_pages
from vos_zoo.videos.reader import Reader

# Kinds of images that are not read here; between frames one of them would shift the numbers of those behind it
_OTHER_IMAGES = (".avif", ".cr2", ".dng", ".dpx", ".exr", ".gif", ".hdr", ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jp2", ".jxl", ".nef",
                 ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".svg", ".tga")  # fmt: skip
_NO_NEWS = ("thumbs.db", "desktop.ini", "sequence.json")


def open_folder(folder: Path) -> Reader:
    """The images of a folder in natural order (img2 before img10), names without suffix as frame names.

    Raises:
        VideoError: no images, several of one name, one that can't be read, a dead link, or images of a kind that is not read between them.

    Warns:
        VosZooWarning: once, of all that may not be as meant: gaps in the numbers, an order in doubt, files that are no images.
    """
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
        files = [path for path in entries if path.is_file()]
    except PermissionError as error:
        raise VideoError(f"no permission to list the folder {folder}: change its permissions") from error
    images = in_order(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    _check_entries(folder, entries, images)
    if len(images) == 1 and has_pages(images[0]):
        return open_pages(images[0])
    names = [path.stem for path in images]
    reader = ListReader(images, name=folder.resolve().name, kind="folder of images", frame_names=names)
    notes = [*_gaps(names), *_strays(images), *_others(entries, images)]
    if doubt := order_in_doubt(images):
        notes.append(f"the order of the frames is in doubt: {doubt}")
    if notes:
        warnings.warn(f"the folder {folder}: {'; '.join(notes)}", VosZooWarning, stacklevel=5)
    return reader


def _check_entries(folder: Path, entries: Sequence[Path], images: Sequence[Path]) -> None:
    dead = [path for path in entries if path.is_symlink() and not path.exists()]
    dead = in_order(path for path in dead if path.suffix.lower() in IMAGE_SUFFIXES)
    if dead:
        raise VideoError(
            f"the folder {folder} has {_count(len(dead), 'dead link')} in place of frames ({_some(dead)}): "
            "mend or remove them, without them the frames behind would have other numbers"
        )
    unread = in_order(path for path in entries if path.suffix.lower() in _OTHER_IMAGES and path.is_file())
    if not images:
        others = sorted({path.suffix.lower() for path in entries if path.is_file() and path.suffix})
        held = f"only {', '.join(others)} files" if others else "nothing like that"
        raise VideoError(
            f"the folder {folder} holds no images ({', '.join(IMAGE_SUFFIXES)}), {held}: "
            "give the folder that the frames lie in, or the path of a video file"
        )
    if unread:
        raise VideoError(
            f"the folder {folder} has {_count(len(unread), 'image')} of kinds that are not read ({_some(unread)}) beside "
            f"{len(images)} that are: convert them to PNG, or put them elsewhere"
        )
    stem, times = Counter(path.stem for path in images).most_common(1)[0]
    if times > 1:
        names = ", ".join(path.name for path in images if path.stem == stem)
        raise VideoError(
            f"the folder {folder} has several images for frame {stem!r} ({names}): keep the frames alone in a folder, masks in another"
        )


def _others(entries: Sequence[Path], images: Sequence[Path]) -> list[str]:
    """What else lies there, as notes."""
    others = in_order(set(entries).difference(images))
    folders = [path for path in others if path.is_dir()]
    files = [path for path in others if not path.is_dir() and path.name.lower() not in _NO_NEWS]
    named = [path for path in folders if path.suffix.lower() in IMAGE_SUFFIXES]
    notes = [f"{_count(len(files), 'file')} passed over, no image ({_some(files)})"] if files else []
    return [*notes, f"{_count(len(named), 'folder')} named like images passed over ({_some(named)})"] if named else notes


def _strays(images: Sequence[Path]) -> list[str]:
    """A note of the few images without a number among numbered ones: a mask or a cover, taken for a frame."""
    odd = [path for path in images if not re.search(r"\d", path.stem)]
    if not odd or len(odd) > 2 or len(images) - len(odd) < 3:
        return []
    verb = "has no number and is" if len(odd) == 1 else "have no number and are"
    return [f"{', '.join(path.name for path in odd)} {verb} read as a frame: move it elsewhere if it is a mask or a cover"]


def _gaps(names: Sequence[str]) -> list[str]:
    """A note of the numbers that are missing between these, if the names are numbered by a regular step."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len(names) < 3 or len({len(each) for each in parts}) > 1:
        return []
    varying = [i for i in range(len(parts[0])) if len({each[i] for each in parts}) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0 or max(len(each[varying[0]]) for each in parts) > 18:
        return []
    numbers = [int(each[varying[0]]) for each in parts]
    steps = Counter(b - a for a, b in itertools.pairwise(numbers))
    step, times = steps.most_common(1)[0]
    if step < 1 or times * 2 < len(numbers) - 1 or any(each % step for each in steps):
        return []
    gaps = [(a, b) for a, b in itertools.pairwise(numbers) if b - a > step]
    if not gaps:
        return []
    missing = sum((b - a) // step - 1 for a, b in gaps)
    shown = ", ".join(f"between {a} and {b}" for a, b in gaps[:3])
    return [f"{_count(missing, 'number')} missing ({shown}{', ...' if len(gaps) > 3 else ''}), so frames are counted by their place"]


def _some(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
