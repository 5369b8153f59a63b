"""Write beside, then rename: a reader sees the old file or the whole new one, never a half."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vos_zoo.errors import SaveError
from vos_zoo.system.exchange import replace_folder
from vos_zoo.system.leftovers import sweep, temporary_name
from vos_zoo.system.paths import user_path

_FIXES = {
    errno.ENOSPC: "the disk is full: free some space or save elsewhere",
    errno.EDQUOT: "your disk quota is used up: free some space or save elsewhere",
    errno.EFBIG: "the file grew beyond what the system allows: save elsewhere or in smaller parts",
    errno.EACCES: "no permission to write there: choose a folder that you own, or change its permissions",
    errno.EPERM: "no permission to write there: choose a folder that you own, or change its permissions",
    errno.EROFS: "the file system is read-only: save elsewhere",
    errno.EIO: "the disk reported a failure: check it, and save elsewhere",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOTEMPTY: "the folder exists already and is not empty: choose another, or delete it first",
    errno.EEXIST: "a file or a full folder stands in the way: choose another path, or delete it first",
    errno.EISDIR: "a folder of that name exists: choose another name",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another path",
}


class AtomicPath:
    """A temporary path beside `path`: write to `temporary`, then `commit()` or `discard()`.

    The parent folder is made if it is missing. The temporary name keeps the suffix, so that writers which
    go by it still work, and begins with a dot, so that a listing of frames does not see it. A folder may
    be made at `temporary` instead of a file; then `path` must not exist yet, or be empty, at `commit()`.
    What processes that were killed left beside `path` is cleared away.

    Raises SaveError, with the fix, if nothing can be written at `path`.
    """

    def __init__(self, path: str | os.PathLike[str], *, replace_folder: bool = False) -> None:
        self.replaces_folder = replace_folder  # a folder at `path` may hold something at `commit()`, which is removed
        self.path = Path(os.path.realpath(user_path(path)))
        self.temporary = self.path.with_name(temporary_name(self.path.suffix))
        try:
            if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
                raise SaveError(f"can't save to {self.path}: it is a device or a pipe; give the path of a file")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.path.parent)
            self.temporary.touch()
            self.temporary.unlink()
        except SaveError:
            raise
        except OSError as error:
            raise self.explain(error) from error

    def commit(self) -> None:
        """Puts what was written in place of `path`."""
        try:
            if self.replaces_folder and self.path.is_dir() and self.temporary.is_dir():
                replace_folder(self.temporary, self.path)
            else:
                os.replace(self.temporary, self.path)
        except OSError as error:
            self.discard()
            raise self.explain(error) from error

    def discard(self) -> None:
        """Removes what was written; `path` stays as it was."""
        if self.temporary.is_dir():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            self.temporary.unlink(missing_ok=True)

    def explain(self, error: OSError) -> SaveError:
        """The SaveError to raise for `error`."""
        fix = _FIXES.get(error.errno or 0, "choose another path")
        reason = error.strerror or str(error)
        return SaveError(f"can't save {self.path}: {reason}; {fix}. Nothing half-written was left there")

    def concerns(self, error: OSError) -> bool:
        """Whether `error` comes from writing here, not from something else that the caller did meanwhile."""
        if error.filename is not None:
            name = Path(os.fsdecode(error.filename))
            return name == self.temporary or self.temporary in name.parents
        return error.errno in _FIXES


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, replace_folder: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`; renamed to `path` if the block succeeds, removed if it raises.

    replace_folder: a folder that was made at the temporary path takes the place of one at `path`, with all that this holds, in one step.

        with atomic_write("masks.json") as temporary:
            temporary.write_text(text)

    Missing parent folders are made. Raises SaveError, with the fix, when the disk is full, there is no
    permission and the like; any other exception of the block goes through unchanged. Nothing half-written
    stays either way.
    """
    target = AtomicPath(path, replace_folder=replace_folder)
    try:
        yield target.temporary
    except SaveError:
        target.discard()
        raise
    except OSError as error:
        target.discard()
        if target.concerns(error):
            raise target.explain(error) from error
        raise
    except BaseException:
        target.discard()
        raise
    target.commit()


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes `value` to `path` as indented JSON. Raises SaveError, as `atomic_write` does; TypeError if JSON can't hold `value`."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
