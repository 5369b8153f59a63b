"""Still images with masks, decoded once into a bank that lives in one memory-mapped file.

Every still is stored as a square texture (its own aspect ratio is kept beside), so that a batch of them can be warped together.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vos_zoo.datasets.matching import mask_files
from vos_zoo.errors import DataError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.train.sources.pictures import BadFile, images_in, object_numbers, read_index_mask, read_picture
from vos_zoo.train.sources.problems import Problems

Pair = tuple[Path, "Path | None"]  # an image and its mask; None: a background


@dataclass
class StillBank:
    textures: Tensor | Rows  # (N, 4, S, S) uint8: RGB and the object index map
    aspects: Tensor  # (N,) float: width / height of the original
    objects: Tensor  # (M, 2) int64: still, object index in its map
    boxes: Tensor  # (M, 4) float: x0, y0, x1, y1 of the object in [-1, 1] texture coordinates
    names: list[str]  # (N,) folder/stem

    def __len__(self) -> int:
        return len(self.textures)

    def without(self, names: Collection[str]) -> StillBank:
        """A bank that shows nothing of these stills, neither as objects nor as backgrounds."""
        stays = torch.tensor([name not in names for name in self.names])
        number = stays.cumsum(0) - 1  # of each still among those that stay
        here = stays[self.objects[:, 0]]
        objects = torch.stack([number[self.objects[here, 0]], self.objects[here, 1]], 1)
        kept = [name for name in self.names if name not in names]
        return StillBank(Rows(self.textures, stays.nonzero()[:, 0]), self.aspects[stays], objects, self.boxes[here], kept)


@dataclass
class Rows:
    """Some rows of a tensor, read from it when they are asked for: a memory-mapped one is not copied."""

    whole: Tensor | Rows
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor | list[int] | tuple[slice, slice]) -> Tensor:
        return self.whole[self.rows[index]]


def pairs_of(folder: Path, problems: Problems) -> list[Pair]:
    """(image, mask) pairs of a folder with images/ and masks/, by stem; a folder without masks/ gives images alone (backgrounds).

    Problems: an image without a mask, a mask without an image. DataError if there is no image, or no mask in masks/.
    """
    images = sorted(images_in(folder / "images"))  # no order of time: it decides which still a draw takes, and stays as it always was
    if not images:
        raise DataError(f"{folder} holds no images: expected {folder / 'images'} with jpg, png or webp files")
    if not (folder / "masks").is_dir():
        return [(image, None) for image in images]
    masks = {p.stem: p for p in mask_files(folder / "masks")}
    stems = {image.stem for image in images}
    for stem, mask in masks.items():
        if stem not in stems:
            problems.add(mask, "a mask without an image; pairs have the same name before the suffix")
    if not any(stem in masks for stem in stems):
        raise DataError(f"{folder / 'masks'} holds no PNG of an image; remove the folder if these images are backgrounds without objects")
    for image in images:
        if image.stem not in masks:
            problems.add(image, f"an image without a mask in {folder / 'masks'}")
    return [(image, masks[image.stem]) for image in images if image.stem in masks]


def load_stills(
    folders: Sequence[str | Path],
    cache: str | Path,
    problems: Problems,
    *,
    size: int = 320,
    min_area: float = 0.004,
    max_area: float = 0.7,
) -> StillBank:
    """Read folders of images/ + masks/ into a bank; the decoded textures are cached under `cache` (size * size * 4 bytes each).

    Masks are indexed or 0/255 PNGs; 255 beside other numbers is void. Objects smaller than min_area or larger than max_area of
    their still are not used as targets. Problems: pairs with a file that can't be read, a mask of another size than its image.
    DataError if no object is left; SaveError if the cache can't be written.
    """
    pairs = [pair for folder in folders for pair in pairs_of(Path(folder), problems)]
    stem = Path(cache) / f"stills-{_fingerprint(pairs, size)}"
    if not stem.with_suffix(".json").exists():
        _decode(pairs, stem, size)
    record = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    bad = {n: (Path(path), what) for n, path, what in record.get("bad", [])}
    for path, what in bad.values():
        problems.add(path, what)
    pairs = [pair for n, pair in enumerate(pairs) if n not in bad]
    textures, aspects = np.load(stem.with_suffix(".npy"), mmap_mode="c")[: len(pairs)], record["aspects"]
    objects, boxes = [], []
    for n in range(len(pairs)):
        ids = textures[n, 3]
        areas = np.bincount(ids.ravel())
        for k in np.nonzero(areas)[0]:
            if k and min_area <= areas[k] / ids.size <= max_area:
                here = ids == k
                xs, ys = np.nonzero(here.any(0))[0], np.nonzero(here.any(1))[0]
                objects.append((n, int(k)))
                boxes.append([v / size * 2 - 1 for v in (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)])
    if not objects:
        raise DataError(
            f"no object to train on in {', '.join(map(str, folders))}: {len(pairs)} stills, none has an object "
            f"that covers {min_area:.1%} to {max_area:.0%} of it" + (f"; left out were:\n{problems.report()}" if len(problems) else "")
        )
    names = [f"{image.parent.parent.name}/{image.stem}" for image, _ in pairs]
    return StillBank(torch.from_numpy(textures), torch.tensor(aspects), torch.tensor(objects), torch.tensor(boxes), names)


def _fingerprint(pairs: list[Pair], size: int) -> str:
    """Changes with the files' names, sizes and times."""

    def of(path: Path | None) -> list[object]:
        return [] if path is None else [str(path), path.stat().st_size, path.stat().st_mtime_ns]

    return hashlib.sha256(json.dumps([size, [[of(image), of(mask)] for image, mask in pairs]]).encode()).hexdigest()[:16]


def _decode(pairs: list[Pair], stem: Path, size: int) -> None:
    """Write stem.npy, then stem.json, whose presence says that both are whole. Bad pairs leave room at the end of the former."""
    aspects: list[float] = []
    bad: list[tuple[int, str, str]] = []
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(pairs), 4, size, size)}
    with atomic_write(stem.with_suffix(".npy")) as temporary, open(temporary, "wb") as bank:
        np.lib.format.write_array_header_1_0(bank, header)
        for n, (image_path, mask_path) in enumerate(pairs):
            try:
                texture, aspect = _texture(image_path, mask_path, size)
            except BadFile as error:
                bad.append((n, str(error.path), error.what))
                continue
            bank.write(texture.tobytes())
            aspects.append(aspect)
        bank.seek(len(bad) * 4 * size * size, os.SEEK_CUR)
        bank.truncate()
        bank.flush()
        os.fsync(bank.fileno())
    with atomic_write(stem.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({"aspects": aspects, "bad": bad}), encoding="utf-8")


def _texture(image_path: Path, mask_path: Path | None, size: int) -> tuple[np.ndarray, float]:
    """(4, size, size) uint8 and the aspect ratio of one still."""
    image = read_picture(image_path)
    texture = np.zeros((4, size, size), np.uint8)
    texture[:3] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    if mask_path is not None:
        numbers = object_numbers(np.asarray(read_index_mask(mask_path, image, image_path)))
        texture[3] = np.asarray(Image.fromarray(numbers).resize((size, size), Image.Resampling.NEAREST))
    return texture, image.width / image.height
