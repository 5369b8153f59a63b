"""A path as a user gave it, made one that the system can take."""

from __future__ import annotations

import os
from pathlib import Path

from vos_zoo.errors import SaveError, VosZooError

_NAME_BYTES, _PATH_BYTES = 255, 4095  # what Linux takes; other systems take no more


def user_path(path: str | os.PathLike[str], error: type[VosZooError] = SaveError) -> Path:
    """The path with a leading ~ filled in.

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
