"""Where the page keeps its visitors' files: a folder of its own, from which everything goes in time, also after a crash."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import vos_zoo

PREFIX = "vos-zoo-page-"
SETTLED = 60.0  # seconds after which a folder without a living server is nobody's
LOCK = "lock"


class Storage:
    """A folder that no other server shares: `files` for uploads and all that visitors are given; in it `visits` for what runs write.

    So Gradio gives the files of a run to the browser as they are, and makes no copies.

    It lies in GRADIO_TEMP_DIR if that is set, else among the temporary files. Folders that servers left which have died are removed.

    Args:
        keep: seconds after which a file is deleted.

    Raises:
        vos_zoo.VosZooError: nothing can be written there.
    """

    def __init__(self, keep: float):
        self.keep = keep
        base = _base()
        _remove_leftovers(base)
        try:
            base.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        except OSError as error:
            raise vos_zoo.VosZooError(
                f"the page can't keep files in {base} ({error.strerror}): set GRADIO_TEMP_DIR to a folder of your own"
            ) from error
        self._lock = _locked(self.folder / LOCK)
        self.files, self.visits = self.folder / "files", self.folder / "files" / "visits"
        for part in (self.files, self.visits):
            part.mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(self.files)  # where Gradio puts uploads, and its copies of results
        self._used: Counter[str] = Counter()
        self._ended = threading.Event()
        threading.Thread(target=self._sweep_in_time, daemon=True).start()
        atexit.register(self.close)

    @contextlib.contextmanager
    def using(self, *paths: str | None) -> Iterator[None]:
        """These files and folders stay as long as the block lasts, however long that is; after it their time begins anew."""
        held = [os.path.abspath(path) for path in paths if path]
        self._used.update(held)
        try:
            yield
        finally:
            self._used.subtract(held)
            for path in held:
                if path.startswith(str(self.folder)):
                    with contextlib.suppress(OSError):
                        os.utime(path)

    def sweep(self) -> None:
        """Deletes what has lain there for too long."""
        oldest = time.time() - self.keep
        for folder, _, names in os.walk(self.files, topdown=False):
            for name in names:
                with contextlib.suppress(OSError):
                    path = os.path.join(folder, name)
                    if os.stat(path).st_ctime < oldest and not self._in_use(path):
                        os.unlink(path)
            if Path(folder) not in (self.files, self.visits) and not self._in_use(folder):
                with contextlib.suppress(OSError):  # it is not empty
                    if os.stat(folder).st_mtime < oldest:
                        os.rmdir(folder)

    def _in_use(self, path: str) -> bool:
        """Whether it, or a folder that it lies in, is being used."""
        place = Path(os.path.abspath(path))
        return any(self._used[str(each)] > 0 for each in (place, *place.parents))

    def close(self) -> None:
        """Deletes everything."""
        self._ended.set()
        atexit.unregister(self.close)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _sweep_in_time(self) -> None:
        while not self._ended.wait(max(1.0, min(60.0, self.keep / 4))):
            self.sweep()


def _base() -> Path:
    """The folder for folders of pages."""
    named = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    return next((parent.parent for parent in (named, *named.parents) if parent.name.startswith(PREFIX)), named)


def _remove_leftovers(base: Path) -> None:
    for folder in _nobodys(base):
        shutil.rmtree(folder, ignore_errors=True)


def _nobodys(base: Path) -> Iterator[Path]:
    for folder in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < SETTLED or not (folder / LOCK).is_file():
                continue
            if (lock := _locked(folder / LOCK)) is not None:
                lock.close()
                yield folder


def _locked(path: Path) -> IO[str] | None:
    """The file, held for this process; None if another one holds it, or the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    file = open(path, "a")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
