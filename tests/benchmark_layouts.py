"""Tiny benchmarks laid out as MOSE, LVOS, YouTube-VOS and SA-V are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from evaluation_data import SIZE, labels, write_frames, write_mask

FRAMES = [f"{i:05d}.jpg" for i in range(6)]


def write_valid(root: Path, *, truth: bool = False, late: bool = True) -> Path:
    """Two clips as MOSE, LVOS and YouTube-VOS have them; object 3 of "b" begins in frame 2."""
    for name in ("a", "b"):
        write_frames(root / "JPEGImages" / name, FRAMES)
        for index in range(6) if truth else (0,):
            ids = (1,) if name == "a" or (late and index < 2) else (1, 3)
            write_mask(root / "Annotations" / name / f"{index:05d}.png", labels(index, ids))
    if late and not truth:
        write_mask(root / "Annotations" / "b" / "00002.png", np.where(labels(2) == 3, 3, 0).astype(np.uint8))
    return root


def write_sav(root: Path, *, truth: bool = True) -> Path:
    """One clip of two objects that overlap; the second is annotated from frame 2 on, every other frame."""
    write_frames(root / "JPEGImages_24fps" / "sav_1", FRAMES)
    for k, first in ((0, 0), (1, 2)):
        for index in range(first, 6, 2) if truth else (first,):
            square = np.zeros(SIZE, np.uint8)
            square[5 : 20 - 5 * k, 5 : 20 - 5 * k] = 255
            write_mask(root / "Annotations_6fps" / "sav_1" / f"{k:03d}" / f"{index:05d}.png", square, indexed=False)
    (root / "sav_val.txt").write_text("sav_1\n")
    return root
