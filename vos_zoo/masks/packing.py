"""Maps of ids as compressed run lengths: how MaskSequence keeps a frame in some kB."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from vos_zoo.errors import MaskError

LARGEST_ID = 2**31 - 1


def pack(labels: np.ndarray) -> tuple[bytes, dict[int, int]]:
    """A map of ids (H, W), any integer type, as bytes, and the pixels of each id in it.

    Row after row the runs of an object are nearly alike, so lengths are stored as differences to the length
    two runs
    before, and the bytes of one significance together: mostly zeros, which deflate well. Equal maps give
        equal bytes.
    """
    if labels.dtype == np.bool_:
        labels = labels.astype(np.uint8)
    if labels.dtype.kind not in "ui":
        raise MaskError(f"masks must hold whole numbers, not {labels.dtype}: pass labels.astype(numpy.int32)")
    flat = np.ascontiguousarray(labels).reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    values = flat[starts]
    if int(values.min()) < 0 or int(values.max()) > LARGEST_ID:
        raise MaskError(f"masks must hold ids from 0 (background) to {LARGEST_ID}, these go from {values.min()} to {values.max()}")
    lengths = np.diff(starts, append=flat.size)
    ids, where = np.unique(values, return_inverse=True)
    pixels = np.bincount(where, weights=lengths)
    area = {int(i): int(n) for i, n in zip(ids, pixels, strict=True) if i}
    changes = lengths.astype("<i4")
    changes[2:] -= changes[:-2].copy()
    rows = np.stack([changes, values.astype("<i4")]).view(np.uint8).reshape(2, -1, 4)
    return zlib.compress(rows.transpose(0, 2, 1).tobytes(), 1), area


def id_type(ids: Iterable[int]) -> type[np.generic]:
    """The type in which maps of these ids are handed out: uint8, or int32 if one is above 254, since 255 in bytes is void or white to
    whoever reads them as a mask again."""
    return np.uint8 if max(ids, default=0) < 255 else np.int32


def unpack(packed: bytes, size: tuple[int, int]) -> np.ndarray:
    """The map of ids (H, W): uint8 if its ids are below 256, else int32."""
    planes = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(2, 4, -1)
    changes, values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<i4")[..., 0]
    lengths = changes.copy()
    lengths[0::2] = np.cumsum(changes[0::2])
    lengths[1::2] = np.cumsum(changes[1::2])
    if not planes[1, 1:].any():
        values = values.astype(np.uint8)
    return np.repeat(values, lengths).reshape(size)
