"""A folder that appears whole or not at all, also where it takes the place of an older one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vos_zoo.errors import SaveError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.leftovers import contents
from vos_zoo.system.paths import user_path
from vos_zoo.system.values import flag


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, suffixes: tuple[str, ...] = (".png", ".json"), what: str = "masks"
) -> Iterator[Path]:
    """Gives a new empty folder beside `path`; renamed to `path` if the block succeeds, removed if it raises.

    With `overwrite` an older folder of `what` it is to hold at `path` is replaced, in one step, and kept if anything fails. Only a folder
    with nothing but files of `suffixes` is replaced, so that a slip in the path costs nobody's data.

    Raises:
        SaveError: `path` is taken, the disk is full, there is no permission.
    """
    target, overwrite = Path(os.path.realpath(user_path(path))), flag(overwrite, "overwrite", SaveError)
    _check_free(target, overwrite, suffixes, what)
    with atomic_write(target, replace_folder=overwrite) as temporary:
        temporary.mkdir()
        yield temporary
        _check_free(target, overwrite, suffixes, what)


def _check_free(target: Path, overwrite: bool, suffixes: tuple[str, ...], what: str) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise SaveError(f"can't save to {target}: it is a file, and a folder is needed. Choose another path")
    entries = contents(target)
    if not entries:
        return
    if not overwrite:
        raise SaveError(f"can't save to {target}: the folder exists and is not empty. Choose another one, or pass overwrite=True")
    foreign = [entry.name for entry in entries if entry.is_dir() or entry.suffix.lower() not in suffixes]
    if foreign:
        raise SaveError(
            f"can't overwrite {target}: besides {what} it holds {foreign[0]}"
            f"{' and other things' if len(foreign) > 1 else ''}, which would be lost. Choose another folder"
        )
