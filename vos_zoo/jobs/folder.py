"""A folder of clips, and how it is told from a folder of images, which is one video.

A clip is a video file (bear.mp4), a folder of frames (bear/), or a folder that holds frames/ (bear/frames/). Its first mask is found

    beside it     bear.png, bear_mask.png or bear.npy
    in it         bear/masks/, where there is bear/frames/: each object's first mask in it
    by --masks-dir FOLDER, and then only there: one of these three names, or a folder bear/, each object's first mask in it

A folder with images is one video, unless each of the images is such a mask of a clip that lies beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vos_zoo.errors import VideoError
from vos_zoo.jobs.manifest import SUFFIXES, read_manifest
from vos_zoo.jobs.task import Found, Problem, Task, has_images, is_image
from vos_zoo.system.file_order import in_order
from vos_zoo.videos.opening import path_of

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv",
                  ".3gp", ".mxf")  # fmt: skip
FRAMES, MASKS = "frames", "masks"


@dataclass
class Contents:
    """What lies in a folder, hidden things left out."""

    images: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    clips: list[Path] = field(default_factory=list)  # folders that hold images, or frames/ that does
    others: list[Path] = field(default_factory=list)
    closed: list[tuple[Path, str]] = field(default_factory=list)  # that can't be looked into, and why

    def __str__(self) -> str:
        named = {"image": self.images, "video": self.videos, "clip folder": self.clips}
        files = [path for path in self.others if not path.is_dir()]
        kinds = sorted({path.suffix.lower() or path.name for path in files})
        named[f"other file ({', '.join(kinds[:5])})"] = files
        folders = [path for path in self.others if path.is_dir()]
        named[f"folder without images ({', '.join(path.name for path in folders[:5])})"] = folders
        return ", ".join(_count(len(paths), what) for what, paths in named.items() if paths) or "nothing"


def find_tasks(source: str, masks_dir: Path | None = None, *, one: bool = False) -> Found | None:
    """The clips of a manifest or a folder; None if `source` is one video, or nothing that is here.

    Args:
        masks_dir: where the masks of a folder's clips lie.
        one: a folder that could be one video or many is one.

    Raises:
        VideoError: if a folder is neither one video nor many.
        VosZooError: if a manifest can't be read.
    """
    path = path_of(source)
    if path is None or not path.exists():
        return None
    if path.is_file():
        return read_manifest(path) if path.suffix.lower() in SUFFIXES else None
    return _folder(path, masks_dir, one)


def _folder(folder: Path, masks_dir: Path | None, one: bool) -> Found | None:
    contents = _contents(folder)
    clips = [path for path in (*contents.videos, *contents.clips) if masks_dir is None or path.resolve() != masks_dir.resolve()]
    if _is_clip(folder) and not contents.images and not contents.videos:
        raise VideoError(f"{folder} is one clip, with {FRAMES}/ in it: give vos-zoo propagate {folder / FRAMES}, and its --mask")
    if not clips and contents.images and masks_dir is None:
        return None
    if not clips:
        raise VideoError(
            f"{folder} holds {contents}: neither the images of one video nor the videos or clip folders of many. A clip is a video file "
            f"({', '.join(VIDEO_SUFFIXES[:5])} ...), a folder of images, or a folder that holds {FRAMES}/"
        )
    if masks_dir is None and _is_video(folder, contents, clips, one):
        return None
    found = Found("folder", [_task(path, masks_dir) for path in in_order(clips)])
    found.problems += [Problem(path.name, f"{path} can't be looked into ({why}): change its permissions") for path, why in contents.closed]
    unused = contents.images if masks_dir is not None and masks_dir.resolve() != folder.resolve() else []
    if strays := _strays(masks_dir, folder, found.tasks):
        some = ", ".join(strays[:3]) + ", ..." * (len(strays) > 3)
        found.notes.append(f"{masks_dir}: {_count(len(strays), 'mask')} of no clip passed over ({some})")
    if unused or contents.others:
        found.notes.append(f"{folder}: {Contents(images=unused, others=contents.others)} passed over")
    return found


def _strays(masks_dir: Path | None, folder: Path, tasks: list[Task]) -> list[str]:
    """What lies in a folder of masks and is of no clip."""
    if masks_dir is None or not masks_dir.is_dir() or masks_dir.resolve() == folder.resolve():
        return []
    used = {name for task in tasks for each in _mask_names(task.name) for name in (task.name, each, _with_capitals(Path(each)).name)}
    there = [path for path in masks_dir.iterdir() if not path.name.startswith(".") and (path.is_dir() or _is_mask(path))]
    return in_order(path.name for path in there if path.name not in used)


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".npy")


def _is_video(folder: Path, contents: Contents, clips: list[Path], one: bool) -> bool:
    """Whether the images in a folder are one video, not masks of clips beside them. VideoError if that can't be told."""
    names = {name for path in clips for name in _mask_names(_name(path))}
    foreign = [path for path in contents.images if path.name not in names and path.stem + path.suffix.lower() not in names]
    if not foreign or one:
        return bool(foreign)
    if len(foreign) < len(contents.images):
        raise VideoError(
            f"{folder} holds {contents}: some of the images are masks of the clips, but {_some(foreign)} not, so it could be one video or "
            "many. For one, give its --mask; for many, put what does not belong there elsewhere, or name the clips in a manifest"
        )
    if contents.videos:
        wanted = _mask_names(_name(contents.videos[0]))[0]
        raise VideoError(
            f"{folder} holds {contents}, and no image is the mask of a video (as {wanted} would be), so it could be one video or many. For "
            "one, give its --mask; for many, put images elsewhere, or say by --masks-dir FOLDER where the videos' masks lie"
        )
    return True


def _contents(folder: Path) -> Contents:
    contents = Contents()
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except PermissionError as error:
        raise VideoError(f"no permission to list {error.filename}: change its permissions") from error
    for path in paths:
        try:
            _kind_of(path, contents).append(path)
        except OSError as error:
            contents.closed.append((path, error.strerror or str(error)))
    return contents


def _kind_of(path: Path, contents: Contents) -> list[Path]:
    """The list that it belongs to."""
    if path.is_dir():
        return contents.clips if _is_clip(path) or has_images(path) else contents.others
    if is_image(path.name):
        return contents.images
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return contents.videos
    return [] if path.suffix.lower() == ".npy" else contents.others


def _is_clip(folder: Path) -> bool:
    return (folder / FRAMES).is_dir() and has_images(folder / FRAMES)


def _task(clip: Path, masks_dir: Path | None) -> Task:
    name, inside = _name(clip), clip.is_dir() and _is_clip(clip)
    video = clip / FRAMES if inside else clip
    where = masks_dir or clip.parent
    looked = [where / each for each in _mask_names(name)]
    there = [path for each in looked if (path := _there(each)) is not None]
    within = masks_dir / name if masks_dir else clip / MASKS
    if (masks_dir or inside) and within.is_dir():
        there.append(within)
    if len(there) > 1:
        return Task(name, video, unclear=f"has several masks ({', '.join(map(str, there))}): keep one, or name it in a manifest")
    if not there:
        places = [*_mask_names(name), *([f"{within.relative_to(where)}/"] if masks_dir or inside else [])]
        return Task(name, video, unclear=f"no mask: looked in {where} for {', '.join(places)}")
    return Task(name, video, first_of=there[0]) if there[0].is_dir() else Task(name, video, there[0])


def _there(path: Path) -> Path | None:
    """The file of that name, or of the same with its suffix in capitals."""
    large = _with_capitals(path)
    return path if path.is_file() else large if large.is_file() else None


def _with_capitals(path: Path) -> Path:
    return path.with_suffix(path.suffix.upper())


def _name(clip: Path) -> str:
    return clip.name if clip.is_dir() else clip.stem


def _mask_names(name: str) -> tuple[str, ...]:
    return f"{name}.png", f"{name}_mask.png", f"{name}.npy"


def _some(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3])
    return f"{names} is" if len(paths) == 1 else f"{names}{' and others' if len(paths) > 3 else ''} are"


def _count(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    first, space, rest = what.partition(" (")
    plural = first.replace("folder ", "folders ", 1) if first.startswith("folder ") else f"{first}s"
    return f"{number} {plural}{space}{rest}"
