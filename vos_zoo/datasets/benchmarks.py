"""Benchmarks as they are laid out: MOSE 1 and 2, LVOS 1 and 2, SA-V, VIPSeg, and the validation sets of YouTube-VOS.

    MOSE, LVOS  ROOT[/valid]/JPEGImages/<clip>/00000.jpg      ROOT[/valid]/Annotations/<clip>/00000.png
    SA-V        ROOT[/sav_val]/JPEGImages_24fps/<clip>/...    ROOT[/sav_val]/Annotations_6fps/<clip>/000/00000.png, a folder an object
    VIPSeg      ROOT/imgs/<clip>/...                          ROOT/panomasks/<clip>/...      ROOT/val.txt, a name a line

An object begins at the first mask that shows it. Sets without truth have masks only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vos_zoo.datasets.layouts import ClipFolders, names_in
from vos_zoo.errors import DataError

_SUBSETS = {"val": ("valid", "val"), "valid": ("valid", "val")}


def two_folders(root: Path, subset: str) -> list[ClipFolders]:
    """The clips of JPEGImages and Annotations, as MOSE, LVOS and YouTube-VOS have them, by name.

    Args:
        root: the folder of the subset, or the one above it.
        subset: "valid", "test" and so on; val and valid are the same.

    Raises:
        DataError: there is no clip, or a clip of one folder is not in the other.
    """
    return _clips(subset_folder(root, subset, "JPEGImages"), "JPEGImages", "Annotations")


def sav(root: Path, subset: str) -> list[ClipFolders]:
    """The clips of SA-V's val or test set, in the order of its list, sav_val.txt, or by name.

    Raises:
        DataError: there is no clip, or a clip of one folder is not in the other.
    """
    frames, masks = "JPEGImages_24fps", "Annotations_6fps"
    folder = subset_folder(root, subset, frames)
    return _clips(folder, frames, masks, next(iter(sorted(folder.glob("sav_*.txt"))), None))


def vipseg(root: Path, subset: str) -> list[ClipFolders]:
    """The clips of VIPSeg, in the order of val.txt, or by name. A segment's id is the value in panomasks; 0 is void.

    Raises:
        DataError: there is no clip, or a clip of one folder is not in the other.
    """
    listing = root / f"{subset}.txt"
    return _clips(root, "imgs", "panomasks", listing if listing.is_file() else None)


def subset_folder(root: Path, subset: str, inside: str) -> Path:
    """The folder of a subset: the root itself where it holds `inside`, else ROOT/<subset> or ROOT/sav_<subset>."""
    if (root / inside).is_dir():
        return root
    names = [name for each in _SUBSETS.get(subset, (subset,)) for name in (each, f"sav_{each}")]
    return next((root / name for name in names if (root / name / inside).is_dir()), root)


def _clips(root: Path, frames: str, masks: str, listing: Path | None = None) -> list[ClipFolders]:
    """The clips that a list names, else those that have masks."""
    for name in (frames, masks):
        if not (root / name).is_dir():
            inside = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())[:6]) or "no folder"
            raise DataError(f"{root} has no folder {name} (it has {inside}): give the folder that holds {frames} and {masks}")
    names: Sequence[str] = names_in(listing) if listing else _folders(root / masks)
    if not names:
        raise DataError(f"{root / masks} holds no clips: expected a folder of masks for each")
    absent = [name for name in names if not (root / frames / name).is_dir()]
    if absent:
        raise DataError(
            f"{root / frames} has no frames of {_some(absent)}, which {listing or root / masks} names: unpack them, or leave them out"
        )
    unmasked = [] if listing else sorted(set(_folders(root / frames)) - set(names))
    if unmasked:
        raise DataError(f"{root / masks} has no masks of {_some(unmasked)}, whose frames are in {root / frames}: unpack them too")
    return [ClipFolders(name, root / frames / name, root / masks / name, late=True) for name in names]


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
