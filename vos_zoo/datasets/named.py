"""The data sets that are known by name: LAYOUT:ROOT, as in "mose:/data/MOSE"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vos_zoo.datasets.benchmarks import sav, two_folders, vipseg
from vos_zoo.datasets.layouts import ClipFolders, davis, plain_folder
from vos_zoo.datasets.youtubevos import listed_videos

YOUTUBEVOS = "youtubevos"
FINDERS: dict[str, Callable[[Path, str], list[ClipFolders]]] = {  # (root, subset) -> clips, in the data set's order
    "folder": lambda root, subset: plain_folder(root),
    "folder-unsupervised": lambda root, subset: plain_folder(root),
    "davis2016": lambda root, subset: davis(root, "2016", subset),
    "davis2017": lambda root, subset: davis(root, "2017", subset),
    "davis2017-full": lambda root, subset: davis(root, "2017", subset, full=True),
    "davis2017-unsupervised": lambda root, subset: davis(root, "2017", subset, unsupervised=True),
    YOUTUBEVOS: listed_videos,
    "mose": two_folders,
    "lvos": two_folders,
    "sav": sav,
    "vipseg": vipseg,
}


def named(spec: str) -> tuple[str, Path] | None:
    """Layout and root of LAYOUT:ROOT; None if it is none of a known layout.

    Example:
        >>> named("mose:data/MOSE")
        ('mose', PosixPath('data/MOSE'))
    """
    layout, separator, root = spec.partition(":")
    return (layout, Path(root).expanduser()) if separator and root and layout in FINDERS else None
