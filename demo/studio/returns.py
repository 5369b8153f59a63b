"""A page that is loaded again finds its visit by a key, which only the browser's tab and the server know."""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Callable
from typing import Any

from studio.visit import Visit


class Returns:
    """Holds no visit alive: one that has ended can't be found any more.

    Args:
        keep: seconds after which a visit is not given back, as long as its files are kept.
    """

    def __init__(self, keep: float, clock: Callable[[], float] = time.monotonic):
        self._keep, self._clock = keep, clock
        self._known: weakref.WeakValueDictionary[str, Visit] = weakref.WeakValueDictionary()
        self._since: weakref.WeakKeyDictionary[Visit, float] = weakref.WeakKeyDictionary()

    def begin(self, visit: Visit) -> None:
        """A clip was opened: the visit gets a key that can't be guessed, and an older one opens nothing any more."""
        visit.key = secrets.token_urlsafe(32)
        self._known[visit.key] = visit
        self.refresh(visit)

    def refresh(self, visit: Visit) -> None:
        """Its time begins anew, as that of its files does with a run."""
        self._since[visit] = self._clock()

    def find(self, key: Any) -> Visit | None:
        """The visit of this key, if it has a clip still and its time is not over."""
        visit = self._known.get(key) if isinstance(key, str) and key else None
        if visit is None or visit.key != key or visit.clip is None:
            return None
        in_time = self._clock() - self._since[visit] < self._keep
        return visit if in_time and os.path.exists(visit.clip.path) else None
