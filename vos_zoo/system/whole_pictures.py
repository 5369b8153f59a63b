"""Pictures are decoded whole or not at all, whatever the host program allows Pillow."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from PIL import ImageFile

_lock = threading.Lock()
_inside = 0
_before = False


@contextlib.contextmanager
def whole_pictures() -> Iterator[None]:
    """Inside the block a picture that is cut off is an OSError, also where the host set LOAD_TRUNCATED_IMAGES, which fills it with grey.

    Threads may be inside at once; the last to leave puts the host's setting back.

    Example:
        >>> with whole_pictures():
        ...     ImageFile.LOAD_TRUNCATED_IMAGES
        False
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = _before
