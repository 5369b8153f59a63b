"""A path as a user gave it, made one that the system can take."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from vos_zoo.errors import SaveError, VosZooError

_NAME_BYTES, _PATH_BYTES = 255, 4095  # what Linux takes; other systems take no more


def local_path(source: str, error: type[VosZooError]) -> Path | None:
    """The path that a text names, as it is typed, by ~, or as a file:// address; None if it is an address of something else.

    Args:
        source: as given.
        error: kind of the exception.

    Raises:
        error: a file:// address of another machine.

    Example:
        >>> local_path("file:///data/my%20clip.mp4", SaveError)
        PosixPath('/data/my clip.mp4')
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    if scheme is None or (scheme[1].lower() != "file" and Path(source).exists()):
        return Path(source).expanduser() if source.startswith("~") and _has_home(source) else Path(source)
    if scheme[1].lower() != "file":
        return None
    host, _, rest = source[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost"):
        raise error(f"{source} is a file on the machine {host!r}: copy it here, and give its path")
    path = f"/{rest}"
    if re.match(r"/[A-Za-z]:", path):  # file:///C:/...
        path = path[1:]
    plain = Path(unquote(path.split("?")[0].split("#")[0]))
    return Path(path) if Path(path).exists() and not plain.exists() else plain


def _has_home(source: str) -> bool:
    if Path(source).exists():
        return False
    try:
        Path(source).expanduser()
    except RuntimeError:  # ~nobody
        return False
    return True


def user_path(path: str | os.PathLike[str], error: type[VosZooError] = SaveError) -> Path:
    """The path with a leading ~ filled in, or of a file:// address.

    Args:
        path: as given.
        error: kind of the exception.

    Raises:
        error: it is no path, no user has the home folder, or no system could have such a name.

    Example:
        >>> user_path("~/masks").is_absolute()
        True
    """
    if not isinstance(path, (str, os.PathLike)):
        raise error(f"a path is a string or a pathlib.Path, not {path!r:.80}")
    text = os.fsdecode(os.fspath(path))
    if text.lower().startswith("file://"):
        text = str(local_path(text, error))
    try:
        found = Path(text).expanduser()
        encoded = [os.fsencode(part) for part in found.parts]
    except RuntimeError as none:
        raise error(f"{text[:80]!r}: there is no such user's home folder here; write the path out") from none
    except UnicodeEncodeError as none:
        raise error(f"{text[:80]!r} holds characters that no file name can have; choose another path") from none
    if "\0" in text:
        raise error(f"{text[:80]!r} holds a null character, which no file name can have; choose another path")
    if any(len(part) > _NAME_BYTES for part in encoded) or sum(len(part) + 1 for part in encoded) > _PATH_BYTES:
        raise error(f"{text[:80]!r}... is too long: a name has at most {_NAME_BYTES} bytes, a path {_PATH_BYTES}; choose a shorter one")
    return found
