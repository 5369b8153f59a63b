"""Where data sets keep the frames and the masks of their clips: DAVIS and plain folders. Training and evaluation read them alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vos_zoo.errors import DataError


@dataclass(frozen=True)
class AnnotatedObject:
    """What a data set's list says of one object of a clip."""

    first_frame: str  # name of the frame in which it is given
    category: str | None = None


@dataclass(frozen=True)
class ClipFolders:
    """Where the frames and the true masks of one clip lie. The folders need not exist."""

    name: str
    frames: Path
    masks: Path
    objects: Mapping[int, AnnotatedObject] | None = None  # by id; None: the data set does not list them
    late: bool = False  # objects may begin after the first mask: each at the first one that shows it
    submitted: tuple[str, ...] | None = None  # names of the frames that a server scores; None: all


def plain_folder(root: Path) -> list[ClipFolders]:
    """The clips of ROOT/<clip>/frames and ROOT/<clip>/masks, by name; or the one clip of ROOT/frames and ROOT/masks.

    Hidden folders, and those without frames/, are no clips.

    Raises:
        DataError: there is no clip.
    """
    folders = sorted(path for path in root.iterdir() if (path / "frames").is_dir() and not path.name.startswith("."))
    if not folders and (root / "frames").is_dir() and (root / "masks").is_dir():
        folders = [root.resolve()]
    if not folders:
        raise DataError(f"{root} holds no clips: expected {root}/<clip>/frames/*.jpg and {root}/<clip>/masks/*.png")
    return [ClipFolders(path.name, path / "frames", path / "masks") for path in folders]


def davis(root: Path, year: str, subset: str, *, unsupervised: bool = False, full: bool = False) -> list[ClipFolders]:
    """The clips of a DAVIS release, in the order of its list.

    The list is ImageSets/<year>/<subset>.txt, a name a line. The release of 2016 by itself has ImageSets/480p/<subset>.txt instead,
    two paths a line and a line a frame. The frames are taken at 480p, or at full resolution where that is all there is.

    Args:
        root: the folder that holds JPEGImages, Annotations and ImageSets.
        year: "2016" or "2017".
        subset: "train", "val" and so on.
        unsupervised: take Annotations_unsupervised; the lists of its test sets are those of 2019.
        full: take Full-Resolution even where 480p is there.

    Raises:
        DataError: the list, or the folder of the masks, is missing or empty.
    """
    annotations = "Annotations_unsupervised" if unsupervised else "Annotations"
    year = "2019" if unsupervised and subset.startswith("test") else year
    names = names_in(_davis_list(root, year, subset, annotations))
    sizes = ("Full-Resolution",) if full else ("480p", "Full-Resolution")
    size = next((each for each in sizes if (root / "JPEGImages" / each).is_dir()), sizes[0])
    frames, masks = root / "JPEGImages" / size, root / annotations / size
    if not masks.is_dir():
        hint = "; it comes with DAVIS-2017-Unsupervised-trainval-480p.zip" if unsupervised else ""
        raise DataError(f"{root} has no {masks.relative_to(root)}, where the true masks lie{hint}")
    return [ClipFolders(name, frames / name, masks / name) for name in names]


def _davis_list(root: Path, year: str, subset: str, annotations: str) -> Path:
    listing = root / "ImageSets" / year / f"{subset}.txt"
    of_2016 = root / "ImageSets" / "480p" / f"{subset}.txt"
    if year == "2016" and not listing.is_file() and of_2016.is_file():
        return of_2016
    if not listing.is_file():
        raise DataError(
            f"{root} has no {listing.relative_to(root)}; give the folder of the DAVIS release that holds "
            f"JPEGImages, {annotations} and ImageSets, or use the layout 'folder'"
        )
    return listing


def names_in(listing: Path) -> list[str]:
    """The clips that a file names, each once: a line is a name, or begins with the path of a frame.

    Raises:
        DataError: it can't be read, or names none.
    """
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listing} can't be read ({error}); it should name a sequence a line") from error
    words = [line.split()[0] for line in lines if line.strip()]
    if not words:
        raise DataError(f"{listing} is empty; it should name a sequence a line")
    return list(dict.fromkeys(Path(word).parent.name if "/" in word else word for word in words))
