"""What is sent to the Hub: files by their path in the repository, and what may never be among them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vos_zoo.checkpoints.hub import is_repo_id
from vos_zoo.checkpoints.weights import PICKLE_SUFFIXES, sha256_of
from vos_zoo.errors import PublishError

Kind = Literal["model", "space"]
Load = Callable[..., Any]  # (Source, device=, dtype=) -> Segmenter: publishing is handed it, since it lies below the Segmenter
TEXT = frozenset({".md", ".json", ".yaml", ".yml", ".txt", ".py", ".cff", ".toml", ".cfg", ".css", ".html", ".js", ".svg", ""})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
MAY_BE_EMPTY = frozenset({"__init__.py", "py.typed", "packages.txt"})
MAX_PICTURE_BYTES = 10 * 10**6
MAX_FILE_BYTES = 50 * 10**9  # the Hub's limit for one file
_SECRETS = re.compile(r"\bhf_[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bghp_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b")


@dataclass(frozen=True)
class Item:
    """One file."""

    path: str  # in the repository, with "/" between folders
    content: Path | bytes
    size: int  # bytes
    sha256: str

    @classmethod
    def of(cls, path: str, content: Path | bytes) -> Item:
        if isinstance(content, bytes):
            return cls(path, content, len(content), hashlib.sha256(content).hexdigest())
        return cls(path, content, content.stat().st_size, sha256_of(content))

    def git_blob(self) -> str:
        """The SHA-1 under which git keeps the file when it is not in LFS."""
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Parcel:
    """Checked files for one repository."""

    repo_id: str
    kind: Kind
    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()  # hidden files and caches in the folder, which are not sent
    notes: tuple[str, ...] = field(default=())  # what the checks found worth knowing
    sdk: str | None = None  # of a Space: what runs it, "gradio" or "static"

    def table(self) -> str:
        """A line a file: bytes, SHA-256, path; then the sum."""
        lines = [f"{item.size:>14,}  {item.sha256}  {item.path}" for item in self.items]
        lines.append(f"{sum(item.size for item in self.items):>14,}  bytes in {len(self.items)} files for the {self.kind} {self.repo_id}")
        if self.left_out:
            lines.append(f"not sent: {', '.join(self.left_out)}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def text(self, path: str) -> str:
        """The content of one file as text."""
        content = next(item.content for item in self.items if item.path == path)
        return content.decode("utf-8") if isinstance(content, bytes) else content.read_text(encoding="utf-8")


def checked_repo_id(repo_id: str) -> str:
    """PublishError unless it is "owner/name"."""
    if not isinstance(repo_id, str) or not is_repo_id(repo_id):
        raise PublishError(f"{repo_id!r:.120} is no repository: give owner/name in the Hub's spelling, for instance me/crvos-cells.")
    return repo_id


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path in the repository, file) of everything below a folder, sorted; folders of links are not entered."""
    for base, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files) + [each for each in folders if (Path(base) / each).is_symlink()]:
            path = Path(base) / name
            yield path.relative_to(folder).as_posix(), path


def is_left_out(path: str) -> bool:
    """Hidden files (.git, .DS_Store, ...), caches, and the stubs that gradio writes beside a running demo are nobody's intention."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.split("/")) or path.endswith((".pyc", ".pyo", ".pyi"))


def problems_of(path: str, file: Path) -> Iterator[str]:
    """What is wrong with a file whatever it is for: a link, a pickle, too large, a picture that is none, text with a secret in it."""
    suffix = file.suffix.lower()
    if file.is_symlink() or not file.is_file():
        yield f"{path} is a link or no plain file: put the file itself there"
        return
    size = file.stat().st_size
    if suffix in PICKLE_SUFFIXES or suffix in (".npy", ".npz", ".joblib"):
        yield f"{path} is or may hold a pickle, which can run code where it is opened: take it out, only safetensors is published"
    if size == 0 and file.name not in MAY_BE_EMPTY:
        yield f"{path} is empty: fill it, or take it out"
    if size > MAX_FILE_BYTES:
        yield f"{path} has {size:,} bytes; the Hub takes at most {MAX_FILE_BYTES:,} a file: save it in shards (max_shard_bytes)"
    if suffix in PICTURES:
        yield from _problems_of_picture(path, file, size)
    elif suffix in TEXT:
        yield from problems_of_text(path, file.read_bytes())


def problems_of_text(path: str, content: bytes) -> Iterator[str]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield f"{path} is not text in UTF-8: save it anew as such"
        return
    for number, line in enumerate(text.splitlines(), 1):
        if _SECRETS.search(line):
            yield f"{path}, line {number}, holds what looks like an access token or a private key: take it out, and revoke it"


def refuse(problems: Iterable[str], folder: Path) -> None:
    """PublishError that lists all problems, if there are any."""
    if found := list(dict.fromkeys(problems)):
        raise PublishError(f"{folder} is not published, nothing was sent:\n" + "\n".join(f"  - {each}" for each in found))


def _problems_of_picture(path: str, file: Path, size: int) -> Iterator[str]:
    from PIL import Image

    if size > MAX_PICTURE_BYTES:
        yield f"{path} has {size:,} bytes; pictures of a card have at most {MAX_PICTURE_BYTES:,}: make it smaller"
    try:
        with Image.open(file) as picture:
            picture.verify()
    except Exception as error:  # whatever Pillow's decoders make of a file that is no picture
        yield f"{path} is no picture that can be opened ({type(error).__name__}): replace it, or take it out"
