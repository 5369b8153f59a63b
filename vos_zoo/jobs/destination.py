"""Where the results of many clips go: a folder here, or one behind an address that fsspec knows (s3://, gs://, hf://, file://, memory://).

run.json              the settings of the run, and its id
<name>/               the result of a clip, with record.json: finished if that bears the run's id
jobs.jsonl            a log: the record of each clip as it was done or failed
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from vos_zoo.errors import SaveError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.leftovers import contents
from vos_zoo.system.lock import writing_alone

RECORD, RUN, LOG = "record.json", "run.json", "jobs.jsonl"
AT_ONCE = 16  # small files read from an address
Record = dict[str, Any]


class Place(Protocol):
    """Made by `place_of`. What is written is there whole or not at all; for an address, once its record.json is there, written last."""

    def begin(self) -> None:
        """By the one that hands out the work, before any. SaveError if nothing can be written, or another run is writing."""

    def end(self) -> None: ...

    def read(self, file: str) -> str | None:
        """A small file; None if it is not there."""

    def write(self, file: str, text: str) -> None: ...

    def records(self, names: Iterable[str]) -> dict[str, Record]:
        """By clip, of those that have one that can be read."""

    def taken(self, name: str) -> bool:
        """Whether something lies at the name that no run has written."""

    def writing(self, name: str) -> Any:
        """A context that gives an empty folder here, and puts it in the place of the clip's result if the block succeeds."""

    def log(self, record: Record) -> None:
        """A line in the log."""

    def log_path(self) -> str: ...


def place_of(out: str) -> Place:
    """SaveError if fsspec does not know the address, or lacks the package for it."""
    return Remote(out) if "://" in out else Folder(Path(out))


class Folder:
    """A folder here."""

    def __init__(self, root: Path):
        self.root = root
        self._log: IO[str] | None = None
        self._alone = ExitStack()

    def begin(self) -> None:
        self._alone.enter_context(writing_alone(self.root))
        try:
            self._log = open(self.root / LOG, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            self._alone.close()
            raise SaveError(f"nothing can be written to {self.root} ({error.strerror}): choose another --out") from error
        self._sweep()
        self._log.seek(0)
        text = self._log.read()
        if text and not text.endswith("\n"):  # a kill has cut it
            self._log.write("\n")

    def end(self) -> None:
        if self._log is not None:
            self._sweep()
            self._log.close()
            self._alone.close()

    def _sweep(self) -> None:
        """What a process left that was ended while it wrote."""
        for path in self.root.glob(".vos_zoo-*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def read(self, file: str) -> str | None:
        try:
            return (self.root / file).read_text(encoding="utf-8")
        except OSError:
            return None

    def write(self, file: str, text: str) -> None:
        with atomic_write(self.root / file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def records(self, names: Iterable[str]) -> dict[str, Record]:
        texts = {name: self.read(f"{name}/{RECORD}") for name in names}
        return {name: record for name, text in texts.items() if (record := _parsed(text)) is not None}

    def taken(self, name: str) -> bool:
        target = self.root / name
        return os.path.lexists(target) and not (target / RECORD).is_file() and not (target.is_dir() and not contents(target))

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        target = self.root / name
        with atomic_write(target, replace_folder=True) as temporary:
            temporary.mkdir()
            yield temporary
            if self.taken(name):
                raise SaveError(f"{target} is there already and holds something else: give the clip another name, or --out")

    def log(self, record: Record) -> None:
        assert self._log is not None
        self._log.write(json.dumps(record) + "\n")
        self._log.flush()

    def log_path(self) -> str:
        return str(self.root / LOG)


class Remote:
    """A folder behind an address. It belongs to the run: what lies at a clip's name is replaced."""

    def __init__(self, url: str):
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise SaveError(f"{url} can't be written to ({error}): install what fsspec asks for, or choose another --out") from error
        self._log: list[str] = []

    def begin(self) -> None:
        with self._explained("can't be looked into"):
            if self.read(RUN) is None and self._files.exists(self._root) and self._files.find(self._root, maxdepth=2):
                raise SaveError(f"{self.url} holds something that no run of many clips has written: choose another --out")
        self._log = [line for line in (self.read(LOG) or "").splitlines() if line]

    def end(self) -> None:
        if self._log:
            self.write(LOG, "\n".join(self._log) + "\n")

    def read(self, file: str) -> str | None:
        with self._explained(f"can't be read ({file})"):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{file}")).decode("utf-8")
            except FileNotFoundError:
                return None

    def write(self, file: str, text: str) -> None:
        with self._explained(f"can't be written to ({file})"):
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(f"{self._root}/{file}", text.encode("utf-8"))

    def records(self, names: Iterable[str]) -> dict[str, Record]:
        names = list(names)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            texts = pool.map(lambda name: self.read(f"{name}/{RECORD}"), names)
            return {name: record for name, text in zip(names, texts, strict=True) if (record := _parsed(text)) is not None}

    def taken(self, name: str) -> bool:
        return False

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        target = f"{self._root}/{name}"
        with tempfile.TemporaryDirectory(prefix="vos_zoo-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            yield folder
            there = {path: f"{target}/{path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("*")) if path.is_file()}
            record = there.pop(folder / RECORD)
            with self._explained(f"can't be written to ({name})"):
                self._remove(target)
                for parent in {path.rpartition("/")[0] for path in (record, *there.values())}:
                    self._files.makedirs(parent, exist_ok=True)
                if there:
                    self._files.put([str(path) for path in there], list(there.values()))
                self._files.put_file(str(folder / RECORD), record)

    def log(self, record: Record) -> None:
        self._log.append(json.dumps(record))

    def log_path(self) -> str:
        return f"{self.url}/{LOG}"

    def _remove(self, target: str) -> None:
        if self._files.exists(target):
            old = self._files.find(target)
            for path in sorted(old, key=lambda path: not path.endswith(f"/{RECORD}")):  # from the first on it is not finished
                self._files.rm_file(path)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except SaveError:
            raise
        except Exception as error:  # each file system raises its own
            raise SaveError(f"{self.url} {what}: {type(error).__name__}: {error}; look at the address and your rights there") from error


def _parsed(text: str | None) -> Record | None:
    try:
        record = json.loads(text or "")
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
