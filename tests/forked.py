"""What a fork of a test's process must not share with it."""

from __future__ import annotations

import threading

from tqdm import tqdm


def set_apart() -> None:
    """To be called first in a fork. tqdm's lock is one for all of them: a fork that is killed with it would keep it for ever."""
    tqdm.set_lock(threading.RLock())
