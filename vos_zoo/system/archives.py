"""A zip archive of strangers: what it claims is checked before anything is unpacked, and no more than that is unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vos_zoo.errors import VosZooError
from vos_zoo.system.limits import check_limit

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others can't be unpacked in bounded steps
_BROKEN = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError, RecursionError, IndexError, OverflowError,
           zlib.error)  # fmt: skip


class Archive:
    """The members of an open archive. Made by `open_archive`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {member.filename: member for member in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """Bytes of a member when unpacked, as the archive claims."""
        return self._members[name].file_size

    def read(self, name: str) -> bytes:
        """The bytes of a member, at most as many as it claims.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        if name not in self._members:
            raise FileNotFoundError(name)
        with self._archive.open(self._members[name]) as file:
            return file.read(self._members[name].file_size)


@contextmanager
def open_archive(path: Path, error: type[VosZooError]) -> Iterator[Archive]:
    """An archive whose claims are within the limits.

    Args:
        path: a zip file.
        error: kind of the exception.

    Raises:
        VosZooError: of the kind `error`: it is damaged, no zip file, encrypted, packed by another method than deflate, holds too many
            files, or is too large when unpacked. Also for what goes wrong while the block reads from it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_limit("frames", len(members), str(path), error)
            check_limit("unpacked", sum(member.file_size for member in members), str(path), error)
            if any(member.compress_type not in _METHODS or member.flag_bits & 1 for member in members):
                raise error(f"{path} is encrypted, or packed by a method that is not read: make the zip again, as usual (deflate)")
            yield Archive(archive)
    except VosZooError:
        raise
    except _BROKEN as broken:
        raise error(f"{path} is a damaged or foreign zip file ({str(broken)[:100]}): save it again") from broken
